//! Timers.

use std::time::Duration;

use super::handle_methods;
use crate::closing::Closable;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::timers::{TimerReference, whole_ns};

/// Calls back once after a time, or again and again.
///
/// Timers call back in the order in which they are due and, of those due at the same time, in the order in which they
/// were started. A timer is never early. It is late by as long as the loop is busy with other things; the metric
/// `eventloop_timer_lateness_seconds` tells how long.
///
/// ```
/// use std::time::Duration;
/// use loopscope_runtime::{EventLoop, RunMode, Timer};
///
/// let event_loop = EventLoop::new()?;
/// let timer = Timer::new(&event_loop);
/// timer.start(Duration::from_millis(5), |_, _| println!("five milliseconds later"))?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Timer(TimerState);

/// A callback that may be called again. A function, or a closure that captures nothing, takes no memory.
pub(crate) type TimerCallback = Box<dyn FnMut(&EventLoop, &Timer)>;

/// What a timer is lies with the loop's [timers](crate::timers).
#[derive(Clone)]
struct TimerState {
    handle: TimerReference,
}

handle_methods!(Timer, which its loop knows by itself);

impl Timer {
    /// A timer that was not started yet.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self::of(TimerReference::new(event_loop))
    }

    /// Makes it a part of something else: nobody meets it on a walk, and a loop is not busy for it.
    pub(crate) fn internal(self) -> Self {
        self.0.handle.make_internal();
        self
    }

    /// Calls back once, `timeout` from now. If the timer was started before, that is forgotten.
    ///
    /// The time is counted from this call. (libuv counts from the loop's time, so there a timer that is started after a
    /// long computation comes early.)
    ///
    /// # Errors
    /// [`Error::Closed`] if the timer is closed.
    pub fn start(
        &self,
        timeout: Duration,
        callback: impl FnMut(&EventLoop, &Timer) + 'static,
    ) -> Result<(), Error> {
        self.start_repeating(timeout, Duration::ZERO, callback)
    }

    /// Calls back `timeout` from now, and then every `repeat`, unless that is zero.
    ///
    /// A repetition is counted from the [loop's time](EventLoop::now) when the timer's turn comes, as in libuv: from the
    /// beginning of the phase, or from where a callback before it in that phase has refreshed the time. Calls that the loop
    /// was too busy for are left out, not made up for.
    ///
    /// # Errors
    /// [`Error::Closed`] if the timer is closed.
    pub fn start_repeating(
        &self,
        timeout: Duration,
        repeat: Duration,
        callback: impl FnMut(&EventLoop, &Timer) + 'static,
    ) -> Result<(), Error> {
        self.0.handle.expect_open()?;
        let timer = &self.0.handle;
        timer.stop();
        timer.set_repeat_ns(whole_ns(repeat));
        timer.start_at(timer.core().read_clock().plus_ns(whole_ns(timeout)));
        timer.set_callback(Box::new(callback));
        Ok(())
    }

    /// Stops the timer; it will not call back, even if it was due.
    pub fn stop(&self) {
        self.0.handle.stop();
    }

    /// Lets go of the callback of a timer that is stopped, or that has called back: it may hold what holds the timer.
    pub(crate) fn forget_callback(&self) {
        self.0.handle.abandon();
    }

    /// If the timer repeats, starts it anew: it calls back one repetition from now. If it does not, does nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] if the timer is closed, [`Error::NotStarted`] if it never was.
    pub fn again(&self) -> Result<(), Error> {
        let timer = &self.0.handle;
        timer.expect_open()?;
        if !timer.was_started() {
            return Err(Error::NotStarted);
        }
        let repeat_ns = timer.repeat_ns();
        if repeat_ns > 0 {
            timer.stop();
            timer.start_at(timer.core().read_clock().plus_ns(repeat_ns));
        }
        Ok(())
    }

    /// Changes the time between repetitions from the next one on; zero lets the timer call back once more at most.
    pub fn set_repeat(&self, repeat: Duration) {
        self.0.handle.set_repeat_ns(whole_ns(repeat));
    }

    /// The time between repetitions; zero if the timer does not repeat.
    pub fn repeat(&self) -> Duration {
        Duration::from_nanos(self.0.handle.repeat_ns())
    }

    /// How long, by the loop's time, until the timer is due; zero if it is due, `None` if it is not active.
    pub fn due_in(&self) -> Option<Duration> {
        let now = self.0.handle.core().now.get();
        self.0.handle.due().map(|due| Duration::from_nanos(due.since_ns(now)))
    }

    pub(crate) fn of(handle: TimerReference) -> Self {
        Self(TimerState { handle })
    }

    pub(crate) fn handle(&self) -> &TimerReference {
        &self.0.handle
    }
}

impl TimerState {
    fn stop_for_good(&self) {
        self.handle.stop();
        self.handle.abandon();
    }
}

/// While a timer is being closed the loop holds on to it.
impl From<TimerState> for Closable {
    fn from(timer: TimerState) -> Self {
        Self::Timer(timer.handle.slot())
    }
}
