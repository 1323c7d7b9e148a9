//! What happens to jobs of the blocking pool.
//!
//! tokio tells, with `tokio_unstable`, how many jobs wait, but in no build for how long. [`spawn_blocking`] puts a job's
//! two clock readings into the job itself; the [`Probe`] puts in a job of its own.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use model::catalogue::{
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_DEPTH_MAX, THREADPOOL_QUEUE_WAIT, THREADPOOL_RUN,
    THREADPOOL_TASKS, THREADPOOL_THREADS, TOKIO_BLOCKING_PROBE_WAIT,
};
use model::instrument::{Counter, Gauge, Histogram, PeakGauge};
use model::label::{LabelValue, Outcome, TaskKind, ThreadState};
use model::segment::Scope;
use model::time::Monotonic;
use telemetry::{clock, publish};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::extra::SAMPLES_THE_POOL;

/// As [`tokio::task::spawn_blocking`], and records how long the job waits for a thread, how long it runs and how it ends:
/// `threadpool_queue_wait_seconds`, `threadpool_run_seconds` and `threadpool_tasks_total`, of the kind `work`.
///
/// Without `tokio_unstable` these jobs, and they alone, are also `threadpool_queue_depth` and the busy ones of
/// `threadpool_threads`. A job that panics has failed; one that never starts was cancelled.
///
/// # Panics
/// Outside of any runtime.
#[track_caller]
pub fn spawn_blocking<F, R>(job: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    spawn_blocking_on(&Handle::current(), job)
}

/// As [`spawn_blocking`], on a runtime that the caller need not run in.
#[track_caller]
pub fn spawn_blocking_on<F, R>(runtime: &Handle, job: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let waiting = Waiting::new(Instruments::of_process());
    runtime.spawn_blocking(move || {
        let _running = waiting.starts();
        job()
    })
}

/// What the jobs of all runtimes measure.
struct Instruments {
    /// Never closed: the process has done what it has done, also when a runtime ends.
    _scope: Scope,
    wait: Histogram,
    run: Histogram,
    /// By the position of the outcome.
    ended: [Counter; Outcome::ALL.len()],
    /// Where nobody else tells of the whole pool.
    jobs: Option<Jobs>,
}

struct Jobs {
    depth: PeakGauge,
    busy: Gauge,
}

impl Instruments {
    fn of_process() -> &'static Self {
        static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();
        INSTRUMENTS.get_or_init(|| {
            let (scope, kind) = (publish::process_part_scope(), TaskKind::Work.position());
            Self {
                wait: scope.histogram(&THREADPOOL_QUEUE_WAIT, &[kind]),
                run: scope.histogram(&THREADPOOL_RUN, &[kind]),
                ended: std::array::from_fn(|at| {
                    scope.counter(&THREADPOOL_TASKS, &[kind, Outcome::ALL[at].position()])
                }),
                jobs: (!SAMPLES_THE_POOL).then(|| Jobs {
                    depth: scope.peak_gauge(&THREADPOOL_QUEUE_DEPTH, &THREADPOOL_QUEUE_DEPTH_MAX, &[]),
                    busy: scope.gauge(&THREADPOOL_THREADS, &[ThreadState::Busy.position()]),
                }),
                _scope: scope,
            }
        })
    }
}

/// A job that has not started. Dropped, it never will.
struct Waiting {
    instruments: &'static Instruments,
    since: Monotonic,
    has_started: bool,
}

/// A job that runs. Dropped, it has ended.
struct Running {
    instruments: &'static Instruments,
    since: Monotonic,
}

impl Waiting {
    fn new(instruments: &'static Instruments) -> Self {
        let since = clock::monotonic();
        if let Some(jobs) = &instruments.jobs {
            jobs.depth.increment(since);
        }
        Self { instruments, since, has_started: false }
    }

    fn starts(mut self) -> Running {
        self.has_started = true;
        let now = clock::monotonic();
        self.instruments.wait.record_ns(now.since_ns(self.since));
        if let Some(jobs) = &self.instruments.jobs {
            jobs.busy.add(1);
        }
        Running { instruments: self.instruments, since: now }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(jobs) = &self.instruments.jobs {
            jobs.depth.decrement(clock::monotonic());
        }
        if !self.has_started {
            self.instruments.ended[Outcome::Cancelled as usize].add(1);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let outcome = if thread::panicking() { Outcome::Failed } else { Outcome::Done };
        self.instruments.run.record_ns(clock::monotonic().since_ns(self.since));
        self.instruments.ended[outcome as usize].add(1);
        if let Some(jobs) = &self.instruments.jobs {
            jobs.busy.add(-1);
        }
    }
}

/// Asks one runtime's pool, now and then, how long a job waits.
pub(crate) struct Probe {
    runtime: Handle,
    every_ns: u64,
    due: Monotonic,
    wait: Histogram,
    /// Whether a job of the probe is under way.
    is_out: Arc<AtomicBool>,
    has_ended: Arc<AtomicBool>,
}

impl Probe {
    pub(crate) fn new(
        scope: &Scope,
        runtime: &Handle,
        every: Duration,
        has_ended: &Arc<AtomicBool>,
        now: Monotonic,
    ) -> Self {
        Self {
            runtime: runtime.clone(),
            every_ns: u64::try_from(every.as_nanos()).unwrap_or(u64::MAX),
            due: now,
            wait: scope.histogram(&TOKIO_BLOCKING_PROBE_WAIT, &[]),
            is_out: Arc::default(),
            has_ended: Arc::clone(has_ended),
        }
    }

    pub(crate) fn submit_if_due(&mut self, now: Monotonic) {
        if now < self.due || self.is_out.swap(true, Relaxed) {
            return;
        }
        self.due = now.plus_ns(self.every_ns);
        let (wait, out, has_ended) = (self.wait, Out(Arc::clone(&self.is_out)), Arc::clone(&self.has_ended));
        let submitted = clock::monotonic();
        let job = move || {
            let _out = out;
            // The cells of a runtime that has ended may be another's.
            if !has_ended.load(Relaxed) {
                wait.record_ns(clock::monotonic().since_ns(submitted));
            }
        };
        // tokio panics where the system gives it no thread: no reason to end the sampler.
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.runtime.spawn_blocking(job)));
    }
}

/// A job of the probe, wherever it ends.
struct Out(Arc<AtomicBool>);

impl Drop for Out {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}
