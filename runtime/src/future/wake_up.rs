//! How a task is woken, from its loop's thread and from any other: which flags change in which order.
//!
//! A task is *scheduled* from its first wake-up until the loop begins to poll it, so that wake-ups in between coalesce.
//! Whoever raises the flag must bring the task to the loop: on the loop's own thread by queueing it as a microtask,
//! elsewhere by leaving its key with the loop and notifying it. The loop lowers the flag *before* it polls: a wake-up that
//! comes while the task runs finds it lowered and schedules it again, and one that comes before is seen by the poll,
//! because raising and lowering are read-modify-write operations (`AcqRel`), each of which sees what came before the other.

#[cfg(loom)]
use loom::sync::Mutex;
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};
#[cfg(not(loom))]
use std::sync::Mutex;
use std::sync::PoisonError;
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a task is on its way to be polled.
pub(crate) struct Scheduled(AtomicBool);

impl Scheduled {
    pub(crate) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Gives whether the caller is to bring the task to the loop.
    pub(crate) fn raise(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// The task is about to be polled.
    pub(crate) fn lower(&self) {
        self.0.swap(false, Ordering::AcqRel);
    }
}

/// The tasks that other threads woke.
pub(crate) struct Woken<K>(Mutex<Vec<K>>);

impl<K> Woken<K> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(crate) fn push(&self, key: K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(key);
    }

    /// Moves all to `taken`, which is empty.
    pub(crate) fn take(&self, taken: &mut Vec<K>) {
        std::mem::swap(taken, &mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p loopscope-runtime --lib wake_up`.
#[cfg(all(test, loom))]
mod tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    use loom::thread;

    use super::*;
    use crate::notify::Notification;

    struct Shared {
        scheduled: Scheduled,
        woken: Woken<u32>,
        notification: Notification,
        /// The kernel's poll would return.
        poll_returns: AtomicBool,
        /// What the wakers want the task to see.
        data: [AtomicUsize; 2],
    }

    impl Shared {
        fn wake(&self, waker: usize) {
            self.data[waker].store(1, Relaxed);
            if self.scheduled.raise() {
                self.woken.push(7);
                if self.notification.raise() {
                    self.poll_returns.swap(true, Ordering::AcqRel);
                }
            }
        }

        /// What a loop does when its poll returns; gives what the task saw, if it was polled.
        fn look(&self) -> usize {
            if !self.poll_returns.swap(false, Ordering::AcqRel) {
                return 0;
            }
            self.notification.clear();
            let mut woken = Vec::new();
            self.woken.take(&mut woken);
            let mut seen = 0;
            for _ in woken {
                self.scheduled.lower();
                seen = self.data.iter().map(|data| data.load(Relaxed)).sum();
            }
            seen
        }
    }

    #[test]
    fn no_wake_up_from_another_thread_is_lost() {
        loom::model(|| {
            let shared = Arc::new(Shared {
                scheduled: Scheduled::new(),
                woken: Woken::new(),
                notification: Notification::new(),
                poll_returns: AtomicBool::new(false),
                data: [AtomicUsize::new(0), AtomicUsize::new(0)],
            });
            let wakers: Vec<_> = (0..2)
                .map(|waker| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || shared.wake(waker))
                })
                .collect();
            let mut seen = shared.look();
            wakers.into_iter().for_each(|waker| waker.join().unwrap());
            // What the first look could not find has made the poll return again.
            seen = seen.max(shared.look());
            assert_eq!(seen, 2, "a wake-up was lost");
        });
    }
}
