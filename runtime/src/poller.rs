//! Which descriptors a loop watches, and what for.
//!
//! A watcher is registered while it wants something, and the poller holds on to it for so long. Watching begins at
//! once, so that a refusal reaches whoever asked; changes wait for the next poll, so that stopping and starting again
//! in between costs nothing. Each registration has a token of its own: an event that was under way for a descriptor
//! that is no longer watched, or whose number has been taken over by another, finds nobody.

mod renew;

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use rustix::io::Errno;

use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::epoll::{self, Epoll, Events, Readiness, Wait};

/// Something that waits for a descriptor to become ready.
pub(crate) trait Watcher {
    /// The descriptor is ready, or was a moment ago.
    fn ready(self: Rc<Self>, event_loop: &EventLoop, event: epoll::Event);

    /// The loop ends: nobody will call back any more.
    fn abandon(&self);
}

/// A watcher's place with the poller; empty while it wants nothing.
#[derive(Default)]
pub(crate) struct Registration {
    token: Cell<Option<Token>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Token {
    slot: u32,
    generation: u32,
}

/// What an event is about.
pub(crate) enum Event {
    /// The loop was woken from another thread.
    Wake,
    /// A descriptor is ready.
    Ready(Rc<dyn Watcher>, epoll::Event),
    /// A descriptor that nobody watches any more was ready.
    Stale,
}

/// A watcher for which the kernel refused a change, and what it wanted.
pub(crate) type Refused = (Rc<dyn Watcher>, Readiness);

/// The token of the wake descriptor: no slot has that number.
const WAKE: u64 = u64::MAX;

/// The watched descriptors of one loop.
pub(crate) struct Poller {
    epoll: Epoll,
    slots: RefCell<Slots>,
    changed: RefCell<Vec<Token>>,
    events: RefCell<Events>,
}

#[derive(Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    watch: Option<Watch>,
}

struct Watch {
    descriptor: Rc<dyn AsFd>,
    watcher: Rc<dyn Watcher>,
    wanted: Readiness,
    registered: Readiness,
    /// Whether the token stands in the list of changes.
    changed: bool,
}

impl Poller {
    /// A poller that is woken through `wake`.
    pub(crate) fn new(wake: &impl AsFd) -> Result<Self, Error> {
        let epoll = Epoll::new().map_err(|errno| Error::system("epoll_create1", errno))?;
        epoll.add_edge(wake, WAKE).map_err(|errno| Error::system("epoll_ctl", errno))?;
        Ok(Self {
            epoll,
            slots: RefCell::default(),
            changed: RefCell::default(),
            events: RefCell::new(Events::new()),
        })
    }

