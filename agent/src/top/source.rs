//! Where snapshots come from, and when.

use std::time::Duration;

use model::snapshot::Snapshot;
use model::time::Monotonic;

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
}

/// A source that has nothing to do between readings.
impl<F: FnMut() -> Snapshot> Source for F {
    fn tend(&mut self) -> Option<Monotonic> {
        None
    }

    fn read(&mut self) -> Snapshot {
        self()
    }
}

/// Readings of a source, one an interval.
pub(super) struct Readings<S> {
    source: S,
    interval_ns: u64,
    next_interval_ns: u64,
    next: Monotonic,
}

impl<S: Source> Readings<S> {
    /// Readings of a source, the first one at once.
    pub(super) fn new(source: S, interval: Duration) -> Self {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self { source, interval_ns, next_interval_ns: interval_ns, next: clock::monotonic() }
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
        Reading::of(&snapshot, at)
    }
}
