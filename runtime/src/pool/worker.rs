//! The threads of a pool: a driver around [`Dispatch`], which decides everything.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

use model::label::{Outcome, TaskKind, ThreadState};
use model::time::Monotonic;

use super::dispatch::{Call, Dispatch, From, LINGER_NS, Next, Order, TaskNumber};
use super::instruments::Instruments;
use super::{Task, TaskError};
use crate::lingering;
use telemetry::clock;

/// As tools show it, which cut names off at 15 bytes.
const THREAD_NAME: &str = "loopscope-pool";

/// How long a worker that lingers does not give way: on a busy machine it may be the submitter who waits for this processor.
const SPIN_NS: u64 = 1_000;

/// What the threads of a pool and its users share.
pub(super) struct Shared {
    dispatch: Mutex<Dispatch<Queued, Worker>>,
    /// Set, under the lock, when there is something new for a lingering worker.
    news: AtomicBool,
    /// Whether calls of workers were deferred. Changes under the lock.
    deferring: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    instruments: Option<&'static Instruments>,
    /// What the dispatch was told, to be read without the lock, which a forked child must not take. Changes under it.
    threads_max: AtomicUsize,
    fair: AtomicBool,
}

/// What a pool was told to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) threads: usize,
    pub(super) order: Order,
    pub(super) instruments: bool,
}

/// A task that waits.
struct Queued {
    kind: TaskKind,
    submitted: Monotonic,
    task: Box<dyn Task>,
}

/// A thread of the pool, by identity.
#[derive(Clone)]
struct Worker(Thread);

