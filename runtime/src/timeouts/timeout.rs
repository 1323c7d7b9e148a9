//! One timeout: starting it, clearing it, starting it anew.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::{Callback, State, Timeout, Timeouts};
use crate::event_loop::EventLoop;

/// The longest delay, in milliseconds.
const DELAY_MAX_MS: f64 = 2_147_483_647.0;

impl EventLoop {
    /// Calls back once, `delay_ms` milliseconds from now: Node's `setTimeout`.
    ///
    /// ```
    /// use loopscope_runtime::{EventLoop, RunMode};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let late = event_loop.set_timeout(3_600_000.0, |_, _| unreachable!());
    /// event_loop.set_timeout(1.0, move |_, _| late.clear());
    /// event_loop.run(RunMode::Default);
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    pub fn set_timeout<F: FnMut(&EventLoop, &Timeout) + 'static>(
        &self,
        delay_ms: f64,
        callback: F,
    ) -> Timeout {
        self.start_timeout(delay_ms, false, type_name::<F>(), Rc::new(RefCell::new(callback)))
    }

    /// Calls back every `delay_ms` milliseconds, counted from where a call begins to where the next one does: Node's
    /// `setInterval`.
    pub fn set_interval<F: FnMut(&EventLoop, &Timeout) + 'static>(
        &self,
        delay_ms: f64,
        callback: F,
    ) -> Timeout {
        self.start_timeout(delay_ms, true, type_name::<F>(), Rc::new(RefCell::new(callback)))
    }

    fn start_timeout(&self, delay_ms: f64, repeats: bool, name: &'static str, callback: Callback) -> Timeout {
        let delay_ms = if (1.0..=DELAY_MAX_MS).contains(&delay_ms) { delay_ms } else { 1.0 };
        let timeout = Timeout(Rc::new(State {
            core: Rc::downgrade(&self.core),
            name,
            callback: RefCell::new(Some(callback)),
            delay_ms: Cell::new(Some(delay_ms)),
            repeats,
            start_ms: Cell::default(),
            referenced: Cell::new(true),
            ended: Cell::default(),
            place: Cell::default(),
        }));
        if self.core.has_ended() {
            timeout.0.ended.set(true);
            return timeout;
        }
        let timeouts = Timeouts::of(self);
        timeouts.count(1);
        timeouts.insert(&self.core, &timeout, None);
        timeout
    }
}

impl Timeout {
    /// Ends it. Does nothing if that was done.
    pub fn clear(&self) {
        let callback = self.0.callback.take();
        if callback.is_none() || self.0.ended.replace(true) {
            return;
        }
        let Some(timeouts) = self.timeouts() else { return };
        timeouts.lists.borrow_mut().unlink(&self.0);
        if self.0.referenced.get() {
            if let Some(delay_ms) = self.0.delay_ms.get() {
                timeouts.lists.borrow_mut().drop_if_empty(delay_ms as u32);
            }
            timeouts.count(-1);
        }
        self.0.delay_ms.set(None);
    }

    /// Starts it anew, with its delay, also if it has run already.
    pub fn refresh(&self) {
        let (Some(core), Some(timeouts)) = (self.0.core.upgrade(), self.timeouts()) else { return };
        if self.0.delay_ms.get().is_none() {
            return;
        }
        timeouts.insert(&core, self, None);
        if self.0.ended.replace(false) && self.0.referenced.get() {
            timeouts.count(1);
        }
    }

    /// Whether the loop stays alive for it.
    pub fn has_ref(&self) -> bool {
        self.0.referenced.get()
    }

    /// Keeps the loop alive for it, as it is from the beginning.
    pub fn reference(&self) {
        self.set_referenced(true);
    }

    /// Lets the loop end without it.
    pub fn unreference(&self) {
        self.set_referenced(false);
    }

    fn set_referenced(&self, referenced: bool) {
        if self.0.referenced.replace(referenced) != referenced
            && !self.0.ended.get()
            && let Some(timeouts) = self.timeouts()
        {
            timeouts.count(if referenced { 1 } else { -1 });
        }
    }

    fn timeouts(&self) -> Option<Rc<Timeouts>> {
        self.0.core.upgrade()?.timeouts.borrow().clone()
    }

    /// It has run, and does not run again by itself.
    pub(super) fn end(&self, timeouts: &Timeouts) {
        if !self.0.ended.replace(true) && self.0.referenced.get() {
            timeouts.count(-1);
        }
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("delay_ms", &self.0.delay_ms.get())
            .field("repeats", &self.0.repeats)
            .field("ended", &self.0.ended.get())
            .finish_non_exhaustive()
    }
}
