//! What other threads send to a loop, and how they wake it.
//!
//! Two things arrive from other threads: *completions* of work that ran on the thread pool, in the order in which they
//! were delivered, and *signals* of async handles, which carry nothing and coalesce.
//!
//! **Threads.** The loop owns an [`Inbox`]; other threads hold [`InboxSender`]s. Completions go through a mutex that is
//! held for a push or a swap only. A signal is a flag, so that sending it neither locks nor allocates and may be done in
//! a signal handler; [`crate::notify`] has the flags, and the argument why nothing that was put in is left behind. Whoever
//! raises the notification of a loop that sleeps writes to the wake descriptor; one that is awake looks by itself.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::label::TaskKind;
use model::time::Monotonic;

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
    /// What the loop does with the result; runs in the phase `poll_callbacks`.
    pub(crate) deliver: Box<dyn FnOnce(&EventLoop) + Send>,
}

/// The loop's end.
pub(crate) struct Inbox {
    shared: Arc<Shared>,
}

/// Any thread's end. Copies send to the same loop.
#[derive(Clone)]
pub(crate) struct InboxSender {
    shared: Arc<Shared>,
}

struct Shared {
    notification: Notification,
    descriptor: WakeDescriptor,
    completions: Mutex<Completions>,
}

struct Completions {
    /// Cleared when the loop ends: what comes later is dropped.
    open: bool,
    queue: VecDeque<Completion>,
}

impl Inbox {
    pub(crate) fn new() -> Result<Self, Error> {
        let descriptor = WakeDescriptor::new().map_err(|errno| Error::system("eventfd", errno))?;
        let completions = Mutex::new(Completions { open: true, queue: VecDeque::new() });
        Ok(Self { shared: Arc::new(Shared { notification: Notification::new(), descriptor, completions }) })
    }

    pub(crate) fn sender(&self) -> InboxSender {
        InboxSender { shared: Arc::clone(&self.shared) }
    }

    /// Whether something was put in since the last [`Inbox::acknowledge`].
    #[inline]
    pub(crate) fn has_news(&self) -> bool {
        self.shared.notification.is_raised()
    }

    /// The loop is about to wait: from now on it is to be woken. Gives whether it may; otherwise there is news already.
    #[inline]
    pub(crate) fn begin_wait(&self) -> bool {
        !self.shared.notification.fall_asleep()
    }

    /// The loop looks by itself from now on, before it waits.
    #[inline]
    pub(crate) fn end_wait(&self) {
        self.shared.notification.wake_up();
    }

    /// The loop rests until it is run again. Who waits for its descriptor in its place learns of what it leaves.
    pub(crate) fn rest(&self) {
        if self.shared.notification.fall_asleep() {
            self.shared.descriptor.wake();
        }
    }

    /// Gets ready for the next notification. What was put in before this call is there to be taken after it.
    pub(crate) fn acknowledge(&self) {
        self.shared.notification.clear();
    }

    /// Moves the completions that have arrived to the end of `arrived`.
    pub(crate) fn take_completions(&self, arrived: &mut VecDeque<Completion>) {
        let mut completions = self.shared.completions();
        if arrived.is_empty() {
            std::mem::swap(arrived, &mut completions.queue);
        } else {
            arrived.append(&mut completions.queue);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut completions = self.shared.completions();
        completions.open = false;
        let undelivered = std::mem::take(&mut completions.queue);
        // What is dropped here is the program's: it must not run under the lock.
        drop(completions);
        drop(undelivered);
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.descriptor.as_fd()
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
        if self.shared.notification.raise() {
            self.shared.descriptor.wake();
        }
    }
}

impl Shared {
    /// A panic cannot leave the queue half changed, so poisoning means nothing.
    fn completions(&self) -> MutexGuard<'_, Completions> {
        self.completions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