impl PartialEq for Worker {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

/// Queues a task. One that cannot run ends with the reason, and gets no number.
pub(super) fn submit(shared: &Arc<Shared>, kind: TaskKind, task: Box<dyn Task>) -> Option<TaskNumber> {
    let now = clock::monotonic();
    if let Some(instruments) = shared.instruments {
        instruments.task_submitted(kind, now);
    }
    let submitted = {
        let mut dispatch = shared.lock();
        shared.news.store(true, Ordering::Relaxed);
        let submitted = dispatch.submit(kind, Queued { kind, submitted: now, task }, now);
        shared.deferring.store(dispatch.is_deferring(), Ordering::Relaxed);
        submitted
    };
    match submitted {
        Ok((number, call)) => {
            follow(shared, call);
            if kind != TaskKind::Fs {
                call_all_deferred(shared);
            }
            Some(number)
        }
        Err(queued) => {
            shared.give_up(queued, TaskError::ShutDown);
            None
        }
    }
}

/// Calls one of the workers that were not called when tasks were submitted.
#[inline]
pub(super) fn call_deferred(shared: &Arc<Shared>) {
    if shared.deferring.load(Ordering::Relaxed) {
        let call = {
            let mut dispatch = shared.lock();
            let call = dispatch.call_deferred();
            shared.deferring.store(dispatch.is_deferring(), Ordering::Relaxed);
            call
        };
        follow(shared, call);
    }
}

/// Calls all of them.
fn call_all_deferred(shared: &Arc<Shared>) {
    if shared.deferring.load(Ordering::Relaxed) {
        let calls = {
            let mut dispatch = shared.lock();
            shared.deferring.store(false, Ordering::Relaxed);
            dispatch.call_all_deferred()
        };
        calls.into_iter().for_each(|call| follow(shared, Some(call)));
    }
}

/// Changes the most workers that there are.
pub(super) fn resize(shared: &Arc<Shared>, threads: usize) {
    change(shared, |dispatch| match shared.threads_max.swap(threads, Ordering::Relaxed) {
        before if before == threads => Vec::new(),
        _ => dispatch.resize(threads),
    });
}

/// Changes the order in which tasks start.
pub(super) fn set_order(shared: &Arc<Shared>, order: Order) {
    let fair = order == Order::Fair;
    change(shared, |dispatch| match shared.fair.swap(fair, Ordering::Relaxed) {
        before if before == fair => Vec::new(),
        _ => dispatch.set_order(order),
    });
}

fn change(shared: &Arc<Shared>, change: impl FnOnce(&mut Dispatch<Queued, Worker>) -> Vec<Call<Worker>>) {
    let calls = {
        let mut dispatch = shared.lock();
        shared.news.store(true, Ordering::Relaxed);
        change(&mut dispatch)
    };
    calls.into_iter().for_each(|call| follow(shared, Some(call)));
}

/// Calls a worker.
fn follow(shared: &Arc<Shared>, call: Option<Call<Worker>>) {
    match call {
        None => {}
        Some(Call::Wake(worker)) => worker.0.unpark(),
        Some(Call::Start) => start(shared),
    }
}

fn start(shared: &Arc<Shared>) {
    let of_thread = Arc::clone(shared);
    match thread::Builder::new().name(THREAD_NAME.to_owned()).spawn(move || work(&of_thread)) {
        Ok(thread) => {
            let mut threads = shared.threads();
            // A pool that shrinks and grows leaves the handles of those that have ended.
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        }
        Err(error) => shared.start_failed(&error),
    }
}

/// What a thread of the pool does, from its start to its end.
///
/// A task's end is told after the thread has asked what is next: the loop may answer with another task at once, which
/// should find this thread free, and not wake a second one.
fn work(shared: &Arc<Shared>) {
    let me = Worker(thread::current());
    let mut state = ThreadState::Idle;
    if let Some(instruments) = shared.instruments {
        instruments.thread_started();
    }
    let mut ended: Option<Ended> = None;
    let mut from = From::Called;
    loop {
        let (next, calls) = shared.next(&me, from, ended.as_ref());
        calls.into_iter().for_each(|call| follow(shared, Some(call)));
        let to = if matches!(next, Next::Run(..)) { ThreadState::Busy } else { ThreadState::Idle };
        if let Some(instruments) = shared.instruments.filter(|_| state != to) {
            instruments.thread_changed(to);
        }
        state = to;
        let told = ended.take().map(Ended::tell).is_some();
        from = match next {
            Next::Run(queued) => {
                let kind = queued.kind;
                let ran = run(shared.instruments, queued);
                let at = ran.at;
                ended = Some(ran);
                From::Task(kind, at)
            }
            Next::Linger => {
                lingering::stay_awake(|| shared.news.load(Ordering::Relaxed), SPIN_NS, LINGER_NS);
                From::Lingering
            }
            // Telling can run code of the program, which may have waited and so used up a call: ask again.
            Next::Sleep if told => From::Called,
            Next::Sleep => {
                thread::park();
                From::Called
            }
            Next::End => break,
        };
    }
    let call = shared.lock().worker_ended();
    follow(shared, call);
    if let Some(instruments) = shared.instruments {
        instruments.thread_ended();
    }
}

/// A task that has run.
struct Ended {
    task: Box<dyn Task>,
    how: Result<(), Box<dyn Any + Send>>,
    started: Monotonic,
    at: Monotonic,
}

fn run(instruments: Option<&Instruments>, queued: Queued) -> Ended {
    let Queued { kind, submitted, mut task } = queued;
    let started = clock::monotonic();
    if let Some(instruments) = instruments {
        instruments.task_started(kind, submitted, started);
    }
    let result = catch_unwind(AssertUnwindSafe(|| task.run()));
    let at = clock::monotonic();
    if let Some(instruments) = instruments {
        instruments.task_ended(kind, *result.as_ref().unwrap_or(&Outcome::Failed), started, at);
    }
    Ended { task, how: result.map(drop), started, at }
}

impl Ended {
    /// What is dropped here is the program's, and may panic as well: that must not cost the pool its thread.
    fn tell(self) {
        let Self { task, how, at, .. } = self;
        let _ = catch_unwind(AssertUnwindSafe(|| task.end(how.map_err(panicked), at)));
    }
}

/// What a panic said, in the two forms that `panic!` gives it.
fn panicked(payload: Box<dyn Any + Send>) -> TaskError {
    let message = match payload.downcast_ref::<&'static str>() {
        Some(message) => (*message).to_owned(),
        None => payload.downcast_ref::<String>().cloned().unwrap_or_default(),
    };
    TaskError::Panicked { message }
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        let may_linger = lingering::is_of_use();
        Self {
            dispatch: Mutex::new(Dispatch::new(settings.threads, settings.order, may_linger)),
            news: AtomicBool::new(false),
            deferring: AtomicBool::new(false),
            threads: Mutex::new(Vec::new()),
            instruments: settings.instruments.then(Instruments::of_process),
            threads_max: AtomicUsize::new(settings.threads),
            fair: AtomicBool::new(settings.order == Order::Fair),
        }
    }

    /// What a worker does next, and whom it calls.
    fn next(&self, me: &Worker, from: From, ended: Option<&Ended>) -> (Next<Queued>, Vec<Call<Worker>>) {
        let mut dispatch = self.lock();
        if let (From::Task(kind, at), Some(ended)) = (from, ended) {
            dispatch.ran(kind, at.since_ns(ended.started));
        }
        let next = dispatch.next(me, from);
        let mut calls = Vec::new();
        match &next {
            Next::Run(queued) if dispatch.is_deferring() => {
                calls = dispatch.after_take(from, queued.kind);
                self.deferring.store(dispatch.is_deferring(), Ordering::Relaxed);
            }
            Next::Linger => self.news.store(false, Ordering::Relaxed),
            _ => {}
        }
        (next, calls)
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            threads: self.threads_max.load(Ordering::Relaxed),
            order: if self.fair.load(Ordering::Relaxed) { Order::Fair } else { Order::Submission },
            instruments: self.instruments.is_some(),
        }
    }

    /// Takes a task back that has not started; it ends as cancelled.
    pub(super) fn cancel(&self, kind: TaskKind, number: TaskNumber) -> bool {
        let withdrawn = self.lock().withdraw(kind, number);
        withdrawn.map(|queued| self.give_up(queued, TaskError::Cancelled)).is_some()
    }

    /// Takes nothing more. Threads end once what was submitted has run.
    pub(super) fn close(&self) {
        let asleep = {
            let mut dispatch = self.lock();
            self.news.store(true, Ordering::Relaxed);
            dispatch.close()
        };
        asleep.iter().for_each(|worker| worker.0.unpark());
    }

    /// Waits until all threads have ended but the calling one.
    pub(super) fn join(&self) {
        let me = thread::current().id();
        // One at a time, since a thread that is waited for may be starting another.
        while let Some(thread) = { self.threads().pop() } {
            if thread.thread().id() != me {
                thread.join().expect("a thread of the pool catches its tasks' panics");
            }
        }
    }

    /// If the pool has no thread at all, nobody would ever run what waits.
    fn start_failed(&self, error: &io::Error) {
        let stranded: Vec<_> = {
            let mut dispatch = self.lock();
            let threads = dispatch.start_failed();
            if threads == 0 { dispatch.withdraw_all().collect() } else { Vec::new() }
        };
        let code = error.raw_os_error().unwrap_or(0);
        stranded.into_iter().for_each(|queued| self.give_up(queued, TaskError::NoThread { code }));
    }

    /// Ends a task that will never start.
    fn give_up(&self, queued: Queued, why: TaskError) {
        let now = clock::monotonic();
        if let Some(instruments) = self.instruments {
            let outcome = if why == TaskError::Cancelled { Outcome::Cancelled } else { Outcome::Failed };
            instruments.task_given_up(queued.kind, outcome, now);
        }
        queued.task.end(Err(why), now);
    }

    /// A panic cannot leave the dispatch half changed: nothing of a program's runs under the lock.
    fn lock(&self) -> MutexGuard<'_, Dispatch<Queued, Worker>> {
        self.dispatch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
