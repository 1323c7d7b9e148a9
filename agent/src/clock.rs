//! The clocks that the program reads.

use std::time::{SystemTime, UNIX_EPOCH};

use model::time::Monotonic;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// `CLOCK_MONOTONIC`, now.
pub(crate) fn monotonic() -> Monotonic {
    Monotonic::from_ns(ns(clock_gettime(ClockId::Monotonic)))
}

/// A moment, by both clocks: one that people set, and may step, and one that only goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Nanoseconds since the UNIX epoch.
    pub(crate) unix_ns: u64,
    pub(crate) monotonic: Monotonic,
}

impl Moment {
    /// A time on the clock that only goes on, by the clock that people set, as that is at this moment.
    pub(crate) fn unix_ns_of(self, time: Monotonic) -> u64 {
        let ahead_ns = time.since_ns(self.monotonic);
        self.unix_ns.saturating_sub(self.monotonic.since_ns(time)).saturating_add(ahead_ns)
    }
}

/// The present, by both clocks.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment { unix_ns: since.as_nanos() as u64, monotonic: monotonic() }
}

/// Notices that the clock that people set was stepped, or has drifted by a second.
#[derive(Debug)]
pub(crate) struct StepWatch {
    /// The difference of the clocks.
    offset_ns: i128,
}

impl StepWatch {
    /// Begins now.
    pub(crate) fn new(now: Moment) -> Self {
        Self { offset_ns: offset_ns(now) }
    }

    /// Whether it was stepped since this was last so.
    pub(crate) fn has_stepped(&mut self, now: Moment) -> bool {
        let offset_ns = offset_ns(now);
        let has_stepped = (offset_ns - self.offset_ns).abs() >= 1_000_000_000;
        if has_stepped {
            self.offset_ns = offset_ns;
        }
        has_stepped
    }
}

fn offset_ns(now: Moment) -> i128 {
    i128::from(now.unix_ns) - i128::from(now.monotonic.as_ns())
}

/// CPU time that this process has spent so far, in nanoseconds.
pub(crate) fn own_cpu_ns() -> u64 {
    ns(clock_gettime(ClockId::ProcessCPUTime))
}

/// Both clocks count up from zero.
fn ns(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_or_after_a_moment_is_told_by_its_other_clock() {
        let moment = Moment { unix_ns: 1000, monotonic: Monotonic::from_ns(50) };
        let told = [20, 50, 60].map(|ns| moment.unix_ns_of(Monotonic::from_ns(ns)));
        assert_eq!(told, [970, 1000, 1010]);
        assert_eq!(Moment { unix_ns: 10, ..moment }.unix_ns_of(Monotonic::from_ns(20)), 0);
    }

    #[test]
    fn a_step_of_a_second_is_noticed_once_and_time_that_passes_is_none() {
        let moment = |unix_ns, ns| Moment { unix_ns, monotonic: Monotonic::from_ns(ns) };
        let mut watch = StepWatch::new(moment(100_000_000_000, 5_000_000_000));
        assert!(!watch.has_stepped(moment(160_000_000_000, 65_000_000_000)));
        assert!(watch.has_stepped(moment(161_000_000_000, 65_000_000_000)));
        assert!(!watch.has_stepped(moment(162_000_000_000, 66_000_000_000)));
        assert!(watch.has_stepped(moment(99_000_000_000, 66_000_000_000)), "backwards");
    }
}
