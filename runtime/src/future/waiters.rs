//! Who waits for what callbacks bring.

use std::cell::RefCell;
use std::task::{Context, Waker};

/// The wakers of those that looked and found nothing. Most things have one who waits; it takes no memory.
#[derive(Default)]
pub(super) struct Waiters {
    first: Option<Waker>,
    others: Vec<Waker>,
}

/// What somebody may wait for.
pub(super) trait Awaited {
    fn waiters(&mut self) -> &mut Waiters;
}

impl Waiters {
    /// Whoever polls waits from now on. A task that looks again and again waits once.
    pub(super) fn wait(&mut self, context: &Context<'_>) {
        let waker = context.waker();
        let mut known = self.first.iter().chain(&self.others);
        if known.any(|known| known.will_wake(waker)) {
            return;
        }
        match self.first {
            None => self.first = Some(waker.clone()),
            Some(_) => self.others.push(waker.clone()),
        }
    }
}

/// Changes what is waited for, and wakes all who wait: one of them may have lost its interest without a word. Nothing is
/// borrowed while they are woken, for that may run anything.
pub(super) fn change<A: Awaited>(awaited: &RefCell<A>, change: impl FnOnce(&mut A)) {
    let waiters = {
        let mut awaited = awaited.borrow_mut();
        change(&mut awaited);
        std::mem::take(awaited.waiters())
    };
    waiters.first.into_iter().chain(waiters.others).for_each(Waker::wake);
}
