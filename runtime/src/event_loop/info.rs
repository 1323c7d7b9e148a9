//! What a loop tells of itself without telemetry: libuv's metrics, as plain readings.

use std::cell::Cell;
use std::time::Duration;

use super::EventLoop;
use crate::observe::SlowIteration;

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
    /// Whether the last poll waited.
    pub(crate) waited: Cell<bool>,
}

impl Counts {
    /// Events that the last poll gave.
    pub(crate) fn add_events(&self, more: u64) {
        add(&self.events, more);
        if !self.waited.get() {
            add(&self.events_waiting, more);
        }
    }
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

    /// The last slow iterations, the oldest first, up to 32: how long each was, in which phases, and what ran in it.
    /// [`Builder::slow_iteration`](super::Builder::slow_iteration) says what is slow. Empty of a loop without
    /// instruments.
    ///
    /// What ran in them is for the program itself alone; how long they were and in which phases, the telemetry that other processes read
    /// tells as well.
    ///
    /// ```
    /// use std::time::Duration;
    /// use loopscope_runtime::{EventLoop, RunMode};
    ///
    /// let event_loop = EventLoop::builder().slow_iteration(Duration::from_millis(5)).build()?;
    /// event_loop.set_immediate(|_| std::thread::sleep(Duration::from_millis(6)));
    /// event_loop.run(RunMode::Default);
    /// let slow = &event_loop.slow_iterations()[0];
    /// assert!(slow.duration >= Duration::from_millis(6) && slow.phases[0].callbacks == 1);
    /// assert!(slow.ran[0].contains("main::{{closure}}"), "{:?}", slow.ran);
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    pub fn slow_iterations(&self) -> Vec<SlowIteration> {
        self.core.instruments.slow_iterations()
    }

    /// How long the loop has waited in its polls since it was made. Its utilization is what is missing to the time that
    /// passed: `1 - idle / passed`, of the differences between two readings.
    pub fn idle_time(&self) -> Duration {
        Duration::from_nanos(self.core.counts.idle_ns.get())
    }
}
