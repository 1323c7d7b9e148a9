//! What the pools of this process measure, added up over all of them.
//!
//! Any thread records here, with atomic additions; none of it allocates. The instruments of a kind of task appear when
//! the first task of that kind is submitted.

use std::sync::OnceLock;

use model::catalogue::{
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_DEPTH_MAX, THREADPOOL_QUEUE_WAIT, THREADPOOL_RUN,
    THREADPOOL_TASKS, THREADPOOL_THREADS,
};
use model::instrument::{Counter, Gauge, Histogram, PeakGauge};
use model::label::{LabelValue, Outcome, TaskKind, ThreadState};
use model::segment::Scope;
use model::time::Monotonic;

use telemetry::publish;

pub(super) struct Instruments {
    busy: Gauge,
    idle: Gauge,
    depth: PeakGauge,
    kinds: [OnceLock<KindInstruments>; TaskKind::ALL.len()],
}

struct KindInstruments {
    wait: Histogram,
    run: Histogram,
    /// By the position of the outcome.
    ended: [Counter; Outcome::ALL.len()],
}

impl Instruments {
    pub(super) fn of_process() -> &'static Self {
        static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();
        INSTRUMENTS.get_or_init(|| {
            let scope = publish::process_scope();
            let threads = |state: ThreadState| scope.gauge(&THREADPOOL_THREADS, &[state.position()]);
            Self {
                busy: threads(ThreadState::Busy),
                idle: threads(ThreadState::Idle),
                depth: scope.peak_gauge(&THREADPOOL_QUEUE_DEPTH, &THREADPOOL_QUEUE_DEPTH_MAX, &[]),
                kinds: [const { OnceLock::new() }; TaskKind::ALL.len()],
            }
        })
    }

    pub(super) fn thread_started(&self) {
        self.idle.add(1);
    }

    pub(super) fn thread_ended(&self) {
        self.idle.add(-1);
    }

    /// A thread that waited runs a task now, or the other way round.
    pub(super) fn thread_changed(&self, to: ThreadState) {
        let (more, less) = match to {
            ThreadState::Busy => (&self.busy, &self.idle),
            ThreadState::Idle => (&self.idle, &self.busy),
        };
        more.add(1);
        less.add(-1);
    }

    pub(super) fn task_submitted(&self, kind: TaskKind, now: Monotonic) {
        self.of(kind);
        self.depth.increment(now);
    }

    pub(super) fn task_started(&self, kind: TaskKind, submitted: Monotonic, now: Monotonic) {
        self.depth.decrement(now);
        self.of(kind).wait.record_ns(now.since_ns(submitted));
    }

    pub(super) fn task_ended(&self, kind: TaskKind, outcome: Outcome, started: Monotonic, now: Monotonic) {
        let kind = self.of(kind);
        kind.run.record_ns(now.since_ns(started));
        kind.ended[outcome as usize].add(1);
    }

    /// A task ended that will never start.
    pub(super) fn task_given_up(&self, kind: TaskKind, outcome: Outcome, now: Monotonic) {
        self.depth.decrement(now);
        self.of(kind).ended[outcome as usize].add(1);
    }

    fn of(&self, kind: TaskKind) -> &KindInstruments {
        self.kinds[kind as usize].get_or_init(|| KindInstruments::new(publish::process_scope(), kind))
    }
}

impl KindInstruments {
    fn new(scope: &Scope, kind: TaskKind) -> Self {
        let ended =
            |at: usize| scope.counter(&THREADPOOL_TASKS, &[kind.position(), Outcome::ALL[at].position()]);
        Self {
            wait: scope.histogram(&THREADPOOL_QUEUE_WAIT, &[kind.position()]),
            run: scope.histogram(&THREADPOOL_RUN, &[kind.position()]),
            ended: std::array::from_fn(ended),
        }
    }
}
