//! The handles of a loop, all of them: for [`EventLoop::walk`], and to know whether a loop may be closed.
//!
//! The registry refers to handles weakly: one that nobody needs ends as if there were no registry. It knows them as
//! values of any type, with two functions of their type; [`handle_methods`](crate::handle::handle_methods) makes these.
//! Timers, of which there may be millions, it leaves to the [timers](crate::timers), which know all of them.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::fmt;
use std::rc::{Rc, Weak};

use model::label::HandleType;

use crate::event_loop::EventLoop;
use crate::handle::HandleState;
use crate::handle::timer::Timer;

/// A handle of any type, met on a [walk](EventLoop::walk).
#[derive(Clone)]
pub struct AnyHandle(Kind);

#[derive(Clone)]
enum Kind {
    Timer(Timer),
    Other { handle: Rc<dyn Any>, access: &'static Access },
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
        let number = self.next_number();
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

    /// The number of a handle that is made now.
    pub(crate) fn next_number(&self) -> u64 {
        let number = self.registrations.get();
        self.registrations.set(number + 1);
        number
    }

    pub(crate) fn remove(&self, place: Place) {
        let entries = &mut *self.entries.borrow_mut();
        entries.taken -= 1;
        entries.places[place] = Entry::Free { next: entries.free.replace(place) };
    }

    /// How many there are, without timers.
    pub(crate) fn len(&self) -> usize {
        self.entries.borrow().taken
    }

    /// All there are now but timers, with their age in handles that were made since.
    fn handles(&self) -> Vec<(u64, AnyHandle)> {
        let entries = self.entries.borrow();
        let found = entries.places.iter().filter_map(|entry| match entry {
            Entry::Free { .. } => None,
            Entry::Taken(entry) => {
                let kind = Kind::Other { handle: entry.handle.upgrade()?, access: entry.access };
                Some((self.registrations.get() - entry.number, AnyHandle(kind)))
            }
        });
        found.collect()
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
        let mut handles = self.core.registry.handles();
        let timers = self.core.timers.all(&self.core, self.core.registry.registrations.get());
        handles.extend(timers.into_iter().map(|(age, timer)| (age, AnyHandle(Kind::Timer(timer)))));
        handles.sort_by_key(|(age, _)| Reverse(*age));
        handles.iter().map(|(_, handle)| handle).for_each(visit);
    }
}

/// The common part of a handle that is no timer.
fn state<'a>(handle: &'a dyn Any, access: &Access) -> &'a HandleState {
    (access.state)(handle).expect("a handle is registered with the functions of its own type")
}

impl AnyHandle {
    /// What it is.
    pub fn handle_type(&self) -> HandleType {
        match &self.0 {
            Kind::Timer(_) => HandleType::Timer,
            Kind::Other { handle, access } => state(&**handle, access).handle_type(),
        }
    }

    /// Whether it will call back.
    pub fn is_active(&self) -> bool {
        match &self.0 {
            Kind::Timer(timer) => timer.is_active(),
            Kind::Other { handle, access } => state(&**handle, access).is_active(),
        }
    }

    /// Whether it is closed or being closed.
    pub fn is_closing(&self) -> bool {
        match &self.0 {
            Kind::Timer(timer) => timer.is_closing(),
            Kind::Other { handle, access } => state(&**handle, access).is_closing(),
        }
    }

    /// Whether it keeps the loop alive while it is active.
    pub fn has_ref(&self) -> bool {
        match &self.0 {
            Kind::Timer(timer) => timer.has_ref(),
            Kind::Other { handle, access } => state(&**handle, access).has_ref(),
        }
    }

    /// Lets it keep the loop alive while it is active.
    pub fn reference(&self) {
        self.set_referenced(true);
    }

    /// Lets the loop end while it is active.
    pub fn unreference(&self) {
        self.set_referenced(false);
    }

    fn set_referenced(&self, referenced: bool) {
        match &self.0 {
            Kind::Timer(timer) => timer.handle().set_referenced(referenced),
            Kind::Other { handle, access } => state(&**handle, access).set_referenced(referenced),
        }
    }

    /// Ends it. Does nothing if it is closed or being closed.
    pub fn close(&self) {
        match &self.0 {
            Kind::Timer(timer) => timer.close(),
            Kind::Other { handle, access } => (access.close)(Rc::clone(handle)),
        }
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
