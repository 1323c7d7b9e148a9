//! Immediates: callbacks that run once, in the next check phase.
//!
//! Node's rules: the queue is taken at the beginning of the phase, so an immediate that another one queues runs an
//! iteration later; clearing one that has not run yet works, from the same phase too; unreferenced ones run only if
//! something else keeps the loop going.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use crate::event_loop::{Core, EventLoop};
use crate::ticks::Callback;

/// A callback that was queued with [`EventLoop::set_immediate`]. Dropping this value changes nothing.
#[derive(Clone)]
pub struct Immediate(Rc<State>);

struct State {
    core: Weak<Core>,
    callback: RefCell<Option<Box<dyn Callback>>>,
    referenced: Cell<bool>,
}

/// The immediates of one loop.
#[derive(Default)]
pub(crate) struct Immediates {
    queue: RefCell<VecDeque<Rc<State>>>,
    /// Those whose turn it is. Outlives the phase only if one panics.
    current: RefCell<VecDeque<Rc<State>>>,
    /// How many are queued that are referenced and not cleared.
    referenced: Cell<usize>,
}

impl Immediate {
    /// Takes the callback out of the queue. Does nothing if it ran or was cleared.
    pub fn clear(&self) {
        drop(self.0.take());
    }

    /// Whether the loop stays alive for the callback.
    pub fn has_ref(&self) -> bool {
        self.0.referenced.get()
    }

    /// Keeps the loop alive for the callback, as it is from the beginning.
    pub fn reference(&self) {
        self.set_referenced(true);
    }

    /// Lets the loop end without running the callback.
    pub fn unreference(&self) {
        self.set_referenced(false);
    }

    fn set_referenced(&self, referenced: bool) {
        if self.0.referenced.replace(referenced) != referenced && self.0.callback.borrow().is_some() {
            self.0.count(if referenced { 1 } else { -1 });
        }
    }
}

impl State {
    /// Takes the callback for running or dropping it.
    fn take(&self) -> Option<Box<dyn Callback>> {
        let callback = self.callback.take();
        if callback.is_some() && self.referenced.get() {
            self.count(-1);
        }
        callback
    }

    fn count(&self, change: isize) {
        if let Some(core) = self.core.upgrade() {
            let referenced = &core.immediates.referenced;
            referenced.set(referenced.get().wrapping_add_signed(change));
        }
    }
}

impl Immediates {
    pub(crate) fn push(&self, core: &Rc<Core>, callback: Box<dyn Callback>) -> Immediate {
        let callback = Some(callback).filter(|_| !core.has_ended());
        let queued = callback.is_some();
        let state = Rc::new(State {
            core: Rc::downgrade(core),
            callback: RefCell::new(callback),
            referenced: Cell::new(true),
        });
        if !queued {
            return Immediate(state);
        }
        self.referenced.set(self.referenced.get() + 1);
        self.queue.borrow_mut().push_back(Rc::clone(&state));
        Immediate(state)
    }

    /// Whether one keeps the loop alive, and its poll from waiting.
    pub(crate) fn keep_alive(&self) -> bool {
        self.referenced.get() > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty() && self.current.borrow().is_empty()
    }

    pub(crate) fn run(&self, event_loop: &EventLoop) {
        if self.current.borrow().is_empty() {
            self.current.swap(&self.queue);
        }
        loop {
            let next = self.current.borrow_mut().pop_front();
            let Some(immediate) = next else { return };
            if let Some(callback) = immediate.take() {
                event_loop.call_named(callback.name(), |event_loop| callback.run(event_loop));
            }
        }
    }

    /// Drops all without running them.
    pub(crate) fn clear(&self) {
        drop(self.current.take());
        drop(self.queue.take());
    }
}
