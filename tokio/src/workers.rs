//! How a worker spends its time, as series of an event loop.

use model::catalogue::{EVENTLOOP_AWAY, EVENTLOOP_TIME};
use model::instrument::{Counter, Gauge};
use model::label::{LabelValue, LoopState};
use model::segment::Scope;

/// The time of one worker's loop: active where it is not parked.
pub(crate) struct LoopTime {
    active: Counter,
    idle: Counter,
    away: Gauge,
}

impl LoopTime {
    pub(crate) fn new(scope: &Scope) -> Self {
        Self {
            active: scope.counter(&EVENTLOOP_TIME, &[LoopState::Active.position()]),
            idle: scope.counter(&EVENTLOOP_TIME, &[LoopState::Idle.position()]),
            away: scope.gauge(&EVENTLOOP_AWAY, &[]),
        }
    }

    #[inline]
    pub(crate) fn active(&self, ns: u64) {
        self.active.add(ns);
    }

    #[inline]
    pub(crate) fn idle(&self, ns: u64) {
        self.idle.add(ns);
    }

    /// For how long the loop has been away; zero while it is parked.
    pub(crate) fn away(&self, ns: u64) {
        self.away.set(ns.cast_signed());
    }

    /// Raises the sums to what they are in all; a total below the one before changes nothing.
    pub(crate) fn totals(&self, active_ns: u64, idle_ns: u64) {
        raise(&self.active, active_ns);
        raise(&self.idle, idle_ns);
    }
}

/// Raises a counter that only the caller writes to a total that somebody else keeps.
pub(crate) fn raise(counter: &Counter, total: u64) {
    counter.add(total.saturating_sub(counter.get()));
}
