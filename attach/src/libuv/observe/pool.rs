//! The thread pool: how many threads, what they do, and what waits.

use std::collections::HashMap;

use model::catalogue;
use model::histogram::Histogram;
use model::label::{LabelValue, ThreadState};
use model::snapshot::{SharedLabels, Snapshot, Value};
use model::time::Monotonic;

use super::super::locate::Part;
use super::lists;
use super::peak::Peak;
use super::remote::{Remote, u32_at, u64_at};
use crate::target::ProcessError;

/// The pool's variables lie close together; a binary in which they do not is not believed.
const STATE_BYTES_MAX: u64 = 4096;

/// The most threads that libuv allows.
const THREADS_MAX: u32 = 1024;

/// How often a list that changes under the reader is followed anew.
const TRIES: usize = 3;

/// The pool of a process.
#[derive(Debug)]
pub(super) struct ObservedPool {
    /// The lowest address of its variables, and how many bytes they take.
    start: u64,
    bytes: usize,
    queue: u64,
    slow_queue: Option<u64>,
    /// Nodes of the queue that are no tasks.
    messages: [Option<u64>; 2],
    idle_threads: u64,
    threads: u64,
    /// The last reading; `None` until the pool has started.
    state: Option<State>,
    depth_max: Peak,
    /// Tasks that wait: when they were first seen, and their place in the queue when last seen.
    waiting: HashMap<u64, Waiting>,
    waits: Histogram,
    last_reading: Monotonic,
}

#[derive(Clone, Copy, Debug)]
struct State {
    threads: u32,
    idle: u32,
    depth: usize,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Monotonic,
    place: usize,
}

impl ObservedPool {
    /// The pool of a binary whose variables are known.
    pub(super) fn new(part: &Part) -> Option<Self> {
        let state = &part.image.state;
        let at = |address: Option<u64>| address.map(|address| part.address(address));
        let (queue, idle_threads, threads) = (at(state.queue)?, at(state.idle_threads)?, at(state.threads)?);
        let slow_queue = at(state.slow_queue);
        let all = [Some(queue), Some(idle_threads), Some(threads), slow_queue];
        let start = all.iter().flatten().min().copied()?;
        let end = all.iter().flatten().max()?.checked_add(16)?;
        let bytes = end.checked_sub(start).filter(|&bytes| bytes <= STATE_BYTES_MAX)?;
        Some(Self {
            start,
            bytes: bytes as usize,
            queue,
            slow_queue,
            messages: [at(state.slow_message), at(state.exit_message)],
            idle_threads,
            threads,
            state: None,
            depth_max: Peak::default(),
            waiting: HashMap::new(),
            waits: Histogram::default(),
            last_reading: Monotonic::default(),
        })
    }

    /// Takes a reading; whether the pool does anything.
    pub(super) fn read(&mut self, remote: &Remote, now: Monotonic) -> Result<bool, ProcessError> {
        for _ in 0..TRIES {
            let mut bytes = vec![0; self.bytes];
            if remote.read(self.start, &mut bytes)?.is_none() {
                return Ok(false);
            }
            let offset = |address: u64| (address - self.start) as u32;
            let (threads, idle) =
                (u32_at(&bytes, offset(self.threads)), u32_at(&bytes, offset(self.idle_threads)));
            // The pool starts with its first task.
            if threads == 0 || threads > THREADS_MAX {
                return Ok(false);
            }
            let Some(mut tasks) = lists::nodes(remote, self.queue, u64_at(&bytes, offset(self.queue)))?
            else {
                continue;
            };
            tasks.retain(|node| !self.messages.contains(&Some(*node)));
            if let Some(slow) = self.slow_queue {
                // Before its first use the list has no head.
                let first = u64_at(&bytes, offset(slow));
                if first != 0 {
                    let Some(slow_tasks) = lists::nodes(remote, slow, first)? else { continue };
                    tasks.extend(slow_tasks);
                }
            }
            let state = State { threads, idle: idle.min(threads), depth: tasks.len() };
            self.follow(&tasks, now);
            self.depth_max.set(tasks.len() as u64, now);
            self.state = Some(state);
            self.last_reading = now;
            return Ok(state.idle < state.threads || state.depth > 0);
        }
        // It changes too fast to be read: so it is busy. The last reading stands.
        Ok(true)
    }

    /// Follows tasks from reading to reading. One that is gone has waited until some time between the two; one that has moved
    /// back was run and came again.
    fn follow(&mut self, tasks: &[u64], now: Monotonic) {
        let mut waiting = HashMap::with_capacity(tasks.len());
        let between_ns = now.since_ns(self.last_reading) / 2;
        let mut ended = Vec::new();
        for (place, &task) in tasks.iter().enumerate() {
            let since = match self.waiting.remove(&task) {
                Some(before) if before.place >= place => before.since,
                Some(before) => {
                    ended.push(before.since);
                    now
                }
                None => now,
            };
            waiting.insert(task, Waiting { since, place });
        }
        ended.extend(self.waiting.drain().map(|(_, before)| before.since));
        // It came before it was first seen and went before it was last missed: half an interval each, which is one.
        let waits = ended.into_iter().map(|since| now.since_ns(since));
        let waits: Vec<u64> = waits.filter(|&ns| ns > 2 * between_ns).collect();
        self.waits.merge(&Histogram::from_ns(waits));
        self.waiting = waiting;
    }

    /// Adds what was observed; nothing before the pool has started.
    pub(super) fn add_to(&self, snapshot: &mut Snapshot, target: &SharedLabels) {
        let Some(state) = self.state else { return };
        for (of, count) in [(ThreadState::Busy, state.threads - state.idle), (ThreadState::Idle, state.idle)]
        {
            let count = Value::Gauge(count.into());
            snapshot.push(&catalogue::THREADPOOL_THREADS, target, &[of.as_str()], count);
        }
        let gauge = |value: u64| Value::Gauge(i64::try_from(value).unwrap_or(i64::MAX));
        snapshot.push(&catalogue::THREADPOOL_QUEUE_DEPTH, target, &[], gauge(state.depth as u64));
        snapshot.push(&catalogue::THREADPOOL_QUEUE_DEPTH_MAX, target, &[], gauge(self.depth_max.get()));
        let waits = Value::Histogram(self.waits.clone());
        snapshot.push(&catalogue::THREADPOOL_QUEUE_WAIT_OBSERVED, target, &[], waits);
    }
}
