//! What each timer of a loop is, in slots of 40 bytes.
//!
//! A timer on its own on the heap, with what an allocator and counted references add, took three times as much. Slots lie
//! in chunks, which neither move nor leave room for as many again when there are more of them. All memory is given back
//! when the last timer is gone.
//!
//! What leaves a slot (callbacks, which are the program's) is handed out for the caller to drop once nothing is borrowed.

use model::time::Monotonic;

use super::queue::Entry;
use crate::closing::CloseCallback;
use crate::handle::timer::TimerCallback;

/// The turn of a timer that waits nowhere.
pub(super) const NO_TURN: u32 = u32::MAX;

/// How many slots are made at a time.
const CHUNK: usize = 256;

/// The bits of a slot's state: its references from here on up, its flags below.
const REFERENCE: u32 = 1 << 5;
const REFERENCED: u32 = 1 << 0;
const STARTED: u32 = 1 << 1;
const CLOSING: u32 = 1 << 2;
const CLOSED: u32 = 1 << 3;
const INTERNAL: u32 = 1 << 4;

/// Whether a timer is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    Closing,
    Closed,
}

pub(super) struct Slot {
    callback: Option<TimerCallback>,
    /// When the timer is due, if it waits; of a free slot the next free one.
    due: Monotonic,
    turn: u32,
    /// How many refer to the timer, and its flags. Free slots count as closed.
    state: u32,
    /// Where what few timers have lies.
    seldom: u32,
    /// Tells by how many handles the timer is older than others.
    number: u32,
}

/// What few timers have.
#[derive(Default)]
struct Seldom {
    repeat_ns: u64,
    on_close: Option<CloseCallback>,
}

/// The place of nothing.
const NOWHERE: u32 = u32::MAX;

#[derive(Default)]
pub(super) struct Slab {
    chunks: Vec<Vec<Slot>>,
    /// Slots that were ever used.
    slots: u32,
    used: u32,
    /// Those that are not closed, without internal ones.
    not_closed: u32,
    first_free: Option<u32>,
    seldom: Vec<Seldom>,
    free_seldom: Vec<u32>,
}

/// A timer whose callback is about to run.
pub(super) struct Begun {
    pub(super) callback: Option<TimerCallback>,
    pub(super) repeat_ns: u64,
    /// Whether it kept the loop alive.
    pub(super) counted: bool,
}

/// What is left of a timer that nothing refers to any more.
pub(super) struct Unused {
    /// One if it was not closed, else none.
    pub(super) open_handles: i64,
    _callback: Option<TimerCallback>,
}

