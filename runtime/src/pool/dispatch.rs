//! Who runs what next: every decision of the pool, without a thread, a lock or a clock in it.
//!
//! **Order.** Tasks start in the order in which they were submitted, but for slow I/O (name look-ups), which may hold at
//! most half of the threads, as in libuv: beyond that it waits and others pass it.
//!
//! **Wake-ups.** A worker is *searching* from when it is called, or has ended a task, until it takes a task or goes to
//! sleep. As long as there are workers to be called, no fewer are searching than tasks could start. Only a submission can
//! upset that, and then calls one: who takes a task lowers both numbers, and who ends a slow one, so that another may
//! start, searches. So each wake-up has a task for it, and no task waits for a worker that sleeps.
//!
//! **Lingering.** Sleeping and being woken takes longer than most file-system calls. So one worker at a time, having
//! found nothing, stays awake a little, but only if the last time the pool ran dry the next task came within that little:
//! a program that submits one task after the other saves the wake-ups, one that rests pays nothing.

use std::collections::VecDeque;

use model::label::TaskKind;
use model::time::Monotonic;

/// The longest that a worker stays awake with nothing to do.
pub(super) const LINGER_NS: u64 = 50_000;

/// A task's number, in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskNumber(u64);

/// The state of a pool of `W`s that run `T`s.
pub(super) struct Dispatch<T, W> {
    fast: Lane<T>,
    slow: Lane<T>,
    slow_running: usize,
    next_number: u64,
    size: usize,
    may_linger: bool,
    workers: usize,
    searching: usize,
    lingering: bool,
    /// The one that fell asleep last is called first: its memory is still in the caches.
    asleep: Vec<W>,
    /// Since when there has been nothing to do.
    dry_since: Option<Monotonic>,
    /// Whether the last dry spell was shorter than [`LINGER_NS`].
    last_dry_spell_was_short: bool,
    closed: bool,
}

/// A worker to be called, after the lock is released.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Call<W> {
    /// Wake this one.
    Wake(W),
    /// Start a new one.
    Start,
}

/// What a worker does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    /// Run this.
    Run(T),
    /// Look again soon, awake.
    Linger,
    /// Sleep until called.
    Sleep,
    /// End.
    End,
}

/// What a worker comes from when it asks what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Its start, or sleep.
    Called,
    /// A task of this kind, which ended at that time.
    Task(TaskKind, Monotonic),
    /// Lingering.
    Lingering,
}

impl<T, W: Clone + PartialEq> Dispatch<T, W> {
    /// A pool that starts up to `size` workers as they are needed.
    pub(super) fn new(size: usize, may_linger: bool) -> Self {
        Self {
            fast: Lane::default(),
            slow: Lane::default(),
            slow_running: 0,
            next_number: 0,
            size,
            may_linger,
            workers: 0,
            searching: 0,
            lingering: false,
            asleep: Vec::with_capacity(size),
            dry_since: None,
            last_dry_spell_was_short: false,
            closed: false,
        }
    }

    /// Queues a task, unless the pool is closed.
    pub(super) fn submit(
        &mut self,
        kind: TaskKind,
        task: T,
        now: Monotonic,
    ) -> Result<(TaskNumber, Option<Call<W>>), T> {
        if self.closed {
            return Err(task);
        }
        if let Some(since) = self.dry_since.take() {
            self.last_dry_spell_was_short = now.since_ns(since) < LINGER_NS;
        }
        let number = TaskNumber(self.next_number);
        self.next_number += 1;
        self.lane(kind).push(number, task);
        Ok((number, self.call_if_needed()))
    }

    /// Takes a task back that has not started.
    pub(super) fn withdraw(&mut self, kind: TaskKind, number: TaskNumber) -> Option<T> {
        self.lane(kind).withdraw(number)
    }

    /// Takes back all tasks that have not started.
    pub(super) fn withdraw_all(&mut self) -> impl Iterator<Item = T> + use<T, W> {
        let (fast, slow) = (std::mem::take(&mut self.fast), std::mem::take(&mut self.slow));
        fast.into_tasks().chain(slow.into_tasks())
    }

