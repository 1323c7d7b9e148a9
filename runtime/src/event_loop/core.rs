//! What a loop consists of, shared by the loop, its handles and its requests.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use model::time::Monotonic;

use super::EventLoop;
use super::info::Counts;
use crate::caught::Caught;
use crate::children::Children;
use crate::closing::Closing;
use crate::error::Error;
use crate::future::Executor;
use crate::handle::fs_event::Inotify;
use crate::handle::watcher::WatcherList;
use crate::immediates::Immediates;
use crate::inbox::{Completion, Inbox};
use crate::lingering::Lingering;
use crate::observe::LoopInstruments;
use crate::poller::Poller;
use crate::pool::Pool;
use crate::registry::Registry;
use crate::request::Parking;
use crate::ticks::{Callback, Job, JobQueue, Microtask};
use crate::timeouts::Timeouts;
use crate::timers::Timers;
use crate::wake_ups::WakeUps;
use telemetry::clock;

/// Something whose callbacks were put off to the phase `pending`.
pub(crate) trait Pending {
    fn run_pending(self: Rc<Self>, event_loop: &EventLoop);
}

pub(crate) struct Core {
    pub(crate) now: Cell<Monotonic>,
    pub(crate) stopping: Cell<bool>,
    running: Cell<bool>,
    ended: Cell<bool>,
    /// Callbacks that ran since the current phase began.
    pub(crate) callbacks_in_phase: Cell<u64>,
    pub(crate) instruments: LoopInstruments,

    /// Handles that are not closed.
    pub(crate) registry: Registry,
    /// Handles that are active and referenced.
    pub(crate) active_handles: Cell<usize>,
    pub(crate) active_requests: Cell<usize>,

    pub(crate) counts: Counts,
    /// Whether events that wait already are counted before a poll that may wait.
    pub(crate) counts_waiting: bool,

    pub(crate) timers: Timers,
    /// Made with the first timeout.
    pub(crate) timeouts: RefCell<Option<Rc<Timeouts>>>,
    pub(crate) pending: RefCell<VecDeque<Rc<dyn Pending>>>,
    pub(crate) idle: WatcherList,
    pub(crate) prepare: WatcherList,
    pub(crate) poller: Poller,
    pub(crate) check: WatcherList,
    pub(crate) immediates: Immediates,
    pub(crate) closing: Closing,
    pub(crate) ticks: JobQueue<Box<dyn Callback>>,
    pub(crate) microtasks: JobQueue<Microtask>,
    pub(crate) executor: Executor,

    pub(crate) inbox: Inbox,
    pub(crate) lingering: Lingering,
    pub(crate) wake_ups: WakeUps,
    pub(crate) caught: Caught,
    pub(crate) children: Children,
    /// Made by the first handle that watches a path.
    pub(crate) inotify: OnceCell<Rc<Inotify>>,
    /// Completions that were taken from the inbox and not yet delivered.
    pub(crate) arrived: RefCell<VecDeque<Completion>>,
    /// Whether a panic came before all was delivered of which a wake-up told.
    pub(crate) inbox_left_over: Cell<bool>,
    pub(crate) parking: Parking,
    /// `None` of a loop that uses the shared one, which need not be made before the first request.
    pub(crate) pool: Option<Pool>,
    /// Lent to one read at a time; empty while it is lent, and before the first read.
    pub(crate) read_buffer: RefCell<Vec<u8>>,
}

/// Marks the loop as running until dropped, by a panic too.
pub(super) struct Running<'a>(&'a Core);

impl Core {
    pub(super) fn new(
        instruments: LoopInstruments,
        pool: Option<Pool>,
        counts_waiting: bool,
    ) -> Result<Self, Error> {
        let inbox = Inbox::new()?;
        Ok(Self {
            now: Cell::new(clock::monotonic()),
            stopping: Cell::default(),
            running: Cell::default(),
            ended: Cell::default(),
            callbacks_in_phase: Cell::default(),
            instruments,
            registry: Registry::default(),
            active_handles: Cell::default(),
            active_requests: Cell::default(),
            counts: Counts::default(),
            counts_waiting,
            timers: Timers::default(),
            timeouts: RefCell::default(),
            pending: RefCell::default(),
            idle: WatcherList::default(),
            prepare: WatcherList::default(),
            poller: Poller::new(&inbox)?,
            check: WatcherList::default(),
            immediates: Immediates::default(),
            closing: Closing::default(),
            ticks: JobQueue::default(),
            microtasks: JobQueue::default(),
            executor: Executor::new(inbox.sender()),
            inbox,
            lingering: Lingering::default(),
            wake_ups: WakeUps::default(),
            caught: Caught::default(),
            children: Children::default(),
            inotify: OnceCell::new(),
            arrived: RefCell::default(),
            inbox_left_over: Cell::default(),
            parking: Parking::default(),
            pool,
            read_buffer: RefCell::default(),
        })
    }

    /// Reads the clock into the loop's time.
    #[inline]
    pub(crate) fn read_clock(&self) -> Monotonic {
        let now = clock::monotonic();
        self.now.set(now);
        now
    }

    pub(super) fn enter(&self) -> Running<'_> {
        assert!(
            !self.running.replace(true),
            "the loop is running already: a callback cannot run its own loop"
        );
        self.inbox.end_wait();
        Running(self)
    }

    /// Whether the loop has ended; its handles are then closed, whatever they were.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Queues a job, unless the loop has ended: nobody would run or drop it.
    pub(crate) fn queue_job<J: Job>(&self, queue: &JobQueue<J>, job: J) {
        if !self.has_ended() {
            queue.push(job);
        }
    }

    /// Puts off a callback to the phase `pending`.
    pub(crate) fn put_off(&self, pending: Rc<dyn Pending>) {
        self.pending.borrow_mut().push_back(pending);
    }

    /// Drops everything that the loop holds: handles, requests, callbacks. What they own may do anything to the loop
    /// but run it, so each is taken out before it is dropped.
    pub(super) fn tear_down(&self) {
        self.ended.set(true);
        // One that a callback of its own ends still records until the run is over, and until then nobody else may have its place.
        if !self.running.get() {
            self.instruments.loop_ended();
        }
        let timeouts = self.timeouts.take();
        if let Some(timeouts) = timeouts {
            timeouts.clear();
        }
        self.timers.clear();
        drop(self.pending.take());
        self.idle.clear();
        self.prepare.clear();
        self.check.clear();
        self.children.clear();
        self.poller.clear();
        self.caught.clear();
        self.wake_ups.clear();
        self.immediates.clear();
        self.closing.clear();
        self.executor.clear();
        self.ticks.clear();
        self.microtasks.clear();
        drop(self.arrived.take());
        self.parking.clear();
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(false);
        self.0.instruments.run_left();
        if self.0.has_ended() {
            self.0.instruments.loop_ended();
        }
        self.0.inbox.rest();
    }
}
