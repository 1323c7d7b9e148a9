//! The timers of a loop: what each is, which is due next, and running those that are due.
//!
//! Timers call back in the order in which they are due and, among equals, in which they were started. What a callback
//! starts never runs in the same phase, however short its timeout: it is made due after the time that the phase runs for.
//!
//! A timer is a slot of a [`slab`], and what waits for its time is an entry of a [`queue`], which holds no more than
//! time, turn and slot. Stopping a timer forgets its turn and leaves the entry behind, to be passed over: a timeout that is
//! put off with every message, as those of connections are, costs no search and no sifting.

mod queue;
mod reference;
mod slab;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use model::label::HandleType;
use model::time::Monotonic;

use self::queue::{Entry, Queue};
pub(crate) use self::reference::TimerReference;
use self::slab::{NO_TURN, Slab};
use crate::closing::CloseCallback;
use crate::event_loop::{Core, EventLoop};
use crate::handle::timer::{Timer, TimerCallback};

/// The timers of one loop.
pub(crate) struct Timers {
    slab: RefCell<Slab>,
    queue: RefCell<Queue>,
    /// When the first timer is due; the end of time if none waits.
    next_due: Cell<Monotonic>,
    /// The time that the last phase ran for.
    ran_until: Cell<Monotonic>,
    next_turn: Cell<u32>,
}

/// Rounds nothing: a duration is a whole number of nanoseconds. The longest ones are cut to 584 years.
pub(crate) fn whole_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The end of time: nothing is due then.
const NEVER: Monotonic = Monotonic::from_ns(u64::MAX);

impl Default for Timers {
    fn default() -> Self {
        Self {
            slab: RefCell::default(),
            queue: RefCell::default(),
            next_due: Cell::new(NEVER),
            ran_until: Cell::default(),
            next_turn: Cell::default(),
        }
    }
}

impl Timers {
    /// When the first timer is due.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<Monotonic> {
        Some(self.next_due.get()).filter(|due| *due != NEVER)
    }

    #[inline]
    pub(crate) fn any_due(&self, now: Monotonic) -> bool {
        self.next_due.get() <= now
    }

    /// Calls back for all timers that are due at the loop's time.
    pub(crate) fn run_due(&self, event_loop: &EventLoop) {
        let now = event_loop.now();
        self.ran_until.set(now);
        while let Some(entry) = self.take_due(now) {
            fire(event_loop, entry);
        }
    }

    fn take_due(&self, now: Monotonic) -> Option<Entry> {
        if !self.any_due(now) {
            return None;
        }
        let (slab, mut queue) = (self.slab.borrow(), self.queue.borrow_mut());
        let entry = queue.pop_first();
        self.next_due.set(queue.settle(|entry| slab.is_live(entry)).unwrap_or(NEVER));
        entry
    }

    /// Gives a timer that waits nowhere its turn. Gives whether it keeps the loop alive.
    fn insert(&self, slot: u32, due: Monotonic) -> bool {
        let due = due.max(self.ran_until.get().plus_ns(1));
        if self.next_turn.get() == NO_TURN {
            self.renumber();
        }
        let turn = self.next_turn.get();
        self.next_turn.set(turn + 1);
        self.queue.borrow_mut().push(Entry { due, turn, slot });
        self.next_due.set(self.next_due.get().min(due));
        self.slab.borrow_mut().wait(slot, due, turn)
    }

    /// A timer that waited does no longer: its entry is to be passed over.
    fn forget_entry(&self, due: Monotonic) {
        let (slab, mut queue) = (self.slab.borrow(), self.queue.borrow_mut());
        queue.forgot_one(|entry| slab.is_live(entry));
        if due == self.next_due.get() {
            self.next_due.set(queue.settle(|entry| slab.is_live(entry)).unwrap_or(NEVER));
        }
    }

    /// All turns are used up: those who wait get new ones, in the same order.
    fn renumber(&self) {
        let (mut slab, mut queue) = (self.slab.borrow_mut(), self.queue.borrow_mut());
        let next_turn = queue.renumber(|entry| slab.is_live(entry));
        for entry in queue.entries() {
            slab.wait(entry.slot, entry.due, entry.turn);
        }
        self.next_turn.set(next_turn);
    }

    /// A timer's close callback is next. The timer is closed from now on.
    pub(crate) fn end_close(&self, core: &Core, slot: u32) -> Option<CloseCallback> {
        let (on_close, unused) = self.slab.borrow_mut().end_close(slot);
        core.instruments.handles_changed(HandleType::Timer, -1);
        drop(unused);
        on_close
    }

    /// How many there are that are not closed.
    pub(crate) fn len(&self) -> usize {
        self.slab.borrow().not_closed() as usize
    }

    /// All that are not closed, each with how many handles were made since: of all `made` ones.
    pub(crate) fn all(&self, core: &Rc<Core>, made: u64) -> Vec<(u64, Timer)> {
        let mut slab = self.slab.borrow_mut();
        let mut found = Vec::with_capacity(slab.not_closed() as usize);
        for slot in 0..slab.slots() {
            if let Some(number) = slab.get_mut(slot).refer_if_known() {
                let age = (made as u32).wrapping_sub(number);
                found.push((age.into(), Timer::of(TimerReference { core: Rc::clone(core), slot })));
            }
        }
        found
    }

    /// Drops all callbacks without calling back.
    pub(crate) fn clear(&self) {
        self.next_due.set(NEVER);
        self.queue.take();
        let slots = self.slab.borrow().slots();
        for slot in 0..slots {
            // One at a time, since what is dropped may be references to timers.
            let (callback, unused) = self.slab.borrow_mut().abandon(slot);
            drop((callback, unused));
        }
    }
}

