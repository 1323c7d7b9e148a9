//! Listeners to be awaited: one layer over the callbacks of whatever can [`Listen`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::stream::{AsyncStream, Stream};
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

            fn start_close(&self, callback: impl FnOnce(&$crate::EventLoop) + 'static) {
                self.close_with(callback);
            }
        }
    };
}

async_listener!(crate::TcpListener => crate::TcpStream);

/// A listener for TCP connections to be awaited.
pub type TcpListener = AsyncListener<crate::TcpListener>;

/// A listener whose connections are awaited. It is closed when it is dropped.
pub struct AsyncListener<L: Listen> {
    listener: L,
    arrivals: Rc<RefCell<Arrivals<L::Stream>>>,
}

struct Arrivals<S> {
    queue: VecDeque<Result<S, Error>>,
    waker: Option<Waker>,
}

impl<L: Listen> AsyncListener<L> {
    /// Listens. `backlog` connections may wait in the kernel; what it hands over waits here, without a bound.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(listener: L, backlog: u32) -> Result<Self, Error> {
        let arrivals = Rc::new(RefCell::new(Arrivals { queue: VecDeque::new(), waker: None }));
        let of_callback = Rc::clone(&arrivals);
        listener.start_listening(backlog, move |_, _, connection| {
            let waker = {
                let mut arrivals = of_callback.borrow_mut();
                arrivals.queue.push_back(connection);
                arrivals.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        })?;
        Ok(Self { listener, arrivals })
    }

    /// The next connection.
    ///
    /// # Errors
    /// Where one could not be accepted; the listener goes on.
    pub async fn accept(&self) -> Result<AsyncStream<L::Stream>, Error> {
        poll_fn(|context| {
            let mut arrivals = self.arrivals.borrow_mut();
            match arrivals.queue.pop_front() {
                Some(connection) => Poll::Ready(connection.map(AsyncStream::new)),
                None => {
                    arrivals.waker = Some(context.waker().clone());
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

impl AsyncListener<crate::TcpListener> {
    /// Takes an address, and listens there; port 0 lets the system choose one.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(event_loop: &EventLoop, address: SocketAddr, backlog: u32) -> Result<Self, Error> {
        Self::new(crate::TcpListener::bind(event_loop, address)?, backlog)
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        self.listener.local_address()
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
