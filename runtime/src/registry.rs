//! The handles of a loop, all of them: for [`EventLoop::walk`], and to know whether a loop may be closed.
//!
//! The registry refers to handles weakly: one that nobody needs ends as if there were no registry. It knows them as
//! values of any type, with two functions of their type; [`handle_methods`](crate::handle::handle_methods) makes these.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};

use model::label::HandleType;

use crate::event_loop::EventLoop;
use crate::handle::HandleState;

/// A handle of any type, met on a [walk](EventLoop::walk).
#[derive(Clone)]
pub struct AnyHandle {
    handle: Rc<dyn Any>,
    access: &'static Access,
}

/// What can be done with a handle whose type was forgotten.
pub(crate) struct Access {
    pub(crate) state: fn(&dyn Any) -> Option<&HandleState>,
    pub(crate) close: fn(Rc<dyn Any>),
}

/// The handles of one loop that are not closed.
#[derive(Default)]
pub(crate) struct Registry {
    entries: RefCell<Entries>,
    registrations: Cell<u64>,
}

#[derive(Default)]
struct Entries {
    places: Vec<Entry>,
    /// How many are taken.
    taken: usize,
    /// The free place that is taken next; each leads to another.
    free: Option<usize>,
}

enum Entry {
    Free { next: Option<usize> },
    Taken(Registered),
}

struct Registered {
    /// Rises from one registration to the next.
    number: u64,
    handle: Weak<dyn Any>,
    access: &'static Access,
}

/// A handle's place in the registry.
pub(crate) type Place = usize;

impl Registry {
    pub(crate) fn insert(&self, handle: Weak<dyn Any>, access: &'static Access) -> Place {
        let number = self.registrations.get();
        self.registrations.set(number + 1);
        let entry = Entry::Taken(Registered { number, handle, access });
        let entries = &mut *self.entries.borrow_mut();
        entries.taken += 1;
        let Some(place) = entries.free else {
            entries.places.push(entry);
            return entries.places.len() - 1;
        };
        if let Entry::Free { next } = std::mem::replace(&mut entries.places[place], entry) {
            entries.free = next;
        }
        place
    }

    pub(crate) fn remove(&self, place: Place) {
        let entries = &mut *self.entries.borrow_mut();
        entries.taken -= 1;
        entries.places[place] = Entry::Free { next: entries.free.replace(place) };
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().taken
    }

    /// All there are now, the oldest first.
    fn handles(&self) -> Vec<AnyHandle> {
        let mut found: Vec<_> = {
            let entries = self.entries.borrow();
            let live = entries.places.iter().filter_map(|entry| match entry {
                Entry::Free { .. } => None,
                Entry::Taken(entry) => Some((entry.number, entry.handle.upgrade()?, entry.access)),
            });
            live.collect()
        };
        found.sort_by_key(|(number, ..)| *number);
        found.into_iter().map(|(_, handle, access)| AnyHandle { handle, access }).collect()
    }
}

impl EventLoop {
    /// Visits all handles of the loop that are not closed, those included that are being closed, in the order in which they
    /// were made. `visit` may do anything to them; handles that are made meanwhile are not visited.
    ///
    /// ```
    /// use std::time::Duration;
    /// use loopscope_runtime::{EventLoop, RunMode, Timer};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let timer = Timer::new(&event_loop);
    /// timer.start(Duration::from_secs(3600), |_, _| {})?;
    /// // The way to end a loop whatever it does: close everything, and let the close callbacks run.
    /// event_loop.walk(|handle| handle.close());
    /// event_loop.run(RunMode::Default);
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    pub fn walk(&self, visit: impl FnMut(&AnyHandle)) {
        let handles = self.core.registry.handles();
        handles.iter().for_each(visit);
    }
}

impl AnyHandle {
    fn state(&self) -> &HandleState {
        (self.access.state)(&*self.handle).expect("a handle is registered with the functions of its own type")
    }

    /// What it is.
    pub fn handle_type(&self) -> HandleType {
        self.state().handle_type()
    }

    /// Whether it will call back.
    pub fn is_active(&self) -> bool {
        self.state().is_active()
    }

    /// Whether it is closed or being closed.
    pub fn is_closing(&self) -> bool {
        self.state().is_closing()
    }

    /// Whether it keeps the loop alive while it is active.
    pub fn has_ref(&self) -> bool {
        self.state().has_ref()
    }

    /// Lets it keep the loop alive while it is active.
    pub fn reference(&self) {
        self.state().set_referenced(true);
    }

    /// Lets the loop end while it is active.
    pub fn unreference(&self) {
        self.state().set_referenced(false);
    }

    /// Ends it. Does nothing if it is closed or being closed.
    pub fn close(&self) {
        (self.access.close)(Rc::clone(&self.handle));
    }
}

impl fmt::Debug for AnyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyHandle")
            .field("type", &self.handle_type())
            .field("is_active", &self.is_active())
            .field("is_closing", &self.is_closing())
            .finish_non_exhaustive()
    }
}
