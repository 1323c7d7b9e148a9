//! Requests: operations that are under way and end with one callback.
//!
//! A request keeps its loop alive until that callback. Those on streams live with their stream; those that run on the
//! thread pool leave their callback parked with the loop, for it may only ever be touched by the loop's thread, and let a
//! claim on it travel.

pub mod dns;
pub mod fs;
pub(crate) mod work;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::rc::Rc;

use model::label::RequestType;

use crate::event_loop::Core;

/// A request that is under way. It keeps the loop alive until it is dropped: do that right before its callback.
pub(crate) struct ActiveRequest {
    core: Rc<Core>,
    request_type: RequestType,
}

impl ActiveRequest {
    /// Counts a request as under way.
    pub(crate) fn begin(core: &Rc<Core>, request_type: RequestType) -> Self {
        core.active_requests.set(core.active_requests.get() + 1);
        core.instruments.requests_changed(request_type, 1);
        Self { core: Rc::clone(core), request_type }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.core.active_requests.set(self.core.active_requests.get() - 1);
        self.core.instruments.requests_changed(self.request_type, -1);
    }
}

/// Values that wait with the loop.
#[derive(Default)]
pub(crate) struct Parking {
    parked: RefCell<HashMap<u64, Box<dyn Any>>>,
    next_key: Cell<u64>,
}

/// A claim on a value that is parked with a loop. Any thread may hold it.
pub(crate) struct Parked<T> {
    key: u64,
    _value: PhantomData<fn() -> T>,
}

impl Parking {
    /// Keeps a value until it is claimed.
    pub(crate) fn park<T: 'static>(&self, value: T) -> Parked<T> {
        let key = self.next_key.get();
        self.next_key.set(key + 1);
        self.parked.borrow_mut().insert(key, Box::new(value));
        Parked { key, _value: PhantomData }
    }

    /// Gives back a value that was parked here.
    pub(crate) fn unpark<T: 'static>(&self, claim: Parked<T>) -> T {
        let value = self.parked.borrow_mut().remove(&claim.key);
        let value = value.and_then(|value| value.downcast().ok());
        *value.expect("a claim is made by parking with its own loop, and used up by taking the value back")
    }

    /// Drops all values.
    pub(crate) fn clear(&self) {
        drop(self.parked.take());
    }
}
