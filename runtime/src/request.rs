//! Requests: operations that are under way and end with one callback.
//!
//! A request keeps its loop alive until that callback. Those on streams live with their stream; those that run on the
//! thread pool leave their callback parked with the loop, for it may only ever be touched by the loop's thread, and let a
//! claim on it travel.

pub mod dns;
pub mod fs;
pub(crate) mod future;
pub mod random;
pub(crate) mod work;

use std::any::Any;
use std::cell::RefCell;
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

/// Values that wait with the loop. Places are used again, so parking allocates nothing but the value's own memory.
#[derive(Default)]
pub(crate) struct Parking {
    places: RefCell<Places>,
}

#[derive(Default)]
struct Places {
    parked: Vec<Option<Box<dyn Any>>>,
    free: Vec<usize>,
}

/// A claim on a value that is parked with a loop. Any thread may hold it.
pub(crate) struct Parked<T> {
    place: usize,
    _value: PhantomData<fn() -> T>,
}

impl Parking {
    /// Keeps a value until it is claimed.
    pub(crate) fn park<T: 'static>(&self, value: T) -> Parked<T> {
        let value: Option<Box<dyn Any>> = Some(Box::new(value));
        let Places { parked, free } = &mut *self.places.borrow_mut();
        let place = free.pop().unwrap_or(parked.len());
        match parked.get_mut(place) {
            Some(vacant) => *vacant = value,
            None => parked.push(value),
        }
        Parked { place, _value: PhantomData }
    }

    /// Gives back a value that was parked here.
    pub(crate) fn unpark<T: 'static>(&self, claim: Parked<T>) -> T {
        let Places { parked, free } = &mut *self.places.borrow_mut();
        let value = parked.get_mut(claim.place).and_then(Option::take);
        free.push(claim.place);
        let value = value.and_then(|value| value.downcast().ok());
        *value.expect("a claim is made by parking with its own loop, and used up by taking the value back")
    }

    /// Drops all values: what claims them does not come back.
    pub(crate) fn clear(&self) {
        drop(self.places.take());
    }
}
