//! Node's timers, as a layer over one [`Timer`] of the loop: `setTimeout` and `setInterval` in the order in which Node.js
//! calls them, which is not that of their due times.
//!
//! **Lists.** There is a list for each duration, in the order in which its timeouts were started, and a queue of lists by
//! when their first one is due. So starting and clearing a timeout costs the same however many there are, as long as
//! they share few durations. It also makes timeouts of one list run together: when a list's turn comes, all its timeouts
//! that are due run, although one of another list may have been due before some of them.
//!
//! **Time** is in whole milliseconds of the loop's clock, as in Node.js: a delay's fraction is cut off, and what is not
//! between 1 and 2^31 - 1 becomes 1.
//!
//! The steps and their order follow Node.js 20 to 24 (`lib/internal/timers.js`), which measure the same.

mod lists;

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use self::lists::Lists;
use crate::event_loop::{Core, EventLoop};
use crate::handle::timer::Timer;

/// The longest delay, in milliseconds.
const DELAY_MAX_MS: f64 = 2_147_483_647.0;

const NS_PER_MS: u64 = 1_000_000;

type Callback = Rc<RefCell<dyn FnMut(&EventLoop, &Timeout)>>;

/// A timeout or interval of Node's kind. Dropping this value changes nothing.
#[derive(Clone)]
pub struct Timeout(Rc<State>);

struct State {
    core: Weak<Core>,
    name: &'static str,
    /// `None` once it was cleared.
    callback: RefCell<Option<Callback>>,
    /// In milliseconds, with a fraction; `None` once it was cleared.
    delay_ms: Cell<Option<f64>>,
    repeats: bool,
    start_ms: Cell<u64>,
    referenced: Cell<bool>,
    /// Whether it has run for the last time, or was cleared.
    ended: Cell<bool>,
    place: Cell<Option<usize>>,
}

/// All timeouts of a loop.
pub(crate) struct Timeouts {
    timer: Timer,
    lists: RefCell<Lists>,
    /// When the timer calls back, in milliseconds.
    next_expiry_ms: Cell<u64>,
    /// Timeouts that keep the loop alive.
    referenced: Cell<usize>,
}

impl EventLoop {
    /// Calls back once, `delay_ms` milliseconds from now: Node's `setTimeout`.
    ///
    /// ```
    /// use loopscope_runtime::{EventLoop, RunMode};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let late = event_loop.set_timeout(3_600_000.0, |_, _| unreachable!());
    /// event_loop.set_timeout(1.0, move |_, _| late.clear());
    /// event_loop.run(RunMode::Default);
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    pub fn set_timeout<F: FnMut(&EventLoop, &Timeout) + 'static>(
        &self,
        delay_ms: f64,
        callback: F,
    ) -> Timeout {
        self.start_timeout(delay_ms, false, type_name::<F>(), Rc::new(RefCell::new(callback)))
    }

    /// Calls back every `delay_ms` milliseconds, counted from where a call begins to where the next one does: Node's
    /// `setInterval`.
    pub fn set_interval<F: FnMut(&EventLoop, &Timeout) + 'static>(
        &self,
        delay_ms: f64,
        callback: F,
    ) -> Timeout {
        self.start_timeout(delay_ms, true, type_name::<F>(), Rc::new(RefCell::new(callback)))
    }

    fn start_timeout(&self, delay_ms: f64, repeats: bool, name: &'static str, callback: Callback) -> Timeout {
        let delay_ms = if (1.0..=DELAY_MAX_MS).contains(&delay_ms) { delay_ms } else { 1.0 };
        let timeout = Timeout(Rc::new(State {
            core: Rc::downgrade(&self.core),
            name,
            callback: RefCell::new(Some(callback)),
            delay_ms: Cell::new(Some(delay_ms)),
            repeats,
            start_ms: Cell::default(),
            referenced: Cell::new(true),
            ended: Cell::default(),
            place: Cell::default(),
        }));
        if self.core.has_ended() {
            timeout.0.ended.set(true);
            return timeout;
        }
        let timeouts = Timeouts::of(self);
        timeouts.count(1);
        timeouts.insert(&self.core, &timeout, None);
        timeout
    }
}

