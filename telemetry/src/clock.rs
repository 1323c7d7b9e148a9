//! The clock: `CLOCK_MONOTONIC`, read through the vdso in about 20 ns.

use model::time::Monotonic;
use rustix::time::{ClockId, clock_gettime};

/// Reads the clock.
#[inline]
pub fn monotonic() -> Monotonic {
    let reading = clock_gettime(ClockId::Monotonic);
    Monotonic::from_ns(reading.tv_sec as u64 * 1_000_000_000 + reading.tv_nsec as u64)
}
