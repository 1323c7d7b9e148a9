//! The one clock that crosses process boundaries, as a number.
//!
//! This crate reads no clock: callers pass readings in. All processes of a host share `CLOCK_MONOTONIC` (unless a
//! container has a time namespace of its own), so readings made in one process are comparable in another.

/// A reading of `CLOCK_MONOTONIC`, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The reading `ns` nanoseconds after the clock's origin, which is arbitrary (on Linux: the boot).
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's origin.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Nanoseconds from `earlier` to `self`; zero if `earlier` is the later one.
    pub const fn since_ns(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The reading `ns` nanoseconds later; saturates.
    pub const fn plus_ns(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}