/// Calls back: the timer was due.
fn fire(event_loop: &EventLoop, entry: Entry) {
    let core = &event_loop.core;
    let begun = core.timers.slab.borrow_mut().begin_call(entry.slot);
    if begun.counted {
        core.active_handles.set(core.active_handles.get() - 1);
    }
    let timer = Timer::of(TimerReference { core: Rc::clone(core), slot: entry.slot });
    if begun.repeat_ns > 0 {
        timer.handle().start_at(core.now.get().plus_ns(begun.repeat_ns));
    }
    let Some(callback) = begun.callback else { return };
    let instruments = &core.instruments;
    if instruments.are_on() {
        instruments.timer_starts(entry.due, event_loop.callback_start());
    }
    let mut running = Running { timer: &timer, callback: Some(callback) };
    event_loop.call_named("timer", |event_loop| running.call(event_loop));
}

/// A callback while it runs. Goes back to its timer when it is dropped, by a panic too, unless the timer has another one
/// by then or is closed.
struct Running<'a> {
    timer: &'a Timer,
    callback: Option<TimerCallback>,
}

impl Running<'_> {
    fn call(&mut self, event_loop: &EventLoop) {
        if let Some(callback) = &mut self.callback {
            callback(event_loop, self.timer);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let TimerReference { core, slot } = self.timer.handle();
        let left = core.timers.slab.borrow_mut().end_call(*slot, self.callback.take());
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::NO_TURN;
    use crate::event_loop::{EventLoop, RunMode};
    use crate::handle::timer::Timer;

    #[test]
    fn timers_keep_their_order_when_turns_begin_anew() {
        let event_loop = EventLoop::new().unwrap();
        event_loop.core.timers.next_turn.set(NO_TURN - 3);
        let called: Rc<RefCell<Vec<usize>>> = Rc::default();
        let timers: Vec<_> = (0..8).map(|_| Timer::new(&event_loop)).collect();
        let due = event_loop.now().plus_ns(1_000_000);
        for (number, timer) in timers.iter().enumerate() {
            let called = Rc::clone(&called);
            timer.start(Duration::from_secs(60), move |_, _| called.borrow_mut().push(number)).unwrap();
            // All due at the same time, so that nothing but their turns orders them.
            timer.handle().stop();
            timer.handle().start_at(due);
        }
        assert!(event_loop.core.timers.next_turn.get() < 16, "turns began anew");
        timers[2].stop();
        event_loop.run(RunMode::Default);
        assert_eq!(*called.borrow(), [0, 1, 3, 4, 5, 6, 7]);
    }
}
