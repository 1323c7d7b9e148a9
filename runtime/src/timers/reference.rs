//! References to timers: what can be asked of one, and when its slot is free again.

use std::rc::Rc;

use model::label::HandleType;
use model::time::Monotonic;

use super::slab::Life;
use crate::closing::CloseCallback;
use crate::error::Error;
use crate::event_loop::{Core, EventLoop};
use crate::handle::timer::TimerCallback;

/// A reference to a timer. The timer's slot is free again when nothing refers to it, neither a reference nor the loop.
pub(crate) struct TimerReference {
    pub(super) core: Rc<Core>,
    pub(super) slot: u32,
}

impl TimerReference {
    pub(crate) fn new(event_loop: &EventLoop) -> Self {
        let core = Rc::clone(&event_loop.core);
        core.instruments.handles_changed(HandleType::Timer, 1);
        // It orders handles by age, for which a part of it does as long as none has seen four billions after it.
        let number = core.registry.next_number() as u32;
        let slot = core.timers.slab.borrow_mut().claim(number);
        Self { core, slot }
    }

    #[inline]
    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// # Errors
    /// [`Error::Closed`] unless the timer is open.
    pub(crate) fn expect_open(&self) -> Result<(), Error> {
        if self.is_closing() { Err(Error::Closed) } else { Ok(()) }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.core.has_ended() || self.core.timers.slab.borrow().get(self.slot).life() != Life::Open
    }

    pub(crate) fn is_active(&self) -> bool {
        self.due().is_some()
    }

    /// When the timer is due, if it waits.
    pub(crate) fn due(&self) -> Option<Monotonic> {
        self.core.timers.slab.borrow().get(self.slot).due()
    }

    pub(crate) fn has_ref(&self) -> bool {
        self.core.timers.slab.borrow().get(self.slot).is_referenced()
    }

    pub(crate) fn set_referenced(&self, referenced: bool) {
        let active = self.core.timers.slab.borrow_mut().get_mut(self.slot).set_referenced(referenced);
        if let Some(change) = active {
            let active_handles = &self.core.active_handles;
            active_handles.set(active_handles.get().wrapping_add_signed(change));
        }
    }

    /// Makes the timer a part of something else: it is neither met on a walk nor counted.
    pub(crate) fn make_internal(&self) {
        self.core.timers.slab.borrow_mut().make_internal(self.slot);
    }

    /// Whether the timer has a callback.
    pub(crate) fn was_started(&self) -> bool {
        self.core.timers.slab.borrow().get(self.slot).was_started()
    }

    pub(crate) fn repeat_ns(&self) -> u64 {
        self.core.timers.slab.borrow().repeat_ns(self.slot)
    }

    pub(crate) fn set_repeat_ns(&self, repeat_ns: u64) {
        self.core.timers.slab.borrow_mut().set_repeat_ns(self.slot, repeat_ns);
    }

    /// Gives the timer its callback.
    pub(crate) fn set_callback(&self, callback: TimerCallback) {
        let replaced = self.core.timers.slab.borrow_mut().get_mut(self.slot).set_callback(callback);
        drop(replaced);
    }

    /// Starts the timer, which waits nowhere.
    pub(crate) fn start_at(&self, due: Monotonic) {
        if self.core.timers.insert(self.slot, due) {
            self.core.active_handles.set(self.core.active_handles.get() + 1);
        }
    }

    pub(crate) fn stop(&self) {
        let waited = self.core.timers.slab.borrow_mut().get_mut(self.slot).stop();
        let Some((due, counted)) = waited else { return };
        if counted {
            self.core.active_handles.set(self.core.active_handles.get() - 1);
        }
        self.core.timers.forget_entry(due);
    }

    /// Lets go of the callback: the timer will not call back any more.
    pub(crate) fn abandon(&self) {
        let callback = self.core.timers.slab.borrow_mut().get_mut(self.slot).abandon();
        drop(callback);
    }

    /// Gives whether the timer was open.
    pub(crate) fn begin_close(&self, callback: Option<CloseCallback>) -> bool {
        let open = !self.is_closing();
        if open {
            self.core.timers.slab.borrow_mut().begin_close(self.slot, callback);
        }
        open
    }
}

impl Clone for TimerReference {
    fn clone(&self) -> Self {
        self.core.timers.slab.borrow_mut().get_mut(self.slot).refer();
        Self { core: Rc::clone(&self.core), slot: self.slot }
    }
}

impl Drop for TimerReference {
    fn drop(&mut self) {
        let unused = self.core.timers.slab.borrow_mut().release(self.slot);
        if let Some(unused) = unused {
            self.core.instruments.handles_changed(HandleType::Timer, -unused.open_handles);
        }
    }
}
