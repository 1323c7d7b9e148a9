//! The clocks that the program reads.

use model::time::Monotonic;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// `CLOCK_MONOTONIC`, now.
pub(crate) fn monotonic() -> Monotonic {
    Monotonic::from_ns(ns(clock_gettime(ClockId::Monotonic)))
}

/// CPU time that this process has spent so far, in nanoseconds.
pub(crate) fn own_cpu_ns() -> u64 {
    ns(clock_gettime(ClockId::ProcessCPUTime))
}

/// Both clocks count up from zero.
fn ns(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
