//! Listeners to be awaited: one layer over the callbacks of whatever can [`Listen`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::stream::{AsyncStream, Stream};
use super::waiters::{Awaited, Source, Sourced, Waiters};
use crate::error::Error;
use crate::event_loop::EventLoop;

/// A listener by callbacks: what [`AsyncListener`] needs of it.
pub trait Listen: Clone + 'static {
    /// What a connection is.
    type Stream: Stream;

    /// Calls back for every connection from now on.
    ///
    /// # Errors
    /// Where the system refuses.
    fn start_listening(
        &self,
        backlog: u32,
        callback: impl FnMut(&EventLoop, &Self, Result<Self::Stream, Error>) + 'static,
    ) -> Result<(), Error>;

    /// Leaves connections to the kernel until [`Listen::resume_listening`].
    ///
    /// # Errors
    /// Where the listener is closed.
    fn pause_listening(&self) -> Result<(), Error>;

    /// Goes on calling back for connections.
    ///
    /// # Errors
    /// Where the listener is closed, or the system refuses.
    fn resume_listening(&self) -> Result<(), Error>;

    /// Closes the listener.
    fn start_close(&self, callback: impl FnOnce(&EventLoop) + 'static);
}

/// Makes a [`Listen`] of a handle whose methods have the names and the shapes of a TCP listener's.
macro_rules! async_listener {
    ($listener:ty => $stream:ty) => {
        impl $crate::future::Listen for $listener {
            type Stream = $stream;

            fn start_listening(
                &self,
                backlog: u32,
                callback: impl FnMut(&$crate::EventLoop, &Self, Result<$stream, $crate::Error>) + 'static,
            ) -> Result<(), $crate::Error> {
                self.listen(backlog, callback)
            }

            fn pause_listening(&self) -> Result<(), $crate::Error> {
                self.pause()
            }

            fn resume_listening(&self) -> Result<(), $crate::Error> {
                self.resume()
            }

            fn start_close(&self, callback: impl FnOnce(&$crate::EventLoop) + 'static) {
                self.close_with(callback);
            }
        }
    };
}

pub(super) use async_listener;

/// How many connections wait for a task before the listener leaves the rest to the kernel.
const ARRIVALS_MAX: usize = 16;

/// A listener whose connections are awaited. It is closed when it is dropped.
pub struct AsyncListener<L: Listen> {
    listener: L,
    arrivals: Rc<RefCell<Arrivals<L::Stream>>>,
}

struct Arrivals<S> {
    queue: VecDeque<Result<S, Error>>,
    /// Whether the queue is full, or was, and the listener holds back.
    paused: bool,
    /// Whether something else has closed the listener.
    closed: bool,
    waiters: Waiters,
}

impl<S> Awaited for Arrivals<S> {
    fn wakers(&mut self) -> impl IntoIterator<Item = Waker> + use<S> {
        self.waiters.take()
    }
}

impl<S> Sourced for Arrivals<S> {
    fn cut_off(&mut self) {
        self.closed = true;
    }
}

impl<L: Listen> AsyncListener<L> {
    /// Listens. `backlog` connections may wait in the kernel, and 16 more here: beyond them the listener takes no more until
    /// a task accepts some.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(listener: L, backlog: u32) -> Result<Self, Error> {
        let arrivals = Rc::new(RefCell::new(Arrivals {
            queue: VecDeque::new(),
            paused: false,
            closed: false,
            waiters: Waiters::default(),
        }));
        let source = Source::new(&arrivals);
        listener.start_listening(backlog, move |_, listener, connection| {
            source.change(|arrivals| {
                arrivals.queue.push_back(connection);
                if arrivals.queue.len() >= ARRIVALS_MAX && !arrivals.paused {
                    arrivals.paused = listener.pause_listening().is_ok();
                }
            });
        })?;
        Ok(Self { listener, arrivals })
    }

    /// The next connection. Several tasks may wait for one each.
    ///
    /// # Errors
    /// Where one could not be accepted; the listener goes on. [`Error::Closed`] once something else has closed the listener.
    pub async fn accept(&self) -> Result<AsyncStream<L::Stream>, Error> {
        let asking = Asking::new(&self.arrivals);
        poll_fn(|context| {
            let mut arrivals = self.arrivals.borrow_mut();
            let arrived = arrivals.queue.pop_front();
            // Not at once, so that a busy server does not change what is watched for each connection.
            if arrivals.paused && !arrivals.closed && arrivals.queue.len() <= ARRIVALS_MAX / 2 {
                arrivals.paused = false;
                if let Err(error) = self.listener.resume_listening() {
                    arrivals.queue.push_back(Err(error));
                }
            }
            match arrived {
                Some(connection) => Poll::Ready(connection.map(AsyncStream::new)),
                None if arrivals.closed => Poll::Ready(Err(Error::Closed)),
                None => {
                    arrivals.waiters.wait(asking.number, context);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The listener by callbacks: for its address, or to let the loop end while it listens.
    pub fn get_ref(&self) -> &L {
        &self.listener
    }
}

/// One who asks for a connection, until it has one or is dropped.
struct Asking<'a, S> {
    arrivals: &'a RefCell<Arrivals<S>>,
    number: u64,
}

impl<'a, S> Asking<'a, S> {
    fn new(arrivals: &'a RefCell<Arrivals<S>>) -> Self {
        let number = arrivals.borrow_mut().waiters.number();
        Self { arrivals, number }
    }
}

impl<S> Drop for Asking<'_, S> {
    fn drop(&mut self) {
        self.arrivals.borrow_mut().waiters.leave(self.number);
    }
}

impl<L: Listen> Drop for AsyncListener<L> {
    fn drop(&mut self) {
        self.listener.start_close(|_| {});
    }
}

impl<L: Listen> fmt::Debug for AsyncListener<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncListener").finish_non_exhaustive()
    }
}