impl Slab {
    /// A slot for a new timer, with one reference to it.
    pub(super) fn claim(&mut self, number: u32) -> u32 {
        self.used += 1;
        self.not_closed += 1;
        let slot = Slot {
            callback: None,
            due: Monotonic::default(),
            turn: NO_TURN,
            state: REFERENCED | REFERENCE,
            seldom: NOWHERE,
            number,
        };
        if let Some(free) = self.first_free {
            let place = self.get_mut(free);
            let next = place.due.as_ns();
            *place = slot;
            self.first_free = u32::try_from(next).ok();
            return free;
        }
        let number = self.slots;
        assert!(number < u32::MAX, "a loop has fewer than 2^32 timers");
        self.slots += 1;
        if (number as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[number as usize / CHUNK].push(slot);
        number
    }

    pub(super) fn slots(&self) -> u32 {
        self.slots
    }

    pub(super) fn not_closed(&self) -> u32 {
        self.not_closed
    }

    #[inline]
    pub(super) fn get(&self, slot: u32) -> &Slot {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// Whether a timer waits for this entry.
    #[inline]
    pub(super) fn is_live(&self, entry: &Entry) -> bool {
        entry.slot < self.slots && self.get(entry.slot).turn == entry.turn
    }

    /// A timer waits from now on. Gives whether that keeps the loop alive.
    pub(super) fn wait(&mut self, slot: u32, due: Monotonic, turn: u32) -> bool {
        let slot = self.get_mut(slot);
        slot.due = due;
        slot.turn = turn;
        slot.is_referenced()
    }

    /// A timer waits no more, and calls back. The caller gets a reference to it.
    pub(super) fn begin_call(&mut self, slot: u32) -> Begun {
        let repeat_ns = self.repeat_ns(slot);
        let slot = self.get_mut(slot);
        slot.turn = NO_TURN;
        slot.refer();
        Begun { callback: slot.callback.take(), repeat_ns, counted: slot.is_referenced() }
    }

    /// Gives a callback that ran back to its timer, or to the caller if the timer has no use for it any more.
    pub(super) fn end_call(&mut self, slot: u32, callback: Option<TimerCallback>) -> Option<TimerCallback> {
        let slot = self.get_mut(slot);
        if slot.callback.is_none() && slot.was_started() {
            slot.callback = callback;
            return None;
        }
        callback
    }

    /// A timer is closed from now on.
    pub(super) fn end_close(&mut self, slot: u32) -> (Option<CloseCallback>, Option<Unused>) {
        self.not_closed -= u32::from(!self.get(slot).is_internal());
        let on_close = self.take_seldom(slot).on_close;
        let closed = self.get_mut(slot);
        closed.state = closed.state & !CLOSING | CLOSED;
        (on_close, self.free_if_unused(slot))
    }

    /// A timer is a part of something else: it is neither met on a walk nor counted.
    pub(super) fn make_internal(&mut self, slot: u32) {
        let slot = self.get_mut(slot);
        if !slot.is_internal() && slot.life() != Life::Closed {
            slot.state |= INTERNAL;
            self.not_closed -= 1;
        }
    }

    /// A reference to a timer is gone.
    pub(super) fn release(&mut self, slot: u32) -> Option<Unused> {
        self.get_mut(slot).state -= REFERENCE;
        self.free_if_unused(slot)
    }

    /// Takes out what a timer owns.
    pub(super) fn abandon(&mut self, slot: u32) -> (Option<TimerCallback>, Option<CloseCallback>) {
        let on_close = self.take_seldom(slot).on_close;
        let slot = self.get_mut(slot);
        slot.turn = NO_TURN;
        (slot.abandon(), on_close)
    }

    pub(super) fn repeat_ns(&self, slot: u32) -> u64 {
        self.seldom.get(self.get(slot).seldom as usize).map_or(0, |seldom| seldom.repeat_ns)
    }

    pub(super) fn set_repeat_ns(&mut self, slot: u32, repeat_ns: u64) {
        if repeat_ns != self.repeat_ns(slot) {
            self.seldom_mut(slot).repeat_ns = repeat_ns;
        }
    }

    pub(super) fn begin_close(&mut self, slot: u32, on_close: Option<CloseCallback>) {
        self.get_mut(slot).state |= CLOSING;
        if on_close.is_some() {
            self.seldom_mut(slot).on_close = on_close;
        }
    }

    fn seldom_mut(&mut self, slot: u32) -> &mut Seldom {
        let mut place = self.get(slot).seldom;
        if place == NOWHERE {
            place = self.free_seldom.pop().unwrap_or(self.seldom.len() as u32);
            if place as usize == self.seldom.len() {
                self.seldom.push(Seldom::default());
            }
            self.get_mut(slot).seldom = place;
        }
        &mut self.seldom[place as usize]
    }

    fn take_seldom(&mut self, slot: u32) -> Seldom {
        let place = std::mem::replace(&mut self.get_mut(slot).seldom, NOWHERE);
        if place == NOWHERE {
            return Seldom::default();
        }
        self.free_seldom.push(place);
        std::mem::take(&mut self.seldom[place as usize])
    }

    fn free_if_unused(&mut self, number: u32) -> Option<Unused> {
        let slot = self.get_mut(number);
        if slot.state >= REFERENCE || slot.turn != NO_TURN || slot.life() == Life::Closing {
            return None;
        }
        let open_handles = if slot.life() == Life::Open { 1 } else { 0 };
        let counted = open_handles as u32 * u32::from(!slot.is_internal());
        let unused = Unused { open_handles, _callback: slot.callback.take() };
        slot.state = CLOSED;
        // What is left there is a number: only a timer that is being closed has a callback for that.
        self.take_seldom(number);
        self.not_closed -= counted;
        self.used -= 1;
        if self.used == 0 {
            *self = Self::default();
        } else {
            let next = self.first_free.map_or(u64::MAX, u64::from);
            self.get_mut(number).due = Monotonic::from_ns(next);
            self.first_free = Some(number);
        }
        Some(unused)
    }
}

impl Slot {
    pub(super) fn life(&self) -> Life {
        match self.state {
            state if state & CLOSED != 0 => Life::Closed,
            state if state & CLOSING != 0 => Life::Closing,
            _ => Life::Open,
        }
    }

    pub(super) fn due(&self) -> Option<Monotonic> {
        (self.turn != NO_TURN).then_some(self.due)
    }

    fn is_internal(&self) -> bool {
        self.state & INTERNAL != 0
    }

    pub(super) fn is_referenced(&self) -> bool {
        self.state & REFERENCED != 0
    }

    pub(super) fn was_started(&self) -> bool {
        self.state & STARTED != 0
    }

    /// One more refers to the timer.
    pub(super) fn refer(&mut self) {
        self.state = self.state.checked_add(REFERENCE).expect("fewer than 2^27 references to one timer");
    }

    /// Gives by how much this changes the number of handles that keep the loop alive, if the timer waits.
    pub(super) fn set_referenced(&mut self, referenced: bool) -> Option<isize> {
        let before = self.is_referenced();
        self.state = if referenced { self.state | REFERENCED } else { self.state & !REFERENCED };
        (self.turn != NO_TURN).then_some(isize::from(referenced) - isize::from(before))
    }

    pub(super) fn set_callback(&mut self, callback: TimerCallback) -> Option<TimerCallback> {
        self.state |= STARTED;
        self.callback.replace(callback)
    }

    /// Gives when the timer was due and whether it kept the loop alive, if it waited.
    pub(super) fn stop(&mut self) -> Option<(Monotonic, bool)> {
        let waited = self.due().map(|due| (due, self.is_referenced()));
        self.turn = NO_TURN;
        waited
    }

    pub(super) fn abandon(&mut self) -> Option<TimerCallback> {
        self.state &= !STARTED;
        self.callback.take()
    }

    /// One more refers to the timer, unless it is closed or internal. Gives its number.
    pub(super) fn refer_if_known(&mut self) -> Option<u32> {
        (self.life() != Life::Closed && !self.is_internal()).then(|| {
            self.refer();
            self.number
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_takes_forty_bytes() {
        assert_eq!(size_of::<Slot>(), 40);
    }

    #[test]
    fn slots_are_used_again_and_memory_is_given_back_with_the_last() {
        let mut slab = Slab::default();
        let slots: Vec<_> = (0..1000).map(|_| slab.claim(0)).collect();
        for &slot in &slots[1..] {
            assert!(slab.release(slot).is_some());
        }
        let again: Vec<_> = (0..999).map(|_| slab.claim(0)).collect();
        assert_eq!(slab.slots(), 1000, "no slot beyond those that are free");
        assert!(again.iter().all(|slot| slots[1..].contains(slot)));
        for slot in again.into_iter().chain([slots[0]]) {
            assert!(slab.release(slot).is_some());
        }
        assert_eq!(slab.chunks.capacity(), 0);
    }
}
