//! What one loop measures of itself.
//!
//! **The cost decides the design.** Reading the clock takes longer than all recordings of an empty iteration together,
//! so the loop reads it only where it must for its own time: after each phase that ran a callback, and after each poll
//! that waited or returned events. The instruments use those readings and ask for more only between callbacks of one
//! phase, where a timer's lateness or a completion's delay needs one, and around ticks and microtasks. Each duration
//! therefore begins where the one before it ended, and a poll that neither waited nor returned anything takes no time
//! of its own: what it took counts for what follows.
//!
//! A loop without instruments runs the same code with nothing behind it.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use model::catalogue::{
    EVENTLOOP_CALLBACKS, EVENTLOOP_HANDLES, EVENTLOOP_ITERATIONS, EVENTLOOP_LAG, EVENTLOOP_PHASE_DURATION,
    EVENTLOOP_REQUESTS, EVENTLOOP_TIME, EVENTLOOP_TIMER_LATENESS, THREADPOOL_COMPLETION_DELAY,
};
use model::instrument::{LocalCounter, LocalGauge, LocalHistogram};
use model::label::{HandleType, LabelValue, LoopState, Phase, RequestType, TaskKind};
use model::segment::Scope;
use model::time::Monotonic;

use super::slow_iterations::{SlowIteration, SlowIterations};

/// The instruments of one loop, or nothing in their place.
pub(crate) struct LoopInstruments {
    recorder: Option<Recorder>,
}

struct Recorder {
    lag: LocalHistogram,
    timer_lateness: LocalHistogram,
    phase_duration: [LocalHistogram; Phase::ALL.len()],
    active: LocalCounter,
    idle: LocalCounter,
    iterations: LocalCounter,
    callbacks: [LocalCounter; Phase::ALL.len()],
    handles: [LocalGauge; HandleType::ALL.len()],
    requests: [LocalGauge; RequestType::ALL.len()],
    completion_delay: [LocalHistogram; TaskKind::ALL.len()],
    /// Where the last recorded duration ended.
    mark: Cell<Monotonic>,
    /// Since when the loop has been away from the poll.
    away_since: Cell<Monotonic>,
    /// Time that ticks and microtasks took since the mark: it is theirs, not the phase's that they ran in.
    nested_ns: Cell<u64>,
    slow_iterations: SlowIterations,
    /// `None` after the loop ended. Handles may outlive it, and its cells may then be another loop's.
    scope: RefCell<Option<Scope>>,
}

impl LoopInstruments {
    /// Instruments that live in `scope`.
    pub(crate) fn new(scope: Scope, slow: Duration) -> Self {
        Self { recorder: Some(Recorder::new(scope, slow)) }
    }

    /// Nothing.
    pub(crate) fn off() -> Self {
        Self { recorder: None }
    }

    /// Whether anything is recorded: a reading of the clock that serves only recording can be spared otherwise.
    #[inline]
    pub(crate) fn are_on(&self) -> bool {
        self.recorder.is_some()
    }

    /// A run begins.
    pub(crate) fn run_began(&self, now: Monotonic) {
        if let Some(recorder) = &self.recorder {
            recorder.mark.set(now);
            recorder.away_since.set(now);
            recorder.nested_ns.set(0);
            // A panic may have ended the run before.
            recorder.slow_iterations.begin();
            recorder.slow_iterations.away_since(now);
        }
    }

    /// Callbacks ran outside any phase: ticks that were queued before the run.
    pub(crate) fn run_prepared(&self, now: Monotonic) {
        if let Some(recorder) = &self.recorder {
            recorder.mark.set(now);
            recorder.nested_ns.set(0);
        }
    }

    /// A phase ended in which `callbacks` ran.
    #[inline]
    pub(crate) fn phase_ended(&self, phase: Phase, callbacks: u64, now: Monotonic) {
        if let Some(recorder) = &self.recorder {
            let since_mark = now.since_ns(recorder.mark.replace(now));
            let own_ns = since_mark.saturating_sub(recorder.nested_ns.take());
            recorder.phase_duration[phase as usize].record_ns(own_ns);
            recorder.callbacks[phase as usize].add(callbacks);
            recorder.slow_iterations.phase(phase, own_ns, callbacks);
        }
    }

    /// A callback of this type, or of a handle of this type, is about to run.
    #[inline]
    pub(crate) fn callback_runs(&self, name: &'static str) {
        if let Some(recorder) = &self.recorder {
            recorder.slow_iterations.note(name);
        }
    }

    /// The slow iterations that are kept.
    pub(crate) fn slow_iterations(&self) -> Vec<SlowIteration> {
        self.recorder.as_ref().map(|recorder| recorder.slow_iterations.read()).unwrap_or_default()
    }

