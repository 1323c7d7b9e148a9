//! Looking for loops without a pause, for who asks once.

use std::time::Duration;

use model::time::Monotonic;

use super::{Observer, ProcessError};
use crate::sys::process::now;

/// Between looks: a loop that is nearly always busy waits for no more than some milliseconds.
const EVERY: Duration = Duration::from_millis(1);

/// No thread that may have a loop has run for so long: none is left.
const QUIET_NS: u64 = 300_000_000;

impl Observer {
    /// Looks for loops on threads that run until there are none of those left that have none, for no longer than `patience`.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where the process has ended.
    pub fn seek(&mut self, patience: Duration) -> Result<(), ProcessError> {
        let began = now();
        let until = began.plus_ns(patience.as_nanos() as u64);
        let mut ran = began;
        loop {
            let now: Monotonic = now();
            if self.find_loops(now)? || self.loops.is_empty() {
                ran = now;
            }
            if now >= until || now.since_ns(ran) >= QUIET_NS {
                return Ok(());
            }
            std::thread::sleep(EVERY);
        }
    }
}
