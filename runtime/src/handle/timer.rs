//! Timers.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use model::label::HandleType;
use model::time::Monotonic;

use super::{Callback, HandleState, handle_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::timers::Place;

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
pub struct Timer(Rc<TimerState>);

pub(crate) struct TimerState {
    handle: HandleState,
    callback: RefCell<Option<Callback<Timer>>>,
    due: Cell<Monotonic>,
    repeat_ns: Cell<u64>,
    pub(crate) place: Cell<Place>,
}

handle_methods!(Timer);

impl Timer {
    /// A timer that was not started yet.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self(Rc::new(TimerState {
            handle: HandleState::new(event_loop, HandleType::Timer),
            callback: RefCell::default(),
            due: Cell::default(),
            repeat_ns: Cell::default(),
            place: Cell::default(),
        }))
        .registered()
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
    /// A repetition is counted from the beginning of the phase in which the timer called back. Calls that the loop was too
    /// busy for are left out, not made up for.
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
        self.stop();
        let replaced = self.0.callback.replace(Some(Rc::new(RefCell::new(callback))));
        self.0.repeat_ns.set(whole_ns(repeat));
        self.0.start_at(self.0.handle.core().read_clock().plus_ns(whole_ns(timeout)));
        drop(replaced);
        Ok(())
    }

    /// Stops the timer; it will not call back, even if it was due.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Lets go of the callback of a timer that is stopped, or that has called back: it may hold what holds the timer.
    pub(crate) fn forget_callback(&self) {
        self.0.abandon();
    }

    /// If the timer repeats, starts it anew: it calls back one repetition from now. If it does not, does nothing.
    ///
    /// # Errors
    /// [`Error::Closed`] if the timer is closed, [`Error::NotStarted`] if it never was.
    pub fn again(&self) -> Result<(), Error> {
        self.0.handle.expect_open()?;
        if self.0.callback.borrow().is_none() {
            return Err(Error::NotStarted);
        }
        self.0.handle.core().read_clock();
        self.0.again();
        Ok(())
    }

    /// Changes the time between repetitions from the next one on; zero lets the timer call back once more at most.
    pub fn set_repeat(&self, repeat: Duration) {
        self.0.repeat_ns.set(whole_ns(repeat));
    }

    /// The time between repetitions; zero if the timer does not repeat.
    pub fn repeat(&self) -> Duration {
        Duration::from_nanos(self.0.repeat_ns.get())
    }

    /// How long, by the loop's time, until the timer is due; zero if it is due, `None` if it is not active.
    pub fn due_in(&self) -> Option<Duration> {
        let now = self.0.handle.core().now.get();
        self.is_active().then(|| Duration::from_nanos(self.0.due.get().since_ns(now)))
    }
}

impl TimerState {
    /// Calls back: the timer was due.
    pub(crate) fn fire(self: Rc<Self>, event_loop: &EventLoop) {
        self.handle.set_active(false);
        let due = self.due.get();
        self.again();
        let callback = self.callback.borrow().clone();
        let Some(callback) = callback else { return };
        let instruments = &event_loop.core.instruments;
        if instruments.are_on() {
            instruments.timer_starts(due, event_loop.callback_start());
        }
        let timer = Timer(self);
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &timer));
    }

    fn start_at(self: &Rc<Self>, due: Monotonic) {
        self.due.set(due);
        self.handle.core().timers.insert(Rc::clone(self), due);
        self.handle.set_active(true);
    }

    fn again(self: &Rc<Self>) {
        let repeat_ns = self.repeat_ns.get();
        if repeat_ns > 0 {
            self.stop();
            self.start_at(self.handle.core().now.get().plus_ns(repeat_ns));
        }
    }

    fn stop(&self) {
        self.handle.core().timers.remove(self);
        self.handle.set_active(false);
    }

    fn stop_for_good(&self) {
        self.stop();
        self.abandon();
    }

    /// Lets go of the callback: the timer will not call back any more.
    pub(crate) fn abandon(&self) {
        drop(self.callback.take());
    }
}

impl Close for TimerState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}

/// Rounds nothing: a duration is a whole number of nanoseconds. The longest ones are cut to 584 years.
fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
