//! Who waits for what callbacks bring.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Waker};

/// Who waits for what belongs to one at a time.
#[derive(Default)]
pub(super) struct Waiter(Option<Waker>);

/// All who wait for what several may ask for, each by a number.
#[derive(Default)]
pub(super) struct Waiters {
    waiting: Vec<(u64, Waker)>,
    last_number: u64,
}

/// What somebody may wait for.
pub(super) trait Awaited {
    /// Takes out who waits.
    fn wakers(&mut self) -> impl IntoIterator<Item = Waker> + use<Self>;
}

/// What nothing more comes to once its callback is gone.
pub(super) trait Sourced: Awaited {
    /// The callback is gone, and whoever waits is woken.
    fn cut_off(&mut self);
}

/// The end that a callback holds. When something else closes the handle, the callback is dropped, and whoever waits learns it.
pub(super) struct Source<A: Sourced> {
    awaited: Rc<RefCell<A>>,
    released: bool,
}

impl<A: Sourced> Source<A> {
    pub(super) fn new(awaited: &Rc<RefCell<A>>) -> Self {
        Self { awaited: Rc::clone(awaited), released: false }
    }

    /// The callback is dropped on purpose: there will be another, perhaps before this one is gone.
    pub(super) fn release(&mut self) {
        self.released = true;
    }

    /// Changes what is waited for, and wakes all who wait.
    pub(super) fn change(&self, change: impl FnOnce(&mut A)) {
        self::change(&self.awaited, change);
    }
}

impl<A: Sourced> Drop for Source<A> {
    fn drop(&mut self) {
        if !self.released {
            self.change(A::cut_off);
        }
    }
}

impl Waiter {
    /// Whoever polls waits from now on.
    pub(super) fn wait(&mut self, context: &Context<'_>) {
        match &mut self.0 {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }

    pub(super) fn take(&mut self) -> Option<Waker> {
        self.0.take()
    }
}

impl Waiters {
    /// The number of one more who asks.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Whoever polls waits from now on, until woken or until it leaves.
    pub(super) fn wait(&mut self, number: u64, context: &Context<'_>) {
        match self.waiting.iter_mut().find(|(known, _)| *known == number) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => self.waiting.push((number, context.waker().clone())),
        }
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.waiting.retain(|(known, _)| *known != number);
    }

    pub(super) fn take(&mut self) -> impl Iterator<Item = Waker> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, waker)| waker)
    }
}

/// Changes what is waited for, and wakes all who wait: whoever comes first takes it. Nothing is borrowed while they are
/// woken, for that may run anything.
pub(super) fn change<A: Awaited>(awaited: &RefCell<A>, change: impl FnOnce(&mut A)) {
    let wakers = {
        let mut awaited = awaited.borrow_mut();
        change(&mut awaited);
        awaited.wakers()
    };
    wakers.into_iter().for_each(Waker::wake);
}
