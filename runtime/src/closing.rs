//! The close phase: handles that are being closed, and their close callbacks.
//!
//! The handle that was closed last comes first, as in libuv. What is closed by a close callback waits for the next
//! iteration.

use std::cell::RefCell;
use std::rc::Rc;

use crate::event_loop::{Core, EventLoop};
use crate::handle::HandleState;

pub(crate) type CloseCallback = Box<dyn FnOnce(&EventLoop)>;

/// For how many handles room is kept.
const ROOM_KEPT: usize = 1024;

/// A handle that can be closed.
pub(crate) trait Close {
    fn handle(&self) -> &HandleState;

    /// Ends the requests that were under way, and tells their callbacks. Called again if one of them panics.
    fn cancel_requests(self: Rc<Self>, _event_loop: &EventLoop) {}
}

/// A handle that is being closed.
#[derive(Clone)]
pub(crate) enum Closable {
    Handle(Rc<dyn Close>),
    /// A timer, by its slot.
    Timer(u32),
}

impl<H: Close + 'static> From<Rc<H>> for Closable {
    fn from(handle: Rc<H>) -> Self {
        Self::Handle(handle)
    }
}

/// The handles that are being closed.
#[derive(Default)]
pub(crate) struct Closing {
    closing: RefCell<Vec<Closable>>,
    /// Those whose turn it is. Outlives the phase only if a callback panics.
    current: RefCell<Vec<Closable>>,
}

impl Closing {
    pub(crate) fn push(core: &Core, handle: impl Into<Closable>) {
        core.closing.closing.borrow_mut().push(handle.into());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.closing.borrow().is_empty() && self.current.borrow().is_empty()
    }

    pub(crate) fn run(&self, event_loop: &EventLoop) {
        if self.current.borrow().is_empty() {
            self.current.swap(&self.closing);
        }
        loop {
            let last = self.current.borrow().last().cloned();
            let Some(closable) = last else { break self.current.borrow_mut().shrink_to(ROOM_KEPT) };
            if let Closable::Handle(handle) = &closable {
                Rc::clone(handle).cancel_requests(event_loop);
            }
            self.current.borrow_mut().pop();
            let callback = match &closable {
                Closable::Handle(handle) => handle.handle().end_close(),
                Closable::Timer(slot) => event_loop.core.timers.end_close(&event_loop.core, *slot),
            };
            event_loop.call_named("close", |event_loop| {
                if let Some(callback) = callback {
                    callback(event_loop);
                }
            });
        }
    }

    /// Drops all without calling back.
    pub(crate) fn clear(&self) {
        drop(self.current.take());
        drop(self.closing.take());
    }
}