impl Timeout {
    /// Ends it. Does nothing if that was done.
    pub fn clear(&self) {
        let callback = self.0.callback.take();
        if callback.is_none() || self.0.ended.replace(true) {
            return;
        }
        let Some(timeouts) = self.timeouts() else { return };
        timeouts.lists.borrow_mut().unlink(&self.0);
        if self.0.referenced.get() {
            if let Some(delay_ms) = self.0.delay_ms.get() {
                timeouts.lists.borrow_mut().drop_if_empty(delay_ms as u32);
            }
            timeouts.count(-1);
        }
        self.0.delay_ms.set(None);
    }

    /// Starts it anew, with its delay, also if it has run already.
    pub fn refresh(&self) {
        let (Some(core), Some(timeouts)) = (self.0.core.upgrade(), self.timeouts()) else { return };
        if self.0.delay_ms.get().is_none() {
            return;
        }
        timeouts.insert(&core, self, None);
        if self.0.ended.replace(false) && self.0.referenced.get() {
            timeouts.count(1);
        }
    }

    /// Whether the loop stays alive for it.
    pub fn has_ref(&self) -> bool {
        self.0.referenced.get()
    }

    /// Keeps the loop alive for it, as it is from the beginning.
    pub fn reference(&self) {
        self.set_referenced(true);
    }

    /// Lets the loop end without it.
    pub fn unreference(&self) {
        self.set_referenced(false);
    }

    fn set_referenced(&self, referenced: bool) {
        if self.0.referenced.replace(referenced) != referenced
            && !self.0.ended.get()
            && let Some(timeouts) = self.timeouts()
        {
            timeouts.count(if referenced { 1 } else { -1 });
        }
    }

    fn timeouts(&self) -> Option<Rc<Timeouts>> {
        self.0.core.upgrade()?.timeouts.borrow().clone()
    }

    /// It has run, and does not run again by itself.
    fn end(&self, timeouts: &Timeouts) {
        if !self.0.ended.replace(true) && self.0.referenced.get() {
            timeouts.count(-1);
        }
    }
}

impl Timeouts {
    /// Those of a loop, made with the first one.
    fn of(event_loop: &EventLoop) -> Rc<Self> {
        let made = event_loop.core.timeouts.borrow().clone();
        made.unwrap_or_else(|| {
            let timeouts = Rc::new_cyclic(|this: &Weak<Self>| Self {
                timer: Self::timer(event_loop, this.clone()),
                lists: RefCell::default(),
                next_expiry_ms: Cell::new(u64::MAX),
                referenced: Cell::default(),
            });
            event_loop.core.timeouts.replace(Some(Rc::clone(&timeouts)));
            timeouts
        })
    }

    /// The one timer. It gets its callback once and is started again and again, which needs no memory.
    fn timer(event_loop: &EventLoop, timeouts: Weak<Self>) -> Timer {
        let timer = Timer::new(event_loop).internal();
        timer.unreference();
        let run = move |event_loop: &EventLoop, _: &Timer| {
            if let Some(timeouts) = timeouts.upgrade() {
                timeouts.run(event_loop);
            }
        };
        let started = timer.start(Duration::MAX, run);
        started.expect("a timer that was made just now is open");
        timer.stop();
        timer
    }

    /// Lets the timer call back when so many milliseconds of the loop's time have begun.
    fn schedule(&self, core: &Core, after_ms: u64) {
        let now = core.now.get().as_ns();
        let due = (now / NS_PER_MS + after_ms) * NS_PER_MS;
        self.timer.set_repeat(Duration::from_nanos(due - now));
        let started = self.timer.again();
        started.expect("the timer was started when it was made, and is never closed");
    }

    fn count(&self, change: isize) {
        let before = self.referenced.get();
        let after = before.wrapping_add_signed(change);
        self.referenced.set(after);
        match (before, after) {
            (0, 1..) => self.timer.reference(),
            (1.., 0) => self.timer.unreference(),
            _ => {}
        }
    }

    /// Puts a timeout at the end of its list, and counts its time from `start_ms`, or from now.
    fn insert(&self, core: &Core, timeout: &Timeout, start_ms: Option<u64>) {
        let Some(delay_ms) = timeout.0.delay_ms.get() else { return };
        let start_ms = start_ms.unwrap_or_else(|| now_ms(core));
        timeout.0.start_ms.set(start_ms);
        let duration_ms = delay_ms as u32;
        let expiry_ms = start_ms + u64::from(duration_ms);
        let is_new = self.lists.borrow_mut().append(timeout, duration_ms, expiry_ms);
        if is_new && self.next_expiry_ms.get() > expiry_ms {
            self.schedule(core, u64::from(duration_ms));
            self.next_expiry_ms.set(expiry_ms);
        }
    }

