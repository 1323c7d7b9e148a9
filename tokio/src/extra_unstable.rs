//! What only a build with `--cfg tokio_unstable` tells.

use std::time::Duration;

use model::catalogue::{
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_DEPTH_MAX, THREADPOOL_THREADS, TOKIO_FORCED_YIELDS,
    TOKIO_IO_DESCRIPTORS, TOKIO_IO_READY, TOKIO_LOCAL_QUEUE_DEPTH, TOKIO_LOCAL_SCHEDULES, TOKIO_NOOPS,
    TOKIO_OVERFLOWS, TOKIO_POLL_TIME, TOKIO_POLLS, TOKIO_REMOTE_SCHEDULES, TOKIO_SPAWNED_TASKS, TOKIO_STEALS,
    TOKIO_STOLEN_TASKS,
};
use model::instrument::{Counter, Gauge, Histogram, PeakGauge};
use model::label::{LabelValue, ThreadState};
use model::segment::Scope;
use model::time::Monotonic;
use telemetry::publish;
use tokio::runtime::RuntimeMetrics;

use crate::figures::OWN_TASKS;
use crate::workers::raise;

/// Whether the blocking pool's threads and queue are sampled, so that nobody else has to count them.
pub(crate) const SAMPLES_THE_POOL: bool = true;

pub(crate) struct Extra {
    /// Closed with the runtime, and its series of the process with it.
    _process: Scope,
    busy_threads: Gauge,
    idle_threads: Gauge,
    pool_depth: PeakGauge,
    spawned: Counter,
    local_depth: Gauge,
    remote_schedules: Counter,
    forced_yields: Counter,
    io_descriptors: Gauge,
    io_ready: Counter,
    of_workers: [(Counter, OfWorker); 6],
    polls: Option<PollTimes>,
}

/// What is counted for each worker.
type OfWorker = fn(&RuntimeMetrics, usize) -> u64;

impl Extra {
    pub(crate) fn new(runtime: &Scope, metrics: &RuntimeMetrics) -> Self {
        let process = publish::process_part_scope();
        let threads = |state: ThreadState| process.gauge(&THREADPOOL_THREADS, &[state.position()]);
        let of_workers: [(_, OfWorker); 6] = [
            (&TOKIO_POLLS, RuntimeMetrics::worker_poll_count),
            (&TOKIO_LOCAL_SCHEDULES, RuntimeMetrics::worker_local_schedule_count),
            (&TOKIO_STOLEN_TASKS, RuntimeMetrics::worker_steal_count),
            (&TOKIO_STEALS, RuntimeMetrics::worker_steal_operations),
            (&TOKIO_OVERFLOWS, RuntimeMetrics::worker_overflow_count),
            (&TOKIO_NOOPS, RuntimeMetrics::worker_noop_count),
        ];
        Self {
            busy_threads: threads(ThreadState::Busy),
            idle_threads: threads(ThreadState::Idle),
            pool_depth: process.peak_gauge(&THREADPOOL_QUEUE_DEPTH, &THREADPOOL_QUEUE_DEPTH_MAX, &[]),
            spawned: runtime.counter(&TOKIO_SPAWNED_TASKS, &[]),
            local_depth: runtime.gauge(&TOKIO_LOCAL_QUEUE_DEPTH, &[]),
            remote_schedules: runtime.counter(&TOKIO_REMOTE_SCHEDULES, &[]),
            forced_yields: runtime.counter(&TOKIO_FORCED_YIELDS, &[]),
            io_descriptors: runtime.gauge(&TOKIO_IO_DESCRIPTORS, &[]),
            io_ready: runtime.counter(&TOKIO_IO_READY, &[]),
            of_workers: of_workers.map(|(metric, read)| (runtime.counter(metric, &[]), read)),
            polls: metrics.poll_time_histogram_enabled().then(|| PollTimes::new(runtime, metrics)),
            _process: process,
        }
    }

    pub(crate) fn sample(&mut self, metrics: &RuntimeMetrics, now: Monotonic) {
        let (threads, idle) = (metrics.num_blocking_threads(), metrics.num_idle_blocking_threads());
        self.busy_threads.set(threads.saturating_sub(idle) as i64);
        self.idle_threads.set(idle as i64);
        self.pool_depth.set(metrics.blocking_queue_depth() as u64, now);
        raise(&self.spawned, metrics.spawned_tasks_count().saturating_sub(OWN_TASKS));
        let workers = 0..metrics.num_workers();
        let local_depth: usize = workers.clone().map(|worker| metrics.worker_local_queue_depth(worker)).sum();
        self.local_depth.set(local_depth as i64);
        raise(&self.remote_schedules, metrics.remote_schedule_count());
        raise(&self.forced_yields, metrics.budget_forced_yield_count());
        let registered = metrics.io_driver_fd_registered_count();
        self.io_descriptors.set(registered.saturating_sub(metrics.io_driver_fd_deregistered_count()) as i64);
        raise(&self.io_ready, metrics.io_driver_ready_count());
        for (counter, read) in &self.of_workers {
            raise(counter, workers.clone().map(|worker| read(metrics, worker)).sum());
        }
        if let Some(polls) = &mut self.polls {
            polls.sample(metrics);
        }
    }
}

/// tokio's histogram of polls, poured into ours.
struct PollTimes {
    histogram: Histogram,
    /// For each bucket of tokio's, what stands for its durations, and how many of all workers were poured so far.
    buckets: Vec<(u64, u64)>,
}

impl PollTimes {
    fn new(runtime: &Scope, metrics: &RuntimeMetrics) -> Self {
        let middles = (0..metrics.poll_time_histogram_num_buckets()).map(|bucket| {
            let range = metrics.poll_time_histogram_bucket_range(bucket);
            (middle_ns(range.start, range.end), 0)
        });
        Self { histogram: runtime.histogram(&TOKIO_POLL_TIME, &[]), buckets: middles.collect() }
    }

    fn sample(&mut self, metrics: &RuntimeMetrics) {
        for (bucket, (ns, poured)) in self.buckets.iter_mut().enumerate() {
            let workers = 0..metrics.num_workers();
            let counted: u64 =
                workers.map(|worker| metrics.poll_time_histogram_bucket_count(worker, bucket)).sum();
            let new = counted.saturating_sub(*poured);
            if new > 0 {
                self.histogram.record_many_ns(*ns, new);
                *poured = counted;
            }
        }
    }
}

/// The middle of a bucket; of the last one, which has no end, its beginning.
fn middle_ns(start: Duration, end: Duration) -> u64 {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    match ns(end) {
        u64::MAX => ns(start),
        end => ns(start).midpoint(end),
    }
}
