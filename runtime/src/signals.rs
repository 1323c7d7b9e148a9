//! Signals from other threads to async handles: carried without a lock, an allocation or a limit.
//!
//! Each async handle has a flag of its own, which makes signals coalesce, and one bit in a word that it shares with up
//! to 63 others, which spares the loop looking at every handle. A place may be taken over by another handle while
//! senders of the one before it still live: their flag is not the new handle's, so their bit tells the loop nothing.
//!
//! **Threads.** A sender raises its flag and, if that was down, sets its bit and notifies the loop, in this order. The loop
//! acknowledges the notification, then takes the bit, then lowers the flag, and calls back if that was up. All are
//! read-modify-write operations (`AcqRel`). A sender that finds its flag up sent before the loop lowered it, so the
//! callback that is about to run sees whatever the sender did before; a sender that finds it down notifies anew.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::event_loop::EventLoop;
use crate::handle::async_handle::AsyncState;
use crate::inbox::InboxSender;

/// Handles that share a word.
const GROUP: usize = u64::BITS as usize;

/// The async handles of one loop.
#[derive(Default)]
pub(crate) struct Signals {
    groups: RefCell<Vec<Group>>,
    free: RefCell<Vec<Place>>,
}

struct Group {
    bits: Arc<AtomicU64>,
    handles: [Option<Rc<AsyncState>>; GROUP],
}

/// A handle's place: its group, and its bit there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    group: usize,
    bit: usize,
}

/// The loop's end of one handle's signal.
pub(crate) struct Signal {
    sender: Sender,
}

/// Any thread's end of one handle's signal.
#[derive(Clone)]
pub(crate) struct Sender {
    raised: Arc<AtomicBool>,
    bits: Arc<AtomicU64>,
    bit: u64,
    inbox: InboxSender,
}

impl Sender {
    /// Sends the signal, unless it is on its way already.
    pub(crate) fn send(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.bits.fetch_or(self.bit, Ordering::AcqRel);
            self.inbox.notify();
        }
    }
}

impl Signal {
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Lowers the flag; gives whether it was up.
    fn take(&self) -> bool {
        self.sender.raised.swap(false, Ordering::AcqRel)
    }
}

impl Signals {
    /// A place for a new handle, and its signal.
    pub(crate) fn claim(&self, inbox: InboxSender) -> (Place, Signal) {
        let free = self.free.borrow_mut().pop();
        let place = free.unwrap_or_else(|| self.grow());
        let bits = Arc::clone(&self.groups.borrow()[place.group].bits);
        let raised = Arc::new(AtomicBool::new(false));
        (place, Signal { sender: Sender { raised, bits, bit: 1 << place.bit, inbox } })
    }

    fn grow(&self) -> Place {
        let mut groups = self.groups.borrow_mut();
        let group = groups.len();
        groups.push(Group { bits: Arc::default(), handles: [const { None }; GROUP] });
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
            let arrived = self.groups.borrow()[group].bits.load(Ordering::Acquire);
            let raised_bits = (0..GROUP).filter(|bit| arrived >> bit & 1 == 1);
            raised_bits.for_each(|bit| self.deliver_one(event_loop, Place { group, bit }));
        }
    }

    /// A bit is taken only when its turn comes, so that a panic leaves those behind it set.
    fn deliver_one(&self, event_loop: &EventLoop, place: Place) {
        let handle = {
            let group = &self.groups.borrow()[place.group];
            group.bits.fetch_and(!(1 << place.bit), Ordering::AcqRel);
            group.handles[place.bit].clone()
        };
        if let Some(handle) = handle.filter(|handle| handle.signal().take()) {
            handle.call_back(event_loop);
        }
    }

    /// Drops all handles without calling back.
    pub(crate) fn clear(&self) {
        let groups = self.groups.take();
        groups.iter().flat_map(|group| &group.handles).flatten().for_each(|handle| handle.abandon());
    }
}
