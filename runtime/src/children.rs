//! The processes that a loop has started and that have not ended.
//!
//! The kernel tells of an end by the process's own descriptor, or, where there are none (before Linux 5.3), by `SIGCHLD`.
//! Callbacks run after everything else that a poll gave, as in libuv, for which an end is a signal like others. What has
//! ended is reaped in any case: if its handle was closed or the loop is gone, by a thread that there is while it is needed.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use crate::event_loop::EventLoop;
use crate::handle::process::ProcessState;
use crate::sys::reaper;

/// The processes of one loop.
#[derive(Default)]
pub(crate) struct Children {
    running: RefCell<BTreeMap<u32, Rc<ProcessState>>>,
    ended: RefCell<VecDeque<Rc<ProcessState>>>,
}

impl Children {
    pub(crate) fn started(&self, process: Rc<ProcessState>) {
        self.running.borrow_mut().insert(process.pid(), process);
    }

    /// The kernel says that a process has ended.
    pub(crate) fn has_ended(&self, process: Rc<ProcessState>) {
        self.ended.borrow_mut().push_back(process);
    }

    /// The loop need not look at a process any more.
    pub(crate) fn reaped(&self, pid: u32) {
        let reaped = self.running.borrow_mut().remove(&pid);
        drop(reaped);
    }

    /// Calls back for those that have ended.
    pub(crate) fn deliver(&self, event_loop: &EventLoop) {
        loop {
            let next = self.ended.borrow_mut().pop_front();
            let Some(process) = next else { return };
            process.reap(event_loop);
        }
    }

    /// One of the processes has ended, or several.
    pub(crate) fn look_at_all(&self, event_loop: &EventLoop) {
        let all: Vec<_> = self.running.borrow().values().cloned().collect();
        for process in all {
            process.reap(event_loop);
        }
    }

    /// The loop ends: others see to the rest.
    pub(crate) fn clear(&self) {
        drop(self.ended.take());
        let running = self.running.take();
        let left = running.values().map(|process| process.abandon_process()).collect();
        reaper::reap_in_background(left);
    }
}
