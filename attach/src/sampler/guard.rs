//! A boundary around the parsers of other people's object files.
//!
//! The crates that read unwind tables and debug information return errors for what is broken, but for some overflows that
//! only builds with checks notice. A file that someone made to be profiled must not end the profiler, so a panic ends
//! no more than the look at that file.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What `work` returns; `None` if it panicked. Whatever it had in its hands must not be used any more then.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
