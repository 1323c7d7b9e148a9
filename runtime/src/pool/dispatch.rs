//! Who runs what next: every decision of the pool, without a thread, a lock or a clock in it.
//!
//! **Order.** Tasks start in the order in which they were submitted, but for slow I/O (name look-ups), which may hold at
//! most half of the threads, as in libuv: beyond that it waits and others pass it. In the *fair* order the kinds take turns
//! instead, so that a thousand compressions in the queue delay a file operation by one of them at most; and all that are
//! not file operations leave one thread free for those, if there is more than one.
//!
//! **Size.** It may change at any time. A larger pool starts workers as they are needed, a smaller one ends those that
//! have nothing to do at once, and others as soon as they have ended their task.
//!
//! **Wake-ups.** A worker is *searching* from when it is called, or has ended a task, until it takes a task or goes to
//! sleep. As long as there are workers to be called, no fewer are searching than tasks could start (but see below). Only a submission can
//! upset that, and then calls one: who takes a task lowers both numbers, and who ends a slow one, so that another may
//! start, searches. So each wake-up has a task for it, and no task waits for a worker that sleeps.
//!
//! **Deferred calls.** Being woken takes longer than most file operations, and waking longer than some. So while file
//! operations are short on average, one that finds a worker awake, searching or running another one, calls nobody, up to a
//! few a worker. Whoever submits from a loop calls a worker for what is left before the loop waits, who calls the next if he
//! still finds more than one task. A task of another kind, when it comes or starts, calls all.
//!
//! **Lingering.** Sleeping and being woken takes longer than most file-system calls. So one worker at a time, having
//! found nothing, stays awake a little, but only if the last time the pool ran dry the next task came within that little:
//! a program that submits one task after the other saves the wake-ups, one that rests pays nothing.

mod lane;

use model::label::TaskKind;
use model::time::Monotonic;

use self::lane::Lane;

/// The longest that a worker stays awake with nothing to do.
pub(super) const LINGER_NS: u64 = 50_000;

/// So many file operations may wait for each worker that is awake.
const DEFERRED_MAX: usize = 8;

/// File operations that take longer are worth a wake-up each.
const SHORT_NS: u64 = 10_000;

/// What counts of one that took long: the thread may have lost its processor.
const RUN_NS_MAX: u64 = 4 * SHORT_NS;

const KINDS: usize = TaskKind::ALL.len();

/// In which order tasks start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// That in which they were submitted, as in libuv.
    #[default]
    Submission,
    /// The kinds take turns, and one thread, if there are several, is for file operations alone.
    Fair,
}

/// A task's number, in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TaskNumber(u64);

