//! Receiving datagrams, and the network's answers to what was sent.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;

use super::{Udp, UdpState};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::stream::LentBuffer;
use crate::sys::datagram::{self, BATCH_MAX, Header};

/// How many datagrams are received in a row before others get their turn; libuv's number.
const RECEIVES_MAX: usize = 32;

/// The longest datagram there is, but for IPv6's jumbograms.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A datagram.
    Datagram {
        /// Its bytes, possibly none. They are the callback's only while it runs.
        data: &'a [u8],
        /// Who sent it.
        from: SocketAddr,
        /// Whether it was longer, and the rest is lost.
        truncated: bool,
    },
    /// The network could not deliver what was sent earlier. Told only after [`Udp::report_undelivered`].
    Undelivered {
        /// Where it should have gone; `None` if the network does not say.
        to: Option<SocketAddr>,
        /// Why it did not.
        reason: Error,
    },
}

/// How datagrams are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveOptions {
    /// How many datagrams one system call receives; at most 20. Each takes `bytes_max` bytes of memory.
    pub batch: usize,
    /// What is longer is cut off; at most 64 KiB.
    pub bytes_max: usize,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self { batch: 1, bytes_max: DATAGRAM_BYTES }
    }
}

type ReceiveCallback = Rc<RefCell<dyn FnMut(&EventLoop, &Udp, Result<Received<'_>, Error>)>>;

pub(super) struct Receiving {
    callback: ReceiveCallback,
    options: ReceiveOptions,
}

impl Udp {
    /// Receives from now on, until [`Udp::receive_stop`]. A socket without an address takes any, of IPv4.
    ///
    /// The callback gets an error where receiving failed; the handle goes on. One that is connected is told in this way that
    /// nobody listens at the other end.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] if it receives already; where the system gives no socket or cannot watch it.
    pub fn receive_start(
        &self,
        callback: impl FnMut(&EventLoop, &Udp, Result<Received<'_>, Error>) + 'static,
    ) -> Result<(), Error> {
        self.receive_start_with(ReceiveOptions::default(), callback)
    }

    /// As [`Udp::receive_start`], with options. The callback runs once for each datagram also where one system call received
    /// many.
    ///
    /// # Errors
    /// Those of [`Udp::receive_start`].
    pub fn receive_start_with(
        &self,
        options: ReceiveOptions,
        callback: impl FnMut(&EventLoop, &Udp, Result<Received<'_>, Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.handle.expect_open()?;
        if self.0.receiving.borrow().is_some() {
            return Err(Error::Busy);
        }
        self.0.bound_socket_for(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        let options = ReceiveOptions {
            batch: options.batch.clamp(1, BATCH_MAX),
            bytes_max: options.bytes_max.clamp(1, DATAGRAM_BYTES),
        };
        let callback = Rc::new(RefCell::new(callback));
        self.0.receiving.replace(Some(Receiving { callback, options }));
        let started = self.0.update_interest();
        if started.is_err() {
            self.receive_stop();
        }
        started
    }

    /// Receives no more, until it is started again. What comes meanwhile waits in the kernel, as much as that has room for.
    pub fn receive_stop(&self) {
        let stopped = self.0.receiving.take();
        drop(stopped);
        // Wanting less takes effect at the next poll, and is never refused.
        let _ = self.0.update_interest();
    }

    /// Whether the receive callback is told, as [`Received::Undelivered`], what the network says about datagrams that were
    /// sent: that nobody listens there, that a host cannot be reached. Otherwise, as at the beginning, a socket that is not
    /// connected does not learn it.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] while there is no socket, or what the system says.
    pub fn report_undelivered(&self, on: bool) -> Result<(), Error> {
        datagram::keep_errors(self.0.socket()?.as_fd(), self.0.ipv6.get(), on)
            .map_err(|errno| Error::system("setsockopt", errno))
    }
}

impl UdpState {
    fn receiver(&self) -> Option<(ReceiveCallback, ReceiveOptions)> {
        let receiving = self.receiving.borrow();
        receiving.as_ref().map(|receiving| (Rc::clone(&receiving.callback), receiving.options))
    }

    /// Receives what there is, and calls back for it.
    pub(super) fn receive(self: &Rc<Self>, event_loop: &EventLoop) {
        let mut lent = LentBuffer::new(event_loop);
        let mut left = RECEIVES_MAX;
        while left > 0 {
            let Some((callback, options)) = self.receiver() else { return };
            let bytes = options.batch * options.bytes_max;
            if lent.buffer.len() < bytes {
                lent.buffer.resize(bytes, 0);
            }
            let buffer = &mut lent.buffer[..bytes];
            let received = match options.batch {
                1 => self.try_receive(|socket| datagram::receive(socket, buffer)).map(|header| {
                    self.call_back(event_loop, &callback, header.told(buffer));
                    1
                }),
                _ => {
                    let many = |socket: &OwnedFd| datagram::receive_many(socket, buffer, options.bytes_max);
                    self.try_receive(many).map(|headers| {
                        self.call_back_all(event_loop, &headers, buffer, options.bytes_max);
                        headers.len()
                    })
                }
            };
            match received {
                Ok(count) => left = left.saturating_sub(count),
                Err(Error::System { code, .. }) if code == Errno::AGAIN.raw_os_error() => return,
                Err(error) => return self.call_back(event_loop, &callback, Err(error)),
            }
        }
    }

    fn try_receive<T>(&self, mut receive: impl FnMut(&OwnedFd) -> Result<T, Errno>) -> Result<T, Error> {
        let socket = self.socket()?;
        loop {
            match receive(&socket) {
                Err(Errno::INTR) => {}
                received => return received.map_err(|errno| Error::system("recvmsg", errno)),
            }
        }
    }

    /// Calls back for each datagram of a batch, until the callback stops that.
    fn call_back_all(
        self: &Rc<Self>,
        event_loop: &EventLoop,
        headers: &[Header],
        buffer: &[u8],
        bytes_max: usize,
    ) {
        for (header, place) in headers.iter().zip(buffer.chunks(bytes_max)) {
            let Some((callback, _)) = self.receiver() else { return };
            self.call_back(event_loop, &callback, header.told(place));
        }
    }

    fn call_back(
        self: &Rc<Self>,
        event_loop: &EventLoop,
        callback: &ReceiveCallback,
        received: Result<Received<'_>, Error>,
    ) {
        let udp = Udp(Rc::clone(self));
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &udp, received));
    }

    /// Tells what the network says about what was sent.
    pub(super) fn receive_returned(self: &Rc<Self>, event_loop: &EventLoop) {
        for _ in 0..RECEIVES_MAX {
            let (Some((callback, _)), Ok(socket)) = (self.receiver(), self.socket()) else { return };
            let Ok(returned) = datagram::take_returned(socket.as_fd()) else { return };
            let reason = Error::system("sendmsg", returned.errno);
            self.call_back(event_loop, &callback, Ok(Received::Undelivered { to: returned.to, reason }));
        }
    }
}

impl Header {
    /// What a callback is told of the datagram, which lies at the beginning of `place`.
    fn told<'a>(&self, place: &'a [u8]) -> Result<Received<'a>, Error> {
        let Self { from, length, truncated } = *self;
        Ok(Received::Datagram { data: &place[..length.min(place.len())], from, truncated })
    }
}
