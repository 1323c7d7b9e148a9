//! What all handles have in common: whether they are active, referenced, open.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use model::label::HandleType;

use crate::closing::CloseCallback;
use crate::error::Error;
use crate::event_loop::{Core, EventLoop};
use crate::registry::{Access, Place};

/// The common part of a handle.
pub(crate) struct HandleState {
    core: Rc<Core>,
    handle_type: HandleType,
    active: Cell<bool>,
    referenced: Cell<bool>,
    life: Cell<Life>,
    /// `None` before it is registered, and once it is closed.
    place: Cell<Option<Place>>,
    on_close: RefCell<Option<CloseCallback>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Open,
    Closing,
    Closed,
}

impl HandleState {
    pub(crate) fn new(event_loop: &EventLoop, handle_type: HandleType) -> Self {
        event_loop.core.instruments.handles_changed(handle_type, 1);
        Self {
            core: Rc::clone(&event_loop.core),
            handle_type,
            active: Cell::new(false),
            referenced: Cell::new(true),
            life: Cell::new(Life::Open),
            place: Cell::default(),
            on_close: RefCell::default(),
        }
    }

    /// Makes the handle known to its loop.
    pub(crate) fn register(&self, handle: Weak<dyn Any>, access: &'static Access) {
        self.place.set(Some(self.core.registry.insert(handle, access)));
    }

    pub(crate) fn handle_type(&self) -> HandleType {
        self.handle_type
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// # Errors
    /// [`Error::Closed`] unless the handle is open.
    pub(crate) fn expect_open(&self) -> Result<(), Error> {
        if self.is_closing() { Err(Error::Closed) } else { Ok(()) }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.life.get() != Life::Open || self.core.has_ended()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.get() && !self.core.has_ended()
    }

    pub(crate) fn has_ref(&self) -> bool {
        self.referenced.get()
    }

    pub(crate) fn set_active(&self, active: bool) {
        self.change(|| self.active.set(active));
    }

    pub(crate) fn set_referenced(&self, referenced: bool) {
        self.change(|| self.referenced.set(referenced));
    }

    /// Changes a flag and keeps the loop's count of what keeps it alive right.
    fn change(&self, change: impl FnOnce()) {
        let counts = || usize::from(self.active.get() && self.referenced.get());
        let before = counts();
        change();
        let active_handles = &self.core.active_handles;
        active_handles.set(active_handles.get() + counts() - before);
    }

    /// Gives whether the handle was open.
    pub(crate) fn begin_close(&self, callback: Option<CloseCallback>) -> bool {
        let was_open = !self.is_closing();
        if was_open {
            self.life.set(Life::Closing);
            *self.on_close.borrow_mut() = callback;
        }
        was_open
    }

    /// The handle is closed from now on. Gives the close callback.
    pub(crate) fn end_close(&self) -> Option<CloseCallback> {
        self.closed();
        self.on_close.take()
    }

    fn closed(&self) {
        if self.life.replace(Life::Closed) != Life::Closed {
            self.core.instruments.handles_changed(self.handle_type, -1);
            let place = self.place.take();
            debug_assert!(place.is_some(), "a handle's constructor ends with `registered`");
            if let Some(place) = place {
                self.core.registry.remove(place);
            }
        }
    }
}

impl Drop for HandleState {
    fn drop(&mut self) {
        self.closed();
    }
}
