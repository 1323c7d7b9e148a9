//! The event loop. [`EventLoop::run`] and [`EventLoop::iterate`] are the specification of an iteration: libuv's of
//! version 1.45 and later.
//!
//! What differs from libuv: the loop's time is refreshed after every phase that ran something, not only after the poll;
//! times are in nanoseconds, not milliseconds; and between any two callbacks the tick queue and the microtask queue are
//! drained, as Node does on top of libuv.
//!
//! **Callbacks** are closures that get the loop and may do anything to any handle, including their own. Nothing is
//! borrowed while one runs. Every queue gives up an entry before its callback is called and keeps the others, so that
//! a panic, which leaves [`EventLoop::run`] like any other, loses only the callback that panicked: the loop may be
//! run again.

mod builder;
mod close;
mod core;
mod fork;
pub(crate) mod info;
mod loop_handle;
pub(crate) mod phases;
mod polling;
mod queues;

use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use model::time::Monotonic;

pub use self::builder::Builder;
pub use self::close::Busy;
pub(crate) use self::core::{Core, Pending};
pub use self::info::LoopInfo;
pub use self::loop_handle::LoopHandle;
use crate::error::Error;
use crate::inbox::InboxSender;
use crate::sys::epoll::Wait;

/// How many times an iteration runs what was put off, when running it puts off more; libuv's number.
const PENDING_ROUNDS: usize = 8;

/// How far [`EventLoop::run`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Until nothing keeps the loop alive, or it is stopped.
    Default,
    /// One iteration, which waits for an event if there is nothing else to do.
    Once,
    /// One iteration, which does not wait.
    NoWait,
}

/// An event loop. It belongs to the thread that made it; a process may have many.
///
/// A loop is *alive* while a handle that is active and referenced, a request, an immediate or a handle that is being
/// closed needs it. Dropping a loop drops everything that it holds without calling back; handles that outlive it are
/// closed.
///
/// ```
/// use loopscope_runtime::{EventLoop, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// event_loop.next_tick(|_| println!("before anything else"));
/// event_loop.set_immediate(|_| println!("after the poll"));
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub struct EventLoop {
    pub(crate) core: Rc<Core>,
    /// Whether dropping this ends the loop: that of a [`LoopHandle`] does not.
    owns: bool,
    _one_thread: PhantomData<*const ()>,
}

impl EventLoop {
    /// A loop with the usual options and no name.
    ///
    /// # Errors
    /// Where the system gives no more descriptors: a loop needs two.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// A loop with options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs the loop. Gives whether it is still alive.
    ///
    /// # Panics
    /// If the loop is running already: a callback cannot run its own loop. A panic in a callback comes out here.
    pub fn run(&self, mode: RunMode) -> bool {
        let _running = self.core.enter();
        self.run_began();

        let mut alive = self.is_alive();
        if mode == RunMode::Default && alive && !self.core.stopping.get() {
            self.run_timers();
        }
        while alive && !self.core.stopping.get() {
            self.iterate(mode);
            alive = self.is_alive();
            if mode != RunMode::Default {
                break;
            }
        }

        self.core.stopping.set(false);
        self.core.instruments.run_ended();
        alive
    }

    /// One iteration.
    fn iterate(&self, mode: RunMode) {
        let nothing_put_off = || self.core.pending.borrow().is_empty() && self.core.idle.is_empty();
        let may_wait = mode == RunMode::Default || mode == RunMode::Once && nothing_put_off();

        self.run_pending(1);
        self.run_idle();
        self.run_prepare();
        self.poll(if may_wait { self.poll_timeout() } else { Wait::No });
        self.run_pending(PENDING_ROUNDS);
        self.run_check();
        self.run_close();
        self.run_timers();
    }

    fn run_timers(&self) {
        if self.core.timers.any_due(self.core.now.get()) {
            phases::timers(self);
        }
    }

    fn run_pending(&self, rounds: usize) {
        if !self.core.pending.borrow().is_empty() {
            phases::pending(self, rounds);
        }
    }

    fn run_idle(&self) {
        if !self.core.idle.is_empty() {
            phases::idle(self);
        }
    }

    fn run_prepare(&self) {
        if !self.core.prepare.is_empty() {
            phases::prepare(self);
        }
    }

    fn run_check(&self) {
        if !self.core.check.is_empty() || !self.core.immediates.is_empty() {
            phases::check(self);
        }
    }

    fn run_close(&self) {
        if !self.core.closing.is_empty() {
            phases::close(self);
        }
    }

    /// Whether there is something that the loop waits for.
    #[inline]
    fn waits_for_something(&self) -> bool {
        self.core.active_handles.get() > 0 || self.core.active_requests.get() > 0
    }

    /// Whether there is something that the loop does by itself.
    #[inline]
    fn has_something_to_do(&self) -> bool {
        self.core.immediates.keep_alive()
            || self.core.inbox_left_over.get()
            || !self.core.pending.borrow().is_empty()
            || !self.core.closing.is_empty()
    }

    /// Begins a run: what was queued for before the first callback runs now.
    fn run_began(&self) {
        self.core.callbacks_in_phase.set(0);
        self.core.instruments.run_began(self.core.read_clock());
        if self.drain_queues() {
            self.core.instruments.run_prepared(self.core.read_clock());
        }
    }

    /// Makes [`EventLoop::run`] return at the end of the current iteration, or the next run return at once. The poll of
    /// the current iteration does not wait.
    pub fn stop(&self) {
        self.core.stopping.set(true);
    }

    /// Whether something keeps the loop running.
    #[inline]
    pub fn is_alive(&self) -> bool {
        (self.waits_for_something() || self.has_something_to_do()) && !self.core.has_ended()
    }

    /// The loop's time: a reading of `CLOCK_MONOTONIC` that is at most as old as the end of the last phase that ran something, or of
    /// the last poll that waited or gave events. Starting a timer refreshes it.
    pub fn now(&self) -> Monotonic {
        self.core.now.get()
    }

    /// Reads the clock, so that [`EventLoop::now`] is the time of this call.
    pub fn update_time(&self) {
        self.core.read_clock();
    }

    /// How long the next poll would wait: for programs that put this loop into another one, with
    /// [`EventLoop::as_fd`]. `None` is for as long as it takes.
    pub fn timeout(&self) -> Option<Duration> {
        match self.poll_timeout() {
            Wait::No => Some(Duration::ZERO),
            Wait::Ns(ns) => Some(Duration::from_nanos(ns)),
            Wait::Forever => None,
        }
    }

    /// The end of the loop's inbox that other threads hold.
    pub(crate) fn sender(&self) -> InboxSender {
        self.core.inbox.sender()
    }
}

impl AsFd for EventLoop {
    /// The kernel's poll object: ready to read when the loop has an event to call back for.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.core.poller.as_fd()
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if self.owns {
            self.core.tear_down();
        }
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").field("is_alive", &self.is_alive()).finish_non_exhaustive()
    }
}
