//! The tick queue and the microtask queue: what runs between any two callbacks.
//!
//! As in Node: all ticks run, those included that ticks add; then all microtasks, likewise; and again, until both
//! queues are empty. Nothing else runs in between, so a tick that always adds another starves the loop.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::event_loop::EventLoop;
use crate::future::Task;

/// What a queue runs once.
pub(crate) enum Job {
    /// A callback.
    Callback(Box<dyn FnOnce(&EventLoop)>),
    /// A task that was woken.
    Task(Rc<Task>),
}

/// A queue of jobs that each run once.
#[derive(Default)]
pub(crate) struct JobQueue {
    jobs: RefCell<VecDeque<Job>>,
}

impl JobQueue {
    pub(crate) fn push(&self, job: Job) {
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
            match job {
                Job::Callback(callback) => callback(event_loop),
                Job::Task(task) => task.run(),
            }
            ran += 1;
        }
    }

    /// Drops what is queued without running it.
    pub(crate) fn clear(&self) {
        drop(self.jobs.take());
    }
}
