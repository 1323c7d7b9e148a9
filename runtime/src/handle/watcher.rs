//! Idle, prepare and check handles: called back in their phase of every iteration.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use model::label::HandleType;

use super::{Callback, HandleState, handle_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;

/// The active handles of one of these types, in the order in which they are called.
///
/// libuv's order: the one that was started last comes first. The keys fall from start to start, and a pass goes by
/// rising keys, so what is started during a pass stands before the place that the pass has reached: it runs in the next
/// iteration.
#[derive(Default)]
pub(crate) struct WatcherList {
    active: RefCell<BTreeMap<i64, Rc<dyn CallBack>>>,
    last_key: Cell<i64>,
}

/// A handle that has a callback, whichever its type.
trait CallBack {
    fn call_back(self: Rc<Self>, event_loop: &EventLoop);

    /// Lets go of the callback: the handle will not call back any more.
    fn abandon(&self);
}

impl WatcherList {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.active.borrow().is_empty()
    }

    pub(crate) fn run(&self, event_loop: &EventLoop) {
        let mut from = self.last_key.get();
        loop {
            let next = {
                let active = self.active.borrow();
                // Most passes are over one handle: the tree need not be searched for it, nor for what is behind it.
                let first = active.first_key_value().filter(|(key, _)| **key >= from);
                let is_over = || active.last_key_value().is_none_or(|(last, _)| *last < from);
                let next = first.or_else(|| if is_over() { None } else { active.range(from..).next() });
                next.map(|(key, watcher)| (*key, Rc::clone(watcher)))
            };
            let Some((key, watcher)) = next else { return };
            from = key + 1;
            watcher.call_back(event_loop);
        }
    }

    /// Drops all without calling back.
    pub(crate) fn clear(&self) {
        self.active.take().into_values().for_each(|watcher| watcher.abandon());
    }

    fn insert(&self, watcher: Rc<dyn CallBack>) -> i64 {
        let key = self.last_key.get() - 1;
        self.last_key.set(key);
        self.active.borrow_mut().insert(key, watcher);
        key
    }

    fn remove(&self, key: i64) {
        let removed = self.active.borrow_mut().remove(&key);
        drop(removed);
    }
}

macro_rules! watchers {
    ($($(#[$doc:meta])* $watcher:ident $state:ident $list:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $watcher(Rc<$state>);

        struct $state {
            handle: HandleState,
            callback: RefCell<Option<Callback<$watcher>>>,
            key: Cell<Option<i64>>,
        }

        handle_methods!($watcher);

        impl $watcher {
            /// A handle that was not started yet.
            pub fn new(event_loop: &EventLoop) -> Self {
                Self(Rc::new($state {
                    handle: HandleState::new(event_loop, HandleType::$watcher),
                    callback: RefCell::default(),
                    key: Cell::default(),
                }))
                .registered()
            }

            /// Calls back in every iteration from now on; if this is the handle's own phase, from the next one on. Of several
            /// handles the one that was started last comes first. A handle that is active keeps its turn and gets
            /// the new callback.
            ///
            /// # Errors
            /// [`Error::Closed`] if the handle is closed.
            pub fn start(&self, callback: impl FnMut(&EventLoop, &$watcher) + 'static) -> Result<(), Error> {
                self.0.handle.expect_open()?;
                let replaced = self.0.callback.replace(Some(Rc::new(RefCell::new(callback))));
                if self.0.key.get().is_none() {
                    self.0.key.set(Some(self.0.handle.core().$list.insert(self.0.clone())));
                    self.0.handle.set_active(true);
                }
                drop(replaced);
                Ok(())
            }

            /// Calls back no more.
            pub fn stop(&self) {
                self.0.stop_for_good();
            }
        }

        impl $state {
            fn stop_for_good(&self) {
                if let Some(key) = self.key.take() {
                    self.handle.set_active(false);
                    self.handle.core().$list.remove(key);
                }
                self.abandon();
            }
        }

        impl CallBack for $state {
            fn call_back(self: Rc<Self>, event_loop: &EventLoop) {
                let callback = self.callback.borrow().clone();
                let Some(callback) = callback else { return };
                let watcher = $watcher(self);
                event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &watcher));
            }

            fn abandon(&self) {
                drop(self.callback.take());
            }
        }

        impl Close for $state {
            fn handle(&self) -> &HandleState {
                &self.handle
            }
        }
    )+};
}

watchers! {
    /// Calls back once in every iteration, and keeps the loop from waiting in its poll while it is active.
    Idle IdleState idle
    /// Calls back in every iteration right before the poll.
    Prepare PrepareState prepare
    /// Calls back in every iteration right after the poll's callbacks.
    Check CheckState check
}
