//! Where snapshots come from, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use attach::target::{Pid, Process, ProcessError};
use model::snapshot::Snapshot;
use model::time::Monotonic;

use super::notes::Notes;
use super::reading::Reading;
use crate::clock;

/// The least that is waited for a source, so that one which is always in a hurry does not spin.
const WAIT_MIN_NS: u64 = 1_000_000;

/// What measures. The table knows nothing else of it.
pub(crate) trait Source {
    /// Does what is due between two readings; tells when to be called again, if at all.
    fn tend(&mut self) -> Option<Monotonic>;

    /// Reads everything that there is.
    fn read(&mut self) -> Snapshot;

    /// What it knows beside the last reading.
    fn notes(&mut self) -> Notes;
}

/// Readings of a source, one an interval.
pub(super) struct Readings<S> {
    source: S,
    named: Vec<Process>,
    interval_ns: u64,
    next_interval_ns: u64,
    next: Monotonic,
}

impl<S: Source> Readings<S> {
    /// Readings of a source, the first one at once, with an eye on processes that were named.
    pub(super) fn new(source: S, named: Vec<Process>, interval: Duration) -> Self {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self { source, named, interval_ns, next_interval_ns: interval_ns, next: clock::monotonic() }
    }

    /// Shortens the first interval, for somebody who waits for it.
    pub(super) fn with_first_interval(self, first: Duration) -> Self {
        let first_ns = u64::try_from(first.as_nanos()).unwrap_or(u64::MAX);
        Self { next_interval_ns: self.interval_ns.min(first_ns), ..self }
    }

    /// Waits until the next reading is due, and takes it.
    pub(super) fn take(&mut self) -> Reading {
        loop {
            let tend_next = self.source.tend();
            let now = clock::monotonic();
            if now >= self.next {
                break;
            }
            let until = tend_next.map_or(self.next, |tend_next| tend_next.min(self.next));
            std::thread::sleep(Duration::from_nanos(until.since_ns(now).max(WAIT_MIN_NS)));
        }
        let at = clock::monotonic();
        let snapshot = self.source.read();
        // Readings that were missed, while the program was stopped for instance, are not made up for.
        self.next = self.next.max(at).plus_ns(self.next_interval_ns);
        self.next_interval_ns = self.interval_ns;
        Reading::of(&snapshot, at).with(self.source.notes(), self.ended())
    }

    /// Which of the processes that were named have ended.
    fn ended(&self) -> BTreeSet<Pid> {
        let has_ended = |process: &&Process| matches!(process.stat(), Err(ProcessError::Vanished { .. }));
        self.named.iter().filter(has_ended).map(Process::pid).collect()
    }
}
