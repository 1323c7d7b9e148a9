//! The watches of one loop: all of its handles share one inotify, and those that watch the same file one watch.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use rustix::io::Errno;

use super::FsEventState;
use crate::error::Error;
use crate::event_loop::{Core, EventLoop, Pending};
use crate::poller::{Registration, Watcher};
use crate::sys::epoll::{Event, Readiness};
use crate::sys::inotify::{self, Notice};

pub(crate) struct Inotify {
    descriptor: Rc<OwnedFd>,
    registration: Registration,
    subscriptions: RefCell<BTreeMap<i32, Vec<Subscription>>>,
    /// What was read and not told. Outlives the telling only if a callback panics.
    notices: RefCell<VecDeque<Notice>>,
}

#[derive(Clone)]
struct Subscription {
    handle: Rc<FsEventState>,
    /// Where in the handle's tree the watched folder lies; empty of its root.
    folder: Rc<Path>,
}

impl Inotify {
    /// The loop's, made if it has none.
    pub(super) fn of(core: &Core) -> Result<Rc<Self>, Error> {
        if let Some(inotify) = core.inotify.get() {
            return Ok(Rc::clone(inotify));
        }
        let descriptor = inotify::init().map_err(|errno| Error::system("inotify_init1", errno))?;
        let made = Rc::new(Self {
            descriptor: Rc::new(descriptor),
            registration: Registration::default(),
            subscriptions: RefCell::default(),
            notices: RefCell::default(),
        });
        core.poller.want(&made, &made.descriptor, &made.registration, Readiness::READABLE)?;
        Ok(Rc::clone(core.inotify.get_or_init(|| made)))
    }

    /// Watches a path for a handle. Gives the watch.
    pub(super) fn watch(
        &self,
        handle: &Rc<FsEventState>,
        path: &Path,
        folder: &Rc<Path>,
    ) -> Result<i32, Errno> {
        let watch = inotify::add_watch(&*self.descriptor, path, !folder.as_os_str().is_empty())?;
        let mut subscriptions = self.subscriptions.borrow_mut();
        let watching = subscriptions.entry(watch).or_default();
        let subscription = Subscription { handle: Rc::clone(handle), folder: Rc::clone(folder) };
        match watching.iter_mut().find(|known| Rc::ptr_eq(&known.handle, handle)) {
            Some(known) => *known = subscription,
            None => watching.push(subscription),
        }
        Ok(watch)
    }

    /// Watches no more for a handle.
    pub(super) fn unwatch(&self, handle: *const FsEventState, watch: i32) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        let Some(watching) = subscriptions.get_mut(&watch) else { return };
        let ended = watching.extract_if(.., |known| Rc::as_ptr(&known.handle) == handle).collect::<Vec<_>>();
        if watching.is_empty() {
            subscriptions.remove(&watch);
            inotify::remove_watch(&*self.descriptor, watch);
        }
        drop(subscriptions);
        drop(ended);
    }

    /// Takes the place of the inotify that is shared with the parent of a forked child, with all that was watched and is
    /// still there.
    pub(crate) fn renew(&self) -> Result<(), Error> {
        let new = inotify::init().map_err(|errno| Error::system("inotify_init1", errno))?;
        crate::sys::fork::replace(&self.descriptor, &new).map_err(|errno| Error::system("dup3", errno))?;
        drop(self.notices.take());
        let handles = self.handles();
        drop(self.subscriptions.take());
        handles.iter().for_each(|handle| handle.watch_anew(self));
        Ok(())
    }

    fn tell_all(self: &Rc<Self>, event_loop: &EventLoop) {
        let _rest = PutOffRest { inotify: self, event_loop };
        loop {
            let next = self.notices.borrow_mut().pop_front();
            let Some(notice) = next else { return };
            self.tell(event_loop, &notice);
        }
    }

    fn tell(&self, event_loop: &EventLoop, notice: &Notice) {
        if notice.lost {
            for handle in self.handles() {
                handle.lost(event_loop);
            }
            return;
        }
        let watching = self.subscriptions.borrow().get(&notice.watch).cloned().unwrap_or_default();
        if notice.ended {
            let ended = self.subscriptions.borrow_mut().remove(&notice.watch);
            drop(ended);
        }
        for Subscription { handle, folder } in watching {
            handle.told(event_loop, notice, &folder);
        }
    }

    /// All handles that watch something, each once.
    fn handles(&self) -> Vec<Rc<FsEventState>> {
        let mut handles: Vec<Rc<FsEventState>> = Vec::new();
        for subscription in self.subscriptions.borrow().values().flatten() {
            if !handles.iter().any(|known| Rc::ptr_eq(known, &subscription.handle)) {
                handles.push(Rc::clone(&subscription.handle));
            }
        }
        handles
    }
}

impl Watcher for Inotify {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, _: Event) {
        // An error other than that there is nothing left cannot happen to a descriptor that is the loop's own.
        while let Ok(notices) = inotify::read(&*self.descriptor) {
            self.notices.borrow_mut().extend(notices);
            self.tell_all(event_loop);
        }
    }

    fn abandon(&self) {
        for handle in self.handles() {
            handle.abandon();
        }
        drop(self.subscriptions.take());
    }
}

impl Pending for Inotify {
    fn run_pending(self: Rc<Self>, event_loop: &EventLoop) {
        self.tell_all(event_loop);
    }
}

/// Puts off what is left when it is dropped by a panic.
struct PutOffRest<'a> {
    inotify: &'a Rc<Inotify>,
    event_loop: &'a EventLoop,
}

impl Drop for PutOffRest<'_> {
    fn drop(&mut self) {
        if !self.inotify.notices.borrow().is_empty() {
            self.event_loop.core.put_off(self.inotify.clone());
        }
    }
}
