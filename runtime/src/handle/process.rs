//! Processes that the program starts.

mod command;

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::HandleType;
use rustix::io::Errno;

pub use self::command::{Command, Stdio};
use super::{HandleState, handle_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::poller::{Registration, Watcher};
use crate::sys::epoll::{Event, Readiness};
use crate::sys::process;
use crate::sys::reaper::{self, Ended};

/// A process that was started with a [`Command`]. It is active until the process has ended.
///
/// Closing the handle leaves the process alone; it then ends without a callback. It is never left behind as a zombie:
/// not if its handle was closed, and not if its loop has gone.
#[derive(Clone)]
pub struct Process(Rc<ProcessState>);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exit {
    /// What it ended with by itself; `None` if it did not.
    pub status: Option<i32>,
    /// The signal that ended it; `None` if none did. Neither is known of a process that someone else has reaped, or the
    /// system itself, because this process ignores `SIGCHLD`.
    pub signal: Option<i32>,
}

type ExitCallback = Box<dyn FnOnce(&EventLoop, &Process, Exit)>;

pub(crate) struct ProcessState {
    handle: HandleState,
    pid: u32,
    /// The process's own descriptor, where the kernel has such.
    descriptor: RefCell<Option<Rc<OwnedFd>>>,
    registration: Registration,
    callback: RefCell<Option<ExitCallback>>,
    /// Whether the kernel said that it has ended, and it waits for its turn.
    told: Cell<bool>,
    reaped: Cell<bool>,
}

handle_methods!(Process);

impl Process {
    fn started(event_loop: &EventLoop, pid: u32, callback: ExitCallback) -> Self {
        let state = Rc::new(ProcessState {
            handle: HandleState::new(event_loop, HandleType::Process),
            pid,
            descriptor: RefCell::new(process::descriptor(pid).ok().map(Rc::new)),
            registration: Registration::default(),
            callback: RefCell::new(Some(callback)),
            told: Cell::default(),
            reaped: Cell::default(),
        });
        state.handle.set_active(true);
        event_loop.core.children.started(Rc::clone(&state));
        state.watch(event_loop);
        Self(state).registered()
    }

    /// The number of the process. Once it has ended another one may have it.
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// Sends the process a signal, or, with 0, asks whether it is there. Where the kernel has descriptors of processes, the
    /// signal reaches this process or none.
    ///
    /// # Errors
    /// What the system says: `ESRCH` if it has ended, `EINVAL` of a number that is no signal's, `EPERM`.
    pub fn kill(&self, signal: i32) -> Result<(), Error> {
        let descriptor = self.0.descriptor.borrow().clone();
        match (descriptor, self.0.reaped.get()) {
            (_, true) => Err(Errno::SRCH),
            (Some(descriptor), false) => process::send_signal(&descriptor, signal),
            (None, false) => process::kill(self.0.pid, signal),
        }
        .map_err(|errno| Error::system("kill", errno))
    }
}

/// Sends any process a signal; 0 asks whether it is there.
///
/// # Errors
/// What the system says: `ESRCH` if there is none, `EINVAL` of a number that is no signal's, `EPERM`.
pub fn kill(pid: u32, signal: i32) -> Result<(), Error> {
    process::kill(pid, signal).map_err(|errno| Error::system("kill", errno))
}

impl ProcessState {
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the end by the descriptor; where it cannot, by the signal that a child has ended.
    fn watch(self: &Rc<Self>, event_loop: &EventLoop) {
        let descriptor = self.descriptor.borrow().clone();
        let watched = descriptor.as_ref().is_some_and(|descriptor| {
            let poller = &event_loop.core.poller;
            poller.want(self, descriptor, &self.registration, Readiness::READABLE).is_ok()
        });
        if !watched {
            // Were it refused, only the look below would be left: the system never refuses this signal.
            let _ = event_loop.core.caught.watch_children(event_loop.sender());
            // It may have ended before the signal was watched.
            self.told.set(true);
            event_loop.core.children.has_ended(Rc::clone(self));
            event_loop.sender().notify();
        }
    }

    /// Calls back if the process has ended.
    pub(crate) fn reap(self: Rc<Self>, event_loop: &EventLoop) {
        self.told.set(false);
        let ended = if self.reaped.get() { Ended::No } else { reaper::reap(self.pid) };
        let exit = match ended {
            Ended::No => return,
            Ended::Exited(status) => Exit { status: Some(status), signal: None },
            Ended::Killed(signal) => Exit { status: None, signal: Some(signal) },
            Ended::Unknown => Exit { status: None, signal: None },
        };
        self.reaped.set(true);
        event_loop.core.poller.forget(&self.registration);
        event_loop.core.children.reaped(self.pid);
        self.handle.set_active(false);
        let (descriptor, callback) = (self.descriptor.take(), self.callback.take());
        drop(descriptor);
        if let Some(callback) = callback {
            let process = Process(self);
            event_loop.call(|event_loop| callback(event_loop, &process, exit));
        }
    }

    /// The loop ends: gives what someone else needs to reap the process.
    pub(crate) fn abandon_process(&self) -> (u32, Option<OwnedFd>) {
        self.abandon();
        let descriptor = self.descriptor.borrow().as_ref().and_then(|descriptor| descriptor.try_clone().ok());
        (self.pid, descriptor)
    }

    /// The process goes on; someone else waits for its end.
    fn stop_for_good(&self) {
        self.handle.set_active(false);
        if self.reaped.replace(true) {
            return;
        }
        let core = self.handle.core();
        core.poller.forget(&self.registration);
        core.children.reaped(self.pid);
        reaper::reap_in_background(vec![self.abandon_process()]);
        drop(self.descriptor.take());
    }
}

impl Watcher for ProcessState {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, _: Event) {
        if !self.told.replace(true) {
            event_loop.core.children.has_ended(self);
        }
    }

    fn abandon(&self) {
        let callback = self.callback.take();
        drop(callback);
    }
}

impl Close for ProcessState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}
