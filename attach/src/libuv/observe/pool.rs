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

/// What could not be read for so long is no longer known.
const STALE_NS: u64 = 5_000_000_000;

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
    /// The last reading; `None` until the pool has started, and where none was possible for some time.
    state: Option<State>,
    /// Whether the last reading found that it has not started.
    is_unused: bool,
    depth_max: Peak,
    /// Tasks that wait: when they were first seen, and their place in the queue when last seen.
    waiting: HashMap<u64, Waiting>,
    waits: Histogram,
    /// When that was; `None` until the pool has started.
    last_reading: Option<Monotonic>,
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
            is_unused: false,
            depth_max: Peak::default(),
            waiting: HashMap::new(),
            waits: Histogram::default(),
            last_reading: None,
        })
    }

    /// Whether it has not started.
    pub(super) fn is_unused(&self) -> bool {
        self.is_unused
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
            self.is_unused = threads == 0;
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
            self.last_reading = Some(now);
            return Ok(state.idle < state.threads || state.depth > 0);
        }
        // It changes too fast to be read, or is too long: so it is busy. The last reading stands for a while.
        if self.last_reading.is_none_or(|at| now.since_ns(at) >= STALE_NS) {
            self.state = None;
        }
        Ok(true)
    }

    /// Follows tasks from reading to reading. One that is gone has waited until some time between the two; one that has moved
    /// back was run and came again.
    fn follow(&mut self, tasks: &[u64], now: Monotonic) {
        let mut waiting = HashMap::with_capacity(tasks.len());
        let between_ns = self.last_reading.map_or(u64::MAX, |at| now.since_ns(at)) / 2;
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
        let number = |value: u64| Value::Gauge(i64::try_from(value).unwrap_or(i64::MAX));
        if let Some(State { threads, idle, depth }) = self.state {
            for (of, count) in [(ThreadState::Busy, threads - idle), (ThreadState::Idle, idle)] {
                let count = number(count.into());
                snapshot.push(&catalogue::THREADPOOL_THREADS, target, &[of.as_str()], count);
            }
            snapshot.push(&catalogue::THREADPOOL_QUEUE_DEPTH, target, &[], number(depth as u64));
            let depth_max = number(self.depth_max.get());
            snapshot.push(&catalogue::THREADPOOL_QUEUE_DEPTH_MAX, target, &[], depth_max);
        }
        if self.last_reading.is_some() {
            let waits = Value::Histogram(self.waits.clone());
            snapshot.push(&catalogue::THREADPOOL_QUEUE_WAIT_OBSERVED, target, &[], waits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Pid;

    /// A pool of four threads, one of them idle, in this process's own memory: the queue's head, the threads, and so many tasks.
    fn memory(tasks: usize) -> Vec<[u64; 2]> {
        let mut memory = vec![[0; 2]; 2 + tasks];
        let at = |index: usize| &raw const memory[index] as u64;
        let ring: Vec<u64> = std::iter::once(0).chain(2..2 + tasks).map(at).collect();
        for (place, index) in std::iter::once(0).chain(2..2 + tasks).enumerate() {
            let (next, before) = ((place + 1) % ring.len(), (place + ring.len() - 1) % ring.len());
            memory[index] = [ring[next], ring[before]];
        }
        memory[1] = [4 << 32 | 1, 0];
        memory
    }

    fn pool(memory: &[[u64; 2]]) -> ObservedPool {
        let start = memory.as_ptr() as u64;
        ObservedPool {
            start,
            bytes: 24,
            queue: start,
            slow_queue: None,
            messages: [None; 2],
            idle_threads: start + 16,
            threads: start + 20,
            state: None,
            is_unused: false,
            depth_max: Peak::default(),
            waiting: HashMap::new(),
            waits: Histogram::default(),
            last_reading: None,
        }
    }

    fn depth(pool: &ObservedPool) -> Option<usize> {
        pool.state.map(|state| state.depth)
    }

    #[test]
    fn a_queue_that_is_too_long_is_soon_unknown_and_known_again_when_it_is_shorter() {
        let remote = Remote::new(Pid::new(std::process::id()));
        let at = |seconds: u64| Monotonic::from_ns(seconds * 1_000_000_000);
        let (short, long) = (memory(3), memory(lists::NODES_MAX + 1));
        let mut pool = pool(&short);
        assert!(pool.read(&remote, at(100)).unwrap());
        assert_eq!(depth(&pool), Some(3));
        let queues = [(&long, 101, Some(3)), (&long, 106, None), (&short, 107, Some(3))];
        for (memory, seconds, expected) in queues {
            let moved = self::pool(memory);
            (pool.start, pool.queue) = (moved.start, moved.queue);
            (pool.idle_threads, pool.threads) = (moved.idle_threads, moved.threads);
            assert!(pool.read(&remote, at(seconds)).unwrap());
            assert_eq!(depth(&pool), expected, "after {seconds} s");
        }
    }
}