    /// Runs what is due, and schedules the rest.
    fn run(&self, event_loop: &EventLoop) {
        self.timer.stop();
        let now_ms = now_ms(&event_loop.core);
        self.next_expiry_ms.set(u64::MAX);
        let _reschedule = Reschedule { timeouts: self, event_loop };
        let mut ran_one = false;
        loop {
            let first = self.lists.borrow().first();
            let Some((expiry_ms, list)) = first else { return };
            if expiry_ms > now_ms {
                return;
            }
            if std::mem::replace(&mut ran_one, true) {
                event_loop.drain_queues();
            }
            self.run_list(event_loop, list, now_ms);
        }
    }

    fn run_list(&self, event_loop: &EventLoop, key: u64, now_ms: u64) {
        let mut ran_one = false;
        loop {
            let first = self.lists.borrow().first_of(key);
            let Some((timeout, duration_ms)) = first else { break };
            let due_ms = timeout.0.start_ms.get() + u64::from(duration_ms);
            if now_ms < due_ms {
                self.lists.borrow_mut().wait(key, due_ms.max(now_ms + 1));
                return;
            }
            if std::mem::replace(&mut ran_one, true) {
                event_loop.drain_queues();
            }
            self.lists.borrow_mut().unlink(&timeout.0);
            let callback = timeout.0.callback.borrow().clone();
            let Some(callback) = callback else {
                timeout.end(self);
                continue;
            };
            let start_ms = timeout.0.repeats.then(|| self::now_ms(&event_loop.core));
            let _after = AfterCallback { timeouts: self, event_loop, timeout: &timeout, start_ms };
            event_loop.call_without_draining(timeout.0.name, |event_loop| {
                callback.borrow_mut()(event_loop, &timeout)
            });
        }
        self.lists.borrow_mut().remove(key);
    }

    /// Drops all without calling back: the loop ends.
    pub(crate) fn clear(&self) {
        let lists = self.lists.take();
        for timeout in lists.timeouts() {
            timeout.0.place.set(None);
            timeout.0.ended.set(true);
            drop(timeout.0.callback.take());
        }
    }
}

/// The loop's time, read now, in whole milliseconds.
fn now_ms(core: &Core) -> u64 {
    core.read_clock().as_ns() / NS_PER_MS
}

/// What follows a callback, its panic too: an interval starts again, a timeout has ended, unless it was started anew.
struct AfterCallback<'a> {
    timeouts: &'a Timeouts,
    event_loop: &'a EventLoop,
    timeout: &'a Timeout,
    start_ms: Option<u64>,
}

impl Drop for AfterCallback<'_> {
    fn drop(&mut self) {
        let state = &self.timeout.0;
        if self.start_ms.is_some() && state.delay_ms.get().is_some() {
            self.timeouts.insert(&self.event_loop.core, self.timeout, self.start_ms);
        } else if state.place.get().is_none() {
            self.timeout.end(self.timeouts);
        }
    }
}

/// What follows a run, that which a panic ended too: the timer is set to what is due next.
struct Reschedule<'a> {
    timeouts: &'a Timeouts,
    event_loop: &'a EventLoop,
}

impl Drop for Reschedule<'_> {
    fn drop(&mut self) {
        let (timeouts, core) = (self.timeouts, &self.event_loop.core);
        let first = timeouts.lists.borrow().first();
        match first {
            Some((expiry_ms, _)) if !core.has_ended() => {
                timeouts.next_expiry_ms.set(expiry_ms);
                let now_ms = core.now.get().as_ns() / NS_PER_MS;
                timeouts.schedule(core, expiry_ms.saturating_sub(now_ms).max(1));
            }
            _ => timeouts.timer.stop(),
        }
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("delay_ms", &self.0.delay_ms.get())
            .field("repeats", &self.0.repeats)
            .field("ended", &self.0.ended.get())
            .finish_non_exhaustive()
    }
}
