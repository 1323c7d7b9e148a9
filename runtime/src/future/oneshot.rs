//! One value from a callback to a future: how anything that calls back once becomes something to await.
//!
//! Both ends belong to one thread, so neither locks.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// The end that gives the value. Dropping it tells the other end that none will come.
pub struct Sender<T>(Rc<RefCell<State<T>>>);

/// The end that awaits the value.
pub struct Receiver<T>(Rc<RefCell<State<T>>>);

/// The sender was dropped without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped;

enum State<T> {
    Empty,
    Awaited(Waker),
    Sent(T),
    Dropped,
}

/// The two ends.
///
/// ```
/// use std::time::Duration;
/// use loopscope_runtime::{EventLoop, Timer, future::oneshot};
///
/// let event_loop = EventLoop::new()?;
/// let (sender, receiver) = oneshot::channel();
/// let mut sender = Some(sender);
/// Timer::new(&event_loop).start(Duration::from_millis(1), move |_, _| {
///     sender.take().expect("a timer without repetition calls back once").send(42);
/// })?;
/// assert_eq!(event_loop.block_on(receiver), Ok(42));
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = Rc::new(RefCell::new(State::Empty));
    (Sender(Rc::clone(&state)), Receiver(state))
}

impl<T> Sender<T> {
    /// Gives the value, and wakes whoever awaits it.
    pub fn send(self, value: T) {
        self.put(State::Sent(value));
    }

    fn put(&self, state: State<T>) {
        let before = self.0.replace(state);
        if let State::Awaited(waker) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if !matches!(*self.0.borrow(), State::Sent(_)) {
            self.put(State::Dropped);
        }
    }
}

impl<T> Receiver<T> {
    /// The value, if it is there.
    pub fn try_receive(&self) -> Option<T> {
        if !matches!(*self.0.borrow(), State::Sent(_)) {
            return None;
        }
        match self.0.replace(State::Dropped) {
            State::Sent(value) => Some(value),
            State::Empty | State::Awaited(_) | State::Dropped => None,
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Dropped>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(value) = self.try_receive() {
            return Poll::Ready(Ok(value));
        }
        let mut state = self.0.borrow_mut();
        if let State::Dropped = *state {
            return Poll::Ready(Err(Dropped));
        }
        match &mut *state {
            State::Awaited(waker) => waker.clone_from(context.waker()),
            other => *other = State::Awaited(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender was dropped without a value")
    }
}

impl std::error::Error for Dropped {}
