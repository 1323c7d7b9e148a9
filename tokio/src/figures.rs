//! What every build of tokio tells of a runtime, copied into its scope.

use model::catalogue::{
    TOKIO_ALIVE_TASKS, TOKIO_BUSY, TOKIO_GLOBAL_QUEUE_DEPTH, TOKIO_GLOBAL_QUEUE_DEPTH_MAX, TOKIO_PARKS,
    TOKIO_UNPARKS, TOKIO_WORKERS,
};
use model::instrument::{Counter, Gauge, PeakGauge};
use model::label::{LabelValue, ThreadState};
use model::segment::Scope;
use model::time::Monotonic;
use tokio::runtime::RuntimeMetrics;

use crate::workers::raise;

/// The task by which the runtime's end is learned of is not the program's.
pub(crate) const OWN_TASKS: u64 = 1;

pub(crate) struct Figures {
    busy_workers: Gauge,
    parked_workers: Gauge,
    alive_tasks: Gauge,
    queue_depth: PeakGauge,
    busy: Counter,
    parks: Counter,
    unparks: Counter,
}

impl Figures {
    pub(crate) fn new(scope: &Scope) -> Self {
        Self {
            busy_workers: scope.gauge(&TOKIO_WORKERS, &[ThreadState::Busy.position()]),
            parked_workers: scope.gauge(&TOKIO_WORKERS, &[ThreadState::Idle.position()]),
            alive_tasks: scope.gauge(&TOKIO_ALIVE_TASKS, &[]),
            queue_depth: scope.peak_gauge(&TOKIO_GLOBAL_QUEUE_DEPTH, &TOKIO_GLOBAL_QUEUE_DEPTH_MAX, &[]),
            busy: scope.counter(&TOKIO_BUSY, &[]),
            parks: scope.counter(&TOKIO_PARKS, &[]),
            unparks: scope.counter(&TOKIO_UNPARKS, &[]),
        }
    }

    pub(crate) fn sample(&self, metrics: &RuntimeMetrics, now: Monotonic) {
        let (mut busy_ns, mut parks, mut turns, mut parked) = (0, 0, 0, 0);
        let workers = metrics.num_workers();
        for worker in 0..workers {
            let turns_of_worker = metrics.worker_park_unpark_count(worker);
            busy_ns += metrics.worker_total_busy_duration(worker).as_nanos() as u64;
            parks += metrics.worker_park_count(worker);
            turns += turns_of_worker;
            parked += turns_of_worker % 2;
        }
        self.busy_workers.set((workers as u64).saturating_sub(parked).cast_signed());
        self.parked_workers.set(parked.cast_signed());
        let tasks = (metrics.num_alive_tasks() as u64).saturating_sub(OWN_TASKS);
        self.alive_tasks.set(tasks.cast_signed());
        self.queue_depth.set(metrics.global_queue_depth() as u64, now);
        raise(&self.busy, busy_ns);
        raise(&self.parks, parks);
        raise(&self.unparks, turns.saturating_sub(parks));
    }
}
