//! Wake-ups from other threads to async handles: carried without a lock, an allocation or a limit.
//!
//! [`crate::notify`] has the argument why none is lost. A handle's place may be taken over by another handle while
//! senders of the one before it still live: their flag is not the new handle's, so their bit tells the loop nothing.

use std::cell::RefCell;
use std::rc::Rc;
#[cfg(not(loom))]
use std::sync::Arc;

#[cfg(loom)]
use loom::sync::Arc;

use crate::event_loop::EventLoop;
use crate::handle::async_handle::AsyncState;
use crate::inbox::InboxSender;
use crate::notify::{Bits, Flag};

/// Handles that share a word.
const GROUP: usize = u64::BITS as usize;

/// The async handles of one loop.
#[derive(Default)]
pub(crate) struct WakeUps {
    groups: RefCell<Vec<Group>>,
    free: RefCell<Vec<Place>>,
}

struct Group {
    bits: Arc<Bits>,
    handles: [Option<Rc<AsyncState>>; GROUP],
}

/// A handle's place: its group, and its bit there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    group: usize,
    bit: usize,
}

/// What sends a handle its signal. Any thread may hold one.
#[derive(Clone)]
pub(crate) struct Sender {
    flag: Arc<Flag>,
    inbox: InboxSender,
}

impl Sender {
    /// Sends the signal, unless it is on its way already.
    pub(crate) fn send(&self) {
        if self.flag.raise() {
            self.inbox.notify();
        }
    }
}

impl WakeUps {
    /// A place for a new handle, and what sends it its signal.
    pub(crate) fn claim(&self, inbox: InboxSender) -> (Place, Sender) {
        let free = self.free.borrow_mut().pop();
        let place = free.unwrap_or_else(|| self.grow());
        let bits = Arc::clone(&self.groups.borrow()[place.group].bits);
        (place, Sender { flag: Flag::new(bits, place.bit), inbox })
    }

    fn grow(&self) -> Place {
        let mut groups = self.groups.borrow_mut();
        let group = groups.len();
        groups.push(Group { bits: Bits::new(), handles: [const { None }; GROUP] });
        self.free.borrow_mut().extend((1..GROUP).rev().map(|bit| Place { group, bit }));
        Place { group, bit: 0 }
    }

    pub(crate) fn occupy(&self, place: Place, handle: Rc<AsyncState>) {
        self.groups.borrow_mut()[place.group].handles[place.bit] = Some(handle);
    }

    /// Gives a place back.
    pub(crate) fn release(&self, place: Place) {
        let handle = self.groups.borrow_mut()[place.group].handles[place.bit].take();
        self.free.borrow_mut().push(place);
        drop(handle);
    }

    /// Calls back for the signals that have arrived. Those that arrive meanwhile bring a notification of their own.
    pub(crate) fn deliver(&self, event_loop: &EventLoop) {
        let groups = self.groups.borrow().len();
        for group in 0..groups {
            let arrived = self.groups.borrow()[group].bits.set_bits();
            arrived.for_each(|bit| self.deliver_one(event_loop, Place { group, bit }));
        }
    }

    /// A bit is cleared only when its turn comes, so that a panic leaves those behind it set.
    fn deliver_one(&self, event_loop: &EventLoop, place: Place) {
        let handle = {
            let group = &self.groups.borrow()[place.group];
            group.bits.clear(place.bit);
            group.handles[place.bit].clone()
        };
        if let Some(handle) = handle.filter(|handle| handle.sender().flag.lower()) {
            handle.call_back(event_loop);
        }
    }

    /// Drops all handles without calling back.
    pub(crate) fn clear(&self) {
        let groups = self.groups.take();
        groups.iter().flat_map(|group| &group.handles).flatten().for_each(|handle| handle.abandon());
    }
}
