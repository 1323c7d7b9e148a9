//! The signals of the operating system that a loop watches: dispatched after everything else that a poll gave.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::signal::SignalState;
use crate::inbox::InboxSender;
use crate::sys::signal::{self, Claim};

/// In the order of dispatching: by signal, those that want it once last, and those that started first before others.
type Key = (i32, bool, u64);

/// The signal handles of one loop.
#[derive(Default)]
pub(crate) struct Caught {
    /// Made by the first signal handle that is started.
    mailbox: OnceCell<Claim>,
    watchers: RefCell<BTreeMap<Key, Rc<SignalState>>>,
    starts: Cell<u64>,
    /// Whether the loop itself waits for children to end, by `SIGCHLD`.
    children: Cell<bool>,
}

/// A handle's place among those that watch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(Key);

impl Place {
    pub(crate) fn signal(&self) -> i32 {
        self.0.0
    }

    pub(crate) fn is_one_shot(&self) -> bool {
        self.0.1
    }
}

impl Caught {
    pub(crate) fn watch(
        &self,
        sender: InboxSender,
        signal: i32,
        one_shot: bool,
        handle: Rc<SignalState>,
    ) -> Result<Place, Error> {
        self.register(sender, signal, one_shot)?;
        let start = self.starts.get();
        self.starts.set(start + 1);
        self.watchers.borrow_mut().insert((signal, one_shot, start), handle);
        Ok(Place((signal, one_shot, start)))
    }

    pub(crate) fn unwatch(&self, place: Place) {
        let Place(key @ (signal, one_shot, _)) = place;
        let handle = self.watchers.borrow_mut().remove(&key);
        self.unregister(signal, one_shot);
        drop(handle);
    }

    /// Has `SIGCHLD` tell the loop of its children.
    pub(crate) fn watch_children(&self, sender: InboxSender) -> Result<(), Error> {
        if !self.children.get() {
            self.register(sender, libc::SIGCHLD, false)?;
            self.children.set(true);
        }
        Ok(())
    }

    fn register(&self, sender: InboxSender, signal: i32, one_shot: bool) -> Result<(), Error> {
        // Before the system is asked, so that nothing is missed; there is no harm in it if that refuses.
        let known = (1..=64).contains(&signal);
        if known {
            self.mailbox.get_or_init(|| Claim::new(sender)).set_watched(signal, true);
        }
        let watched = signal::watch(signal, one_shot).map_err(|errno| Error::system("sigaction", errno));
        if watched.is_err() && known {
            self.update_watched(signal);
        }
        watched
    }

    fn unregister(&self, signal: i32, one_shot: bool) {
        self.update_watched(signal);
        signal::unwatch(signal, one_shot);
    }

    fn update_watched(&self, signal: i32) {
        let by_handles =
            self.watchers.borrow().range((signal, false, 0)..(signal + 1, false, 0)).next().is_some();
        let by_loop = self.children.get() && signal == libc::SIGCHLD;
        if let Some(mailbox) = self.mailbox.get() {
            mailbox.set_watched(signal, by_handles || by_loop);
        }
    }

    /// Calls back for the signals that were caught; gives whether there were any.
    pub(crate) fn deliver(&self, event_loop: &EventLoop) -> bool {
        let Some(mailbox) = self.mailbox.get() else { return false };
        let mut any = false;
        while let Some(signal) = mailbox.take() {
            any = true;
            if signal == libc::SIGCHLD && self.children.get() {
                event_loop.core.children.look_at_all(event_loop);
            }
            self.deliver_one(event_loop, signal);
        }
        any
    }

    /// Those that a callback starts are not called for a signal that was caught before.
    fn deliver_one(&self, event_loop: &EventLoop, signal: i32) {
        let starts = self.starts.get();
        let mut from = (signal, false, 0);
        loop {
            let next = {
                let watchers = self.watchers.borrow();
                let mut behind = watchers.range(from..(signal + 1, false, 0));
                behind
                    .find(|((_, _, start), _)| *start < starts)
                    .map(|(key, handle)| (*key, Rc::clone(handle)))
            };
            let Some((key, handle)) = next else { return };
            from = (key.0, key.1, key.2 + 1);
            handle.call_back(event_loop, signal);
        }
    }

    /// Drops all without calling back.
    pub(crate) fn clear(&self) {
        for ((signal, one_shot, _), handle) in self.watchers.take() {
            self.unregister(signal, one_shot);
            handle.abandon();
        }
        if self.children.replace(false) {
            self.unregister(libc::SIGCHLD, false);
        }
    }
}