    /// Tells the worker `me` what to do next.
    pub(super) fn next(&mut self, me: &W, from: From) -> Next<T> {
        match from {
            // A sleeper can wake up without a call.
            From::Called if self.asleep.contains(me) => return Next::Sleep,
            From::Called => {}
            From::Task(kind, _) => {
                self.searching += 1;
                if is_slow(kind) {
                    self.slow_running -= 1;
                }
            }
            From::Lingering => self.lingering = false,
        }
        if let Some(task) = self.take() {
            self.searching -= 1;
            return Next::Run(task);
        }
        if self.closed {
            self.searching -= 1;
            self.workers -= 1;
            return Next::End;
        }
        if let From::Task(_, ended) = from {
            self.dry_since.get_or_insert(ended);
            if self.may_linger && self.last_dry_spell_was_short && !self.lingering {
                self.lingering = true;
                return Next::Linger;
            }
        }
        self.searching -= 1;
        self.asleep.push(me.clone());
        Next::Sleep
    }

    /// A worker that was to start did not. Gives how many there are.
    pub(super) fn start_failed(&mut self) -> usize {
        self.searching -= 1;
        self.workers -= 1;
        self.workers
    }

    /// Takes no more tasks, and lets the workers end once those that are queued have run. Gives the workers to wake.
    pub(super) fn close(&mut self) -> Vec<W> {
        self.closed = true;
        self.searching += self.asleep.len();
        std::mem::take(&mut self.asleep)
    }

    fn lane(&mut self, kind: TaskKind) -> &mut Lane<T> {
        if is_slow(kind) { &mut self.slow } else { &mut self.fast }
    }

    /// Half of the threads, rounded up.
    fn slow_capacity(&self) -> usize {
        self.size.div_ceil(2).saturating_sub(self.slow_running)
    }

    /// The tasks that could start now if there were workers enough.
    fn startable(&self) -> usize {
        self.fast.waiting + self.slow.waiting.min(self.slow_capacity())
    }

    fn take(&mut self) -> Option<T> {
        let slow = self.slow.first().filter(|_| self.slow_capacity() > 0);
        match (self.fast.first(), slow) {
            (fast, Some(slow)) if fast.is_none_or(|fast| slow < fast) => {
                self.slow_running += 1;
                self.slow.pop()
            }
            _ => self.fast.pop(),
        }
    }

    fn call_if_needed(&mut self) -> Option<Call<W>> {
        if self.startable() <= self.searching {
            return None;
        }
        let call = match self.asleep.pop() {
            Some(worker) => Call::Wake(worker),
            None if self.workers < self.size => {
                self.workers += 1;
                Call::Start
            }
            None => return None,
        };
        self.searching += 1;
        Some(call)
    }
}

/// libuv's rule counts name look-ups as slow I/O, and everything else as fast.
fn is_slow(kind: TaskKind) -> bool {
    kind == TaskKind::Dns
}

/// Tasks in the order of their numbers. One that was withdrawn leaves its place empty until those before it are gone.
struct Lane<T> {
    places: VecDeque<(TaskNumber, Option<T>)>,
    waiting: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { places: VecDeque::new(), waiting: 0 }
    }
}

impl<T> Lane<T> {
    fn push(&mut self, number: TaskNumber, task: T) {
        self.places.push_back((number, Some(task)));
        self.waiting += 1;
    }

    /// The first place is never empty.
    fn first(&self) -> Option<TaskNumber> {
        self.places.front().map(|(number, _)| *number)
    }

    fn pop(&mut self) -> Option<T> {
        let (_, task) = self.places.pop_front()?;
        self.waiting -= 1;
        self.drop_empty_places();
        task
    }

    fn withdraw(&mut self, number: TaskNumber) -> Option<T> {
        let at = self.places.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let task = self.places[at].1.take()?;
        self.waiting -= 1;
        self.drop_empty_places();
        Some(task)
    }

    fn drop_empty_places(&mut self) {
        while let Some((_, None)) = self.places.front() {
            self.places.pop_front();
        }
    }

    fn into_tasks(self) -> impl Iterator<Item = T> {
        self.places.into_iter().filter_map(|(_, task)| task)
    }
}

#[cfg(test)]
mod tests;
