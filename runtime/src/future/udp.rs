//! UDP to be awaited.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::oneshot;
use super::waiters::{Awaited, Source, Sourced, Waiter};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::{Buffer, Received};

/// How many datagrams wait for a task before the rest is left to the kernel, which drops what it has no room for.
const DATAGRAMS_MAX: usize = 32;

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its bytes, possibly none.
    pub data: Vec<u8>,
    /// Who sent it.
    pub from: SocketAddr,
    /// Whether it was longer, and the rest is lost.
    pub truncated: bool,
}

/// A UDP socket whose datagrams are awaited. It is closed when it is dropped.
///
/// Once it was received from, it keeps its loop alive until it is dropped.
///
/// ```
/// use loopscope_runtime::EventLoop;
/// use loopscope_runtime::future::Udp;
///
/// let event_loop = EventLoop::new()?;
/// let mut server = Udp::bind(&event_loop, "127.0.0.1:0".parse().unwrap())?;
/// let mut client = Udp::new(loopscope_runtime::Udp::new(&event_loop));
/// let address = server.get_ref().local_address()?;
/// let datagram = event_loop.block_on(async move {
///     client.send("hello", address).await?;
///     server.receive().await
/// })?;
/// assert_eq!(datagram.data, b"hello");
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub struct Udp {
    socket: crate::Udp,
    input: Rc<RefCell<Input>>,
}

#[derive(Default)]
struct Input {
    queue: VecDeque<Result<Datagram, Error>>,
    receiving: bool,
    waiter: Waiter,
}

impl Awaited for Input {
    fn wakers(&mut self) -> impl IntoIterator<Item = Waker> + use<> {
        self.waiter.take()
    }
}

impl Sourced for Input {
    /// Whoever receives next begins anew, or learns why not.
    fn cut_off(&mut self) {
        self.receiving = false;
    }
}

impl Udp {
    /// A socket that nothing else receives from.
    pub fn new(socket: crate::Udp) -> Self {
        Self { socket, input: Rc::default() }
    }

    /// Takes an address; port 0 lets the system choose one.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(event_loop: &EventLoop, address: SocketAddr) -> Result<Self, Error> {
        let socket = crate::Udp::new(event_loop);
        socket.bind(address)?;
        Ok(Self::new(socket))
    }

    /// The next datagram.
    ///
    /// # Errors
    /// Where receiving failed; the next call goes on. Of a socket that reports it, also what could not be delivered.
    /// [`Error::Closed`] once something else has closed the socket.
    pub async fn receive(&mut self) -> Result<Datagram, Error> {
        poll_fn(|context| {
            {
                let mut input = self.input.borrow_mut();
                if let Some(received) = input.queue.pop_front() {
                    return Poll::Ready(received);
                }
                input.waiter.wait(context);
            }
            match self.receive_ahead() {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    fn receive_ahead(&self) -> Result<(), Error> {
        if self.input.borrow().receiving {
            return Ok(());
        }
        let mut source = Source::new(&self.input);
        self.socket.receive_start(move |_, socket, received| {
            let mut full = false;
            // Receiving stops before anybody is woken who might start it again.
            source.change(|input| {
                input.queue.push_back(Datagram::owned(received));
                full = input.queue.len() >= DATAGRAMS_MAX;
                input.receiving = !full;
                if full {
                    socket.receive_stop();
                }
            });
            if full {
                source.release();
            }
        })?;
        self.input.borrow_mut().receiving = true;
        Ok(())
    }

    /// Sends a datagram; without an address where the socket is connected. It is sent also if this is not awaited to its
    /// end.
    ///
    /// # Errors
    /// What the system says.
    pub async fn send(
        &mut self,
        data: impl Into<Buffer>,
        to: impl Into<Option<SocketAddr>>,
    ) -> Result<(), Error> {
        let (sender, sent) = oneshot::channel();
        self.socket.send(data, to, |_, _, result| sender.send(result))?;
        sent.await.unwrap_or(Err(Error::Cancelled))
    }

    /// The socket by callbacks: for its address and its options.
    pub fn get_ref(&self) -> &crate::Udp {
        &self.socket
    }
}

impl Datagram {
    fn owned(received: Result<Received<'_>, Error>) -> Result<Self, Error> {
        match received? {
            Received::Datagram { data, from, truncated } => Ok(Self { data: data.to_vec(), from, truncated }),
            Received::Undelivered { reason, .. } => Err(reason),
        }
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.socket.close();
    }
}

impl fmt::Debug for Udp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Udp").finish_non_exhaustive()
    }
}
