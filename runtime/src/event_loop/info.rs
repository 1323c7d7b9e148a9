//! What a loop tells of itself without telemetry: libuv's metrics, as plain readings.

use std::cell::Cell;
use std::time::Duration;

use super::EventLoop;

/// What a loop has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopInfo {
    /// Iterations that came to their poll.
    pub iterations: u64,
    /// Events that polls returned, and completions of pool requests.
    pub events: u64,
    /// Those that had arrived before the loop came to its poll: the loop was late for them. Events of a poll that may wait
    /// are looked at only with [`Builder::count_waiting_events`](super::Builder::count_waiting_events); without it they
    /// do not count here.
    pub events_waiting: u64,
}

/// The counters behind the readings.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) iterations: Cell<u64>,
    pub(crate) events: Cell<u64>,
    pub(crate) events_waiting: Cell<u64>,
    pub(crate) idle_ns: Cell<u64>,
}

pub(crate) fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl EventLoop {
    /// What the loop has done since it was made.
    pub fn info(&self) -> LoopInfo {
        let counts = &self.core.counts;
        LoopInfo {
            iterations: counts.iterations.get(),
            events: counts.events.get(),
            events_waiting: counts.events_waiting.get(),
        }
    }

    /// How long the loop has waited in its polls since it was made. Its utilization is what is missing to the time that
    /// passed: `1 - idle / passed`, of the differences between two readings.
    pub fn idle_time(&self) -> Duration {
        Duration::from_nanos(self.core.counts.idle_ns.get())
    }
}
