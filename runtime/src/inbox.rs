//! What other threads send to a loop, and how they wake it.
//!
//! Two things arrive from other threads: *completions* of work that ran on the thread pool, in the order in which they
//! were delivered, and *signals* of async handles, which carry nothing and coalesce.
//!
//! **Threads.** The loop owns an [`Inbox`]; other threads hold [`InboxSender`]s. Completions go through a mutex that is
//! held for a push or a swap only. A signal is a flag, so that sending it neither locks nor allocates and may be done in
//! a signal handler; [`crate::notify`] has the flags, and the argument why nothing that was put in is left behind. Whoever
//! raises the notification of a loop that sleeps writes to the wake descriptor; one that is awake looks by itself.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::label::TaskKind;
use model::time::Monotonic;
use rustix::io::Errno;

use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::notify::Notification;
use crate::sys::wake::WakeDescriptor;

/// The end of a pool task, on its way to the loop that asked for it.
pub(crate) struct Completion {
    /// The kind of task.
    pub(crate) kind: TaskKind,
    /// When the task ended.
    pub(crate) finished: Monotonic,
    /// What brings the result.
    pub(crate) delivery: Box<dyn Delivery>,
}

/// What arrives at the loop with a result.
pub(crate) trait Delivery: Send {
    /// The name of what takes the result.
    fn name(&self) -> &'static str;

    /// Hands the result over. Runs in the phase `poll_callbacks`.
    fn deliver(self: Box<Self>, event_loop: &EventLoop);
}

/// The loop's end.
pub(crate) struct Inbox {
    /// Replaced in a forked child: the parent's pool threads, which are not there, may hold the lock for ever.
    shared: RefCell<Arc<Shared>>,
    wake: Arc<Wake>,
}

/// Any thread's end. Copies send to the same loop.
#[derive(Clone)]
pub(crate) struct InboxSender {
    shared: Arc<Shared>,
}

struct Shared {
    wake: Arc<Wake>,
    completions: Mutex<Completions>,
}

/// What wakes the loop. It stays the same for as long as the loop lives.
struct Wake {
    notification: Notification,
    descriptor: WakeDescriptor,
}

struct Completions {
    /// Cleared when the loop ends: what comes later is dropped.
    open: bool,
    queue: VecDeque<Completion>,
}

impl Inbox {
    pub(crate) fn new() -> Result<Self, Error> {
        let descriptor = WakeDescriptor::new().map_err(|errno| Error::system("eventfd", errno))?;
        let wake = Arc::new(Wake { notification: Notification::new(), descriptor });
        Ok(Self { shared: RefCell::new(Shared::new(&wake)), wake })
    }

    pub(crate) fn sender(&self) -> InboxSender {
        InboxSender { shared: Arc::clone(&self.shared.borrow()) }
    }

    /// In a forked child: an inbox of its own, empty, which senders from before still notify.
    pub(crate) fn renew(&self) -> Result<(), Errno> {
        self.wake.descriptor.renew()?;
        self.wake.notification.clear();
        // What is in the old one is the parent's, and nobody here may lock it to drop it.
        std::mem::forget(self.shared.replace(Shared::new(&self.wake)));
        Ok(())
    }

    /// Whether something was put in since the last [`Inbox::acknowledge`].
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.wake.notification.is_raised()
    }

    /// The loop is about to wait: from now on it is to be woken. Gives whether it may; otherwise there is news already.
    #[inline]
    pub(crate) fn begin_wait(&self) -> bool {
        !self.wake.notification.fall_asleep()
    }

    /// The loop looks by itself from now on, before it waits.
    #[inline]
    pub(crate) fn end_wait(&self) {
        self.wake.notification.wake_up();
    }

    /// The loop rests until it is run again. Who waits for its descriptor in its place learns of what it leaves.
    pub(crate) fn rest(&self) {
        if self.wake.notification.fall_asleep() {
            self.wake.descriptor.wake();
        }
    }

    /// Gets ready for the next notification. What was put in before this call is there to be taken after it.
    pub(crate) fn acknowledge(&self) {
        self.wake.notification.clear();
    }

    /// Moves the completions that have arrived to the end of `arrived`.
    pub(crate) fn take_completions(&self, arrived: &mut VecDeque<Completion>) {
        let shared = self.shared.borrow();
        let mut completions = shared.completions();
        if arrived.is_empty() {
            std::mem::swap(arrived, &mut completions.queue);
        } else {
            arrived.append(&mut completions.queue);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let shared = self.shared.get_mut();
        let mut completions = shared.completions();
        completions.open = false;
        let undelivered = std::mem::take(&mut completions.queue);
        // What is dropped here is the program's: it must not run under the lock.
        drop(completions);
        drop(undelivered);
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.descriptor.as_fd()
    }
}

impl InboxSender {
    /// Delivers a completion. If the loop has ended, it is dropped.
    pub(crate) fn deliver(&self, completion: Completion) {
        let mut completions = self.shared.completions();
        if completions.open {
            completions.queue.push_back(completion);
            drop(completions);
            self.notify();
        }
    }

    /// Tells the loop that something was put in.
    pub(crate) fn notify(&self) {
        if self.shared.wake.notification.raise() {
            self.shared.wake.descriptor.wake();
        }
    }
}

impl Shared {
    fn new(wake: &Arc<Wake>) -> Arc<Self> {
        let completions = Mutex::new(Completions { open: true, queue: VecDeque::new() });
        Arc::new(Self { wake: Arc::clone(wake), completions })
    }

    /// A panic cannot leave the queue half changed, so poisoning means nothing.
    fn completions(&self) -> MutexGuard<'_, Completions> {
        self.completions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
