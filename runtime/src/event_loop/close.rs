//! Ending a loop on condition that nothing needs it any more.

use std::fmt;

use super::EventLoop;

/// The loop was not closed: something lives. It is given back.
pub struct Busy {
    /// The loop.
    pub event_loop: EventLoop,
    /// Handles that are not closed, those too whose close callback has not run.
    pub handles: usize,
    /// Requests that have not called back, and tasks that have not ended.
    pub requests: usize,
}

impl EventLoop {
    /// Ends the loop if nothing of it lives: no handle that is not closed, no request, no task. Dropping a loop ends it
    /// in any case.
    ///
    /// ```
    /// use loopscope_runtime::{Async, EventLoop, RunMode};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let handle = Async::new(&event_loop, |_, _| {});
    /// let busy = event_loop.close().unwrap_err();
    /// assert_eq!((busy.handles, busy.requests), (1, 0));
    /// handle.close();
    /// busy.event_loop.run(RunMode::Default);
    /// assert!(busy.event_loop.close().is_ok());
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Busy`], with the loop.
    pub fn close(self) -> Result<(), Busy> {
        let handles = self.core.registry.len() + self.core.timers.len();
        let requests = self.core.active_requests.get();
        if handles > 0 || requests > 0 {
            return Err(Busy { event_loop: self, handles, requests });
        }
        Ok(())
    }
}

impl fmt::Debug for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Busy")
            .field("handles", &self.handles)
            .field("requests", &self.requests)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handles, requests, .. } = self;
        write!(f, "the loop is busy: {handles} handles are not closed, {requests} requests are under way")
    }
}

impl std::error::Error for Busy {}
