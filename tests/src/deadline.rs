//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// Long enough for anything that ought to happen soon, on a machine with two busy cores.
pub const SOON: Duration = Duration::from_secs(30);

/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until the condition yields a value.
///
/// # Panics
/// If it has not by then; `what` says what was waited for.
#[track_caller]
pub fn wait_for<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    within(limit, look).unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}"))
}

/// Looks until the condition yields a value; `None` if it has not by then.
pub fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if began.elapsed() >= limit {
            return None;
        }
        thread::sleep(PAUSE);
    }
}
