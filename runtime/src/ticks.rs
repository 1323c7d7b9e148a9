//! The tick queue and the microtask queue: what runs between any two callbacks.
//!
//! As in Node: all ticks run, those included that ticks add; then all microtasks, likewise; and again, until both
//! queues are empty. Nothing else runs in between, so a tick that always adds another starves the loop.

use std::any::type_name;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::event_loop::EventLoop;
use crate::future::Task;

/// What a queue runs once.
pub(crate) trait Job {
    fn run(self, event_loop: &EventLoop);
}

/// What the microtask queue runs.
pub(crate) enum Microtask {
    /// A callback.
    Callback(Box<dyn Callback>),
    /// A task that was woken.
    Task(Rc<Task>),
}

/// A callback that runs once and knows the name of its type.
pub(crate) trait Callback {
    fn name(&self) -> &'static str;
    fn run(self: Box<Self>, event_loop: &EventLoop);
}

impl<F: FnOnce(&EventLoop)> Callback for F {
    fn name(&self) -> &'static str {
        type_name::<F>()
    }

    fn run(self: Box<Self>, event_loop: &EventLoop) {
        self(event_loop);
    }
}

impl Job for Box<dyn Callback> {
    #[inline]
    fn run(self, event_loop: &EventLoop) {
        if event_loop.core.instruments.are_on() {
            event_loop.core.instruments.callback_runs(self.name());
        }
        Callback::run(self, event_loop);
    }
}

impl Job for Microtask {
    #[inline]
    fn run(self, event_loop: &EventLoop) {
        match self {
            Self::Callback(callback) => Job::run(callback, event_loop),
            Self::Task(task) => {
                event_loop.core.instruments.callback_runs(task.name());
                task.run();
            }
        }
    }
}

/// A queue of jobs that each run once.
pub(crate) struct JobQueue<J> {
    jobs: RefCell<VecDeque<J>>,
}

impl<J> Default for JobQueue<J> {
    fn default() -> Self {
        Self { jobs: RefCell::default() }
    }
}

impl<J: Job> JobQueue<J> {
    pub(crate) fn push(&self, job: J) {
        self.jobs.borrow_mut().push_back(job);
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.borrow().is_empty()
    }

    /// Runs jobs until none is left; gives how many ran. A job that panics is gone; those behind it stay queued.
    pub(crate) fn drain(&self, event_loop: &EventLoop) -> u64 {
        let mut ran = 0;
        loop {
            let next = self.jobs.borrow_mut().pop_front();
            let Some(job) = next else { return ran };
            job.run(event_loop);
            ran += 1;
        }
    }

    /// Drops what is queued without running it.
    pub(crate) fn clear(&self) {
        drop(self.jobs.take());
    }
}