    /// An iteration comes to its poll.
    #[inline]
    pub(crate) fn iteration_polls(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.iterations.add(1);
            recorder.end_away();
        }
    }

    /// The poll is about to wait. One that does not is away all the time.
    #[inline]
    pub(crate) fn poll_waits(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.slow_iterations.not_away();
        }
    }

    /// An iteration polls again, because there were more events than one poll takes.
    pub(crate) fn polls_again(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.end_away();
        }
    }

    /// The poll ended; `waited` tells whether it was allowed to wait.
    #[inline]
    pub(crate) fn poll_ended(&self, waited: bool, now: Monotonic) {
        if let Some(recorder) = &self.recorder {
            let poll_ns = now.since_ns(recorder.mark.replace(now));
            recorder.away_since.set(now);
            recorder.slow_iterations.away_since(now);
            if waited {
                recorder.phase_duration[Phase::PollWait as usize].record_ns(poll_ns);
                recorder.idle.add(poll_ns);
            } else {
                recorder.active.add(poll_ns);
            }
        }
    }

    /// A run ended. What it did since its last poll counts as lag, unless it was nothing.
    pub(crate) fn run_ended(&self) {
        if let Some(recorder) = &self.recorder
            && recorder.away_since.get() < recorder.mark.get()
        {
            recorder.end_away();
        }
    }

    /// The loop no longer runs, even if a panic has ended its run.
    pub(crate) fn run_left(&self) {
        if let Some(recorder) = self.while_published() {
            recorder.slow_iterations.not_away();
        }
    }

    /// Ticks or microtasks ran, from `start` to `end`.
    pub(crate) fn drained(&self, phase: Phase, callbacks: u64, start: Monotonic, end: Monotonic) {
        if let Some(recorder) = &self.recorder {
            let ns = end.since_ns(start);
            recorder.phase_duration[phase as usize].record_ns(ns);
            recorder.callbacks[phase as usize].add(callbacks);
            recorder.nested_ns.set(recorder.nested_ns.get() + ns);
            recorder.slow_iterations.phase(phase, ns, callbacks);
        }
    }

    /// The callback of a timer that was due at `due` starts.
    #[inline]
    pub(crate) fn timer_starts(&self, due: Monotonic, now: Monotonic) {
        if let Some(recorder) = &self.recorder {
            recorder.timer_lateness.record_ns(now.since_ns(due));
        }
    }

    /// The completion callback of a pool task that ended at `finished` starts.
    #[inline]
    pub(crate) fn completion_starts(&self, kind: TaskKind, finished: Monotonic, now: Monotonic) {
        if let Some(recorder) = &self.recorder {
            recorder.completion_delay[kind as usize].record_ns(now.since_ns(finished));
        }
    }

    /// Handles of a type were opened (`1`) or closed (`-1`).
    pub(crate) fn handles_changed(&self, handle_type: HandleType, change: i64) {
        if let Some(recorder) = self.while_published() {
            recorder.handles[handle_type as usize].add(change);
        }
    }

    /// Requests of a type began (`1`) or ended (`-1`).
    pub(crate) fn requests_changed(&self, request_type: RequestType, change: i64) {
        if let Some(recorder) = self.while_published() {
            recorder.requests[request_type as usize].add(change);
        }
    }

    /// The loop ended: its series are no longer published.
    pub(crate) fn loop_ended(&self) {
        if let Some(recorder) = &self.recorder {
            recorder.scope.take();
        }
    }

    fn while_published(&self) -> Option<&Recorder> {
        self.recorder.as_ref().filter(|recorder| recorder.scope.borrow().is_some())
    }
}

impl Recorder {
    /// The time away from the poll ends.
    #[inline(always)]
    fn end_away(&self) {
        let now = self.mark.get();
        let began = self.away_since.replace(now);
        let away_ns = now.since_ns(began);
        // In this order: whoever sees that the next one has begun sees this one as well.
        self.slow_iterations.iteration_ended(began, away_ns);
        self.slow_iterations.away_since(now);
        self.lag.record_ns(away_ns);
        self.active.add(away_ns);
    }

    fn new(scope: Scope, slow: Duration) -> Self {
        Self {
            lag: scope.local_histogram(&EVENTLOOP_LAG, &[]),
            timer_lateness: scope.local_histogram(&EVENTLOOP_TIMER_LATENESS, &[]),
            phase_duration: each(Phase::ALL, |phase| {
                scope.local_histogram(&EVENTLOOP_PHASE_DURATION, &[phase])
            }),
            active: scope.local_counter(&EVENTLOOP_TIME, &[LoopState::Active.position()]),
            idle: scope.local_counter(&EVENTLOOP_TIME, &[LoopState::Idle.position()]),
            iterations: scope.local_counter(&EVENTLOOP_ITERATIONS, &[]),
            callbacks: each(Phase::ALL, |phase| scope.local_counter(&EVENTLOOP_CALLBACKS, &[phase])),
            handles: each(HandleType::ALL, |handle| scope.local_gauge(&EVENTLOOP_HANDLES, &[handle])),
            requests: each(RequestType::ALL, |request| scope.local_gauge(&EVENTLOOP_REQUESTS, &[request])),
            completion_delay: each(TaskKind::ALL, |kind| {
                scope.local_histogram(&THREADPOOL_COMPLETION_DELAY, &[kind])
            }),
            mark: Cell::default(),
            away_since: Cell::default(),
            nested_ns: Cell::default(),
            // Last of all that takes room in the segment: where that is short, metrics matter more.
            slow_iterations: SlowIterations::new(slow, &scope),
            scope: RefCell::new(Some(scope)),
        }
    }
}

/// One instrument for each value of a label, in the order of their positions.
fn each<L: LabelValue, I, const N: usize>(values: &[L], instrument: impl Fn(u8) -> I) -> [I; N] {
    std::array::from_fn(|position| instrument(values[position].position()))
}