    /// Says what `watcher` wants of `descriptor` from now on.
    ///
    /// # Errors
    /// Where the kernel refuses to begin watching the descriptor.
    pub(crate) fn want<W: Watcher + 'static>(
        &self,
        watcher: &Rc<W>,
        descriptor: &Rc<impl AsFd + 'static>,
        registration: &Registration,
        wanted: Readiness,
    ) -> Result<(), Error> {
        let mut slots = self.slots.borrow_mut();
        if let Some((token, watch)) = slots.find(registration.token.get()) {
            watch.wanted = wanted;
            if wanted != watch.registered && !std::mem::replace(&mut watch.changed, true) {
                self.changed.borrow_mut().push(token);
            }
            return Ok(());
        }
        if wanted.is_none() {
            return Ok(());
        }
        let token = slots.vacancy();
        self.epoll
            .add(descriptor, token.pack(), wanted)
            .map_err(|errno| Error::system("epoll_ctl", errno))?;
        let (descriptor, watcher) = (descriptor.clone(), watcher.clone());
        slots.occupy(token, Watch { descriptor, watcher, wanted, registered: wanted, changed: false });
        registration.token.set(Some(token));
        Ok(())
    }

    /// Stops watching at once: the descriptor is about to be closed.
    pub(crate) fn forget(&self, registration: &Registration) {
        let Some(token) = registration.token.take() else { return };
        let released = self.slots.borrow_mut().release(token);
        if let Some(watch) = released {
            self.unwatch(&watch);
        }
    }

    /// Tells the kernel what has changed since the last poll. Gives the watchers for which it refused: they are to be
    /// called as if ready, so that their own next system call tells them what is wrong.
    #[inline]
    pub(crate) fn apply_changes(&self) -> Vec<Refused> {
        if self.changed.borrow().is_empty() { Vec::new() } else { self.apply_all() }
    }

    fn apply_all(&self) -> Vec<Refused> {
        let mut refused = Vec::new();
        loop {
            let Some(token) = self.changed.borrow_mut().pop() else { return refused };
            let released = self.apply_change(token, &mut refused);
            // Releasing a watcher may drop the last reference to it, which must find nothing borrowed.
            if let Some(watch) = released {
                self.unwatch(&watch);
            }
        }
    }

    fn apply_change(&self, token: Token, refused: &mut Vec<Refused>) -> Option<Watch> {
        let mut slots = self.slots.borrow_mut();
        let (_, watch) = slots.find(Some(token))?;
        watch.changed = false;
        if watch.wanted.is_none() {
            return slots.release(token);
        }
        if watch.wanted != watch.registered {
            match self.epoll.modify(&watch.descriptor, token.pack(), watch.wanted) {
                Ok(()) => watch.registered = watch.wanted,
                Err(_) => refused.push((Rc::clone(&watch.watcher), watch.wanted)),
            }
        }
        None
    }

    /// The kernel forgets a descriptor by itself only when its last duplicate closes, which may be in another process.
    fn unwatch(&self, watch: &Watch) {
        // A refusal means that the descriptor is not watched, which is what is wanted.
        let _ = self.epoll.remove(&watch.descriptor);
    }

    /// Waits for events; gives their number.
    #[inline]
    pub(crate) fn wait(&self, wait: Wait) -> Result<usize, Errno> {
        self.epoll.wait(&mut self.events.borrow_mut(), wait)
    }

    /// How many events the last wait gave.
    pub(crate) fn event_count(&self) -> usize {
        self.events.borrow().len()
    }

    /// One of the events that the last wait gave.
    pub(crate) fn event(&self, index: usize) -> Event {
        let Some((token, told)) = self.events.borrow().get(index) else { return Event::Stale };
        if token == WAKE {
            return Event::Wake;
        }
        let mut slots = self.slots.borrow_mut();
        let Some((_, watch)) = slots.find(Some(Token::unpack(token))) else { return Event::Stale };
        match told.of(watch.wanted) {
            Some(event) => Event::Ready(Rc::clone(&watch.watcher), event),
            None => Event::Stale,
        }
    }

    /// Whether one of the events that the last wait gave is that the loop was woken.
    pub(crate) fn was_woken(&self) -> bool {
        let events = self.events.borrow();
        (0..events.len()).any(|index| events.get(index).is_some_and(|(token, _)| token == WAKE))
    }

    /// Lets go of all watchers: the loop ends.
    pub(crate) fn clear(&self) {
        let slots = self.slots.take();
        for watch in slots.slots.iter().filter_map(|slot| slot.watch.as_ref()) {
            watch.watcher.abandon();
        }
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Slots {
    fn find(&mut self, token: Option<Token>) -> Option<(Token, &mut Watch)> {
        let token = token?;
        let slot =
            self.slots.get_mut(token.slot as usize).filter(|slot| slot.generation == token.generation)?;
        slot.watch.as_mut().map(|watch| (token, watch))
    }

    /// The token of a free place.
    fn vacancy(&mut self) -> Token {
        let slot = match self.free.last() {
            Some(&slot) => slot,
            None => {
                self.slots.push(Slot::default());
                let slot = (self.slots.len() - 1) as u32;
                self.free.push(slot);
                slot
            }
        };
        Token { slot, generation: self.slots[slot as usize].generation }
    }

    /// Puts a watch into the place that [`Slots::vacancy`] gave last.
    fn occupy(&mut self, token: Token, watch: Watch) {
        self.free.pop();
        self.slots[token.slot as usize].watch = Some(watch);
    }

    fn release(&mut self, token: Token) -> Option<Watch> {
        let slot =
            self.slots.get_mut(token.slot as usize).filter(|slot| slot.generation == token.generation)?;
        let watch = slot.watch.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(token.slot);
        Some(watch)
    }
}

impl Token {
    fn pack(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.slot)
    }

    fn unpack(packed: u64) -> Self {
        Self { slot: packed as u32, generation: (packed >> 32) as u32 }
    }
}