/// The state of a pool of `W`s that run `T`s.
pub(super) struct Dispatch<T, W> {
    /// What waits, by the position of its kind.
    lanes: [Lane<T>; KINDS],
    order: Order,
    /// The kind whose turn it is, in the fair order.
    turn: usize,
    slow_running: usize,
    /// Tasks that are not file operations.
    others_running: usize,
    files_running: usize,
    /// Whether tasks wait for which calls were deferred.
    deferring: bool,
    /// How long file operations take, the last ones counting most.
    file_run_ns: u64,
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
    pub(super) fn new(size: usize, order: Order, may_linger: bool) -> Self {
        Self {
            lanes: std::array::from_fn(|_| Lane::default()),
            order,
            turn: 0,
            slow_running: 0,
            others_running: 0,
            files_running: 0,
            deferring: false,
            file_run_ns: SHORT_NS,
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
        self.lanes[kind as usize].push(number, task);
        Ok((number, if self.defers(kind) { None } else { self.call_if_needed() }))
    }

    /// Whether calling a worker for a task that was just queued is left for later.
    fn defers(&mut self, kind: TaskKind) -> bool {
        if is_other(kind) || !self.may_linger || self.file_run_ns >= SHORT_NS {
            return false;
        }
        let (awake, startable) = (self.searching + self.files_running, self.startable());
        if startable <= self.searching {
            return false;
        }
        let defers = startable <= DEFERRED_MAX * awake;
        self.deferring |= defers;
        defers
    }

    /// Whether tasks wait for which calls were deferred.
    pub(super) fn is_deferring(&self) -> bool {
        self.deferring
    }

    /// Calls one of the workers that were not called when tasks were submitted.
    pub(super) fn call_deferred(&mut self) -> Option<Call<W>> {
        let call = self.call_if_needed();
        self.deferring = call.is_some() && self.startable() > self.searching;
        call
    }

    /// Calls all of them.
    pub(super) fn call_all_deferred(&mut self) -> Vec<Call<W>> {
        self.deferring = false;
        self.calls().collect()
    }

    /// A task has run for so long.
    pub(super) fn ran(&mut self, kind: TaskKind, run_ns: u64) {
        if !is_other(kind) {
            self.file_run_ns = (7 * self.file_run_ns + run_ns.min(RUN_NS_MAX)) / 8;
        }
    }

    /// A worker, which comes from there, has taken a task. Gives the workers to call in spite of deferring.
    pub(super) fn after_take(&mut self, from: From, kind: TaskKind) -> Vec<Call<W>> {
        if is_other(kind) || self.file_run_ns >= SHORT_NS {
            return self.call_all_deferred();
        }
        self.deferring = self.startable() > self.searching;
        match from {
            From::Called if self.deferring => self.call_deferred().into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Takes a task back that has not started.
    pub(super) fn withdraw(&mut self, kind: TaskKind, number: TaskNumber) -> Option<T> {
        self.lanes[kind as usize].withdraw(number)
    }

    /// Takes back all tasks that have not started.
    pub(super) fn withdraw_all(&mut self) -> impl Iterator<Item = T> + use<T, W> {
        std::mem::replace(&mut self.lanes, std::array::from_fn(|_| Lane::default()))
            .into_iter()
            .flat_map(Lane::into_tasks)
    }

    /// Tells the worker `me` what to do next.
    pub(super) fn next(&mut self, me: &W, from: From) -> Next<T> {
        match from {
            // A sleeper can wake up without a call.
            From::Called if self.asleep.contains(me) => return Next::Sleep,
            From::Called => {}
            From::Task(kind, _) => {
                self.searching += 1;
                self.slow_running -= usize::from(is_slow(kind));
                self.others_running -= usize::from(is_other(kind));
                self.files_running -= usize::from(!is_other(kind));
            }
            From::Lingering => self.lingering = false,
        }
        if self.workers > self.size {
            self.searching -= 1;
            self.workers -= 1;
            return Next::End;
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

    /// Changes the number of workers. Gives those to call: to run what may start now, or to end.
    pub(super) fn resize(&mut self, size: usize) -> Vec<Call<W>> {
        self.size = size;
        self.asleep.reserve(size.saturating_sub(self.asleep.len()));
        let surplus = self.workers.saturating_sub(size).min(self.asleep.len());
        self.searching += surplus;
        let ending = self.asleep.split_off(self.asleep.len() - surplus).into_iter().map(Call::Wake);
        ending.collect::<Vec<_>>().into_iter().chain(self.calls()).collect()
    }

    /// Changes the order. Gives the workers to call for what may start now.
    pub(super) fn set_order(&mut self, order: Order) -> Vec<Call<W>> {
        self.order = order;
        self.calls().collect()
    }

    /// A worker has ended. Gives whom to call for what it may have been called for.
    pub(super) fn worker_ended(&mut self) -> Option<Call<W>> {
        self.call_if_needed()
    }

    fn calls(&mut self) -> impl Iterator<Item = Call<W>> {
        std::iter::from_fn(|| self.call_if_needed())
    }

    /// Half of the threads, rounded up.
    fn slow_capacity(&self) -> usize {
        self.size.div_ceil(2).saturating_sub(self.slow_running)
    }

    /// What is not a file operation: any number of them in the order of submission, all threads but one in the fair one.
    fn others_capacity(&self) -> usize {
        match self.order {
            Order::Submission => usize::MAX,
            Order::Fair => (self.size - 1).max(1).saturating_sub(self.others_running),
        }
    }

    fn waiting(&self, kind: TaskKind) -> usize {
        self.lanes[kind as usize].waiting
    }

    /// The tasks that could start now if there were workers enough.
    fn startable(&self) -> usize {
        let (mut files, mut others) = (0, 0);
        for &kind in TaskKind::ALL {
            match kind {
                kind if is_slow(kind) => others += self.waiting(kind).min(self.slow_capacity()),
                kind if is_other(kind) => others += self.waiting(kind),
                kind => files += self.waiting(kind),
            }
        }
        files + others.min(self.others_capacity())
    }

    fn take(&mut self) -> Option<T> {
        let at = self.first()?;
        let kind = TaskKind::ALL[at];
        self.turn = (at + 1) % KINDS;
        self.slow_running += usize::from(is_slow(kind));
        self.others_running += usize::from(is_other(kind));
        self.files_running += usize::from(!is_other(kind));
        self.lanes[at].pop()
    }

    /// The kind of task that starts next.
    fn first(&self) -> Option<usize> {
        let (slow, others) = (self.slow_capacity() > 0, self.others_capacity() > 0);
        let may_start = |at: &usize| {
            let kind = TaskKind::ALL[*at];
            self.lanes[*at].waiting > 0 && (slow || !is_slow(kind)) && (others || !is_other(kind))
        };
        match self.order {
            Order::Submission => (0..KINDS).filter(may_start).min_by_key(|&at| self.lanes[at].first()),
            Order::Fair => (self.turn..self.turn + KINDS).map(|at| at % KINDS).find(may_start),
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

/// What may keep a thread for long: everything but file operations.
fn is_other(kind: TaskKind) -> bool {
    kind != TaskKind::Fs
}

#[cfg(all(test, loom))]
mod interleavings;
#[cfg(test)]
mod tests;
