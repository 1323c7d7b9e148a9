//! Signals to be awaited.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::waiters::{self, Awaited, Waiter};
use crate::Signal;
use crate::error::Error;
use crate::event_loop::EventLoop;

/// The signals of one number, awaited one after the other. What the system does at the signal by itself it does not do before
/// this is dropped.
///
/// It keeps its loop alive, unless its handle is unreferenced.
///
/// ```
/// use loopscope_runtime::EventLoop;
/// use loopscope_runtime::future::Signals;
///
/// let event_loop = EventLoop::new()?;
/// let mut signals = Signals::new(&event_loop, libc::SIGWINCH)?;
/// loopscope_runtime::kill(std::process::id(), libc::SIGWINCH)?;
/// event_loop.block_on(async move { signals.next().await });
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub struct Signals {
    handle: Signal,
    arrived: Rc<RefCell<Arrived>>,
}

#[derive(Default)]
struct Arrived {
    /// Those that nobody has awaited yet.
    count: u64,
    waiter: Waiter,
}

impl Awaited for Arrived {
    fn wakers(&mut self) -> impl IntoIterator<Item = Waker> + use<> {
        self.waiter.take()
    }
}

impl Signals {
    /// Watches a signal from now on.
    ///
    /// # Errors
    /// `EINVAL` of a number that is no signal's, or of a signal that cannot be caught.
    pub fn new(event_loop: &EventLoop, signal: i32) -> Result<Self, Error> {
        let handle = Signal::new(event_loop);
        let arrived = Rc::new(RefCell::new(Arrived::default()));
        let of_callback = Rc::clone(&arrived);
        handle.start(signal, move |_, _, _| waiters::change(&of_callback, |arrived| arrived.count += 1))?;
        Ok(Self { handle, arrived })
    }

    /// Waits until the signal comes; those that came since the last one are told one by one, without waiting.
    pub async fn next(&mut self) {
        poll_fn(|context| {
            let mut arrived = self.arrived.borrow_mut();
            if arrived.count > 0 {
                arrived.count -= 1;
                return Poll::Ready(());
            }
            arrived.waiter.wait(context);
            Poll::Pending
        })
        .await;
    }

    /// The handle: to let the loop end while it waits, for instance.
    pub fn get_ref(&self) -> &Signal {
        &self.handle
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("number", &self.handle.number()).finish_non_exhaustive()
    }
}
