//! TCP streams.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use model::label::HandleType;

use super::stream::{StreamState, stream_methods};
use super::tcp_listener::{self, BindOptions};
use super::{handle_methods, socket_methods};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::transport::Transport;
use crate::sys::{descriptor, socket};

/// A TCP connection.
///
/// Requests on it (connecting, writing, shutting down) keep the loop alive until they call back, and reading does
/// until it is stopped. A callback never runs within the call that asks for it.
#[derive(Clone)]
pub struct TcpStream(pub(crate) Rc<StreamState>);

/// How a connection is tested on which nothing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// How long nothing comes before the first test; in whole seconds.
    pub idle: Duration,
    /// The time between tests; in whole seconds.
    pub interval: Duration,
    /// How many tests without an answer end the connection.
    pub count: u32,
}

impl KeepAlive {
    /// The first test after `idle`, then ten in as many seconds: libuv's way.
    pub fn after(idle: Duration) -> Self {
        Self { idle, interval: Duration::from_secs(1), count: 10 }
    }
}

handle_methods!(TcpStream);

stream_methods!(TcpStream);
socket_methods!(TcpStream);

impl TcpStream {
    /// A stream that is neither open nor connected.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self(StreamState::new(event_loop, HandleType::Tcp, Transport::Socket)).registered()
    }

    /// Connects to an address. The callback gets the stream and how it went; until then the stream can be written to already.
    ///
    /// # Errors
    /// Where the system gives no socket. Everything else that goes wrong is told to the callback.
    pub fn connect(
        event_loop: &EventLoop,
        address: SocketAddr,
        callback: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
    ) -> Result<Self, Error> {
        let stream = Self::new(event_loop);
        stream.connect_to(address, callback)?;
        Ok(stream)
    }

    /// Connects a stream that is not connected; see [`TcpStream::connect`].
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] while it connects already, and those of [`TcpStream::connect`].
    pub fn connect_to(
        &self,
        address: SocketAddr,
        callback: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        let socket = self.socket_for(address)?;
        if self.0.is_connecting() {
            return Err(Error::Busy);
        }
        self.0.connect(socket::connect(&*socket, address), Self::on_request(callback));
        Ok(())
    }

    /// Takes an address of this host before connecting from it.
    ///
    /// # Errors
    /// [`Error::Closed`]; where the address is taken, not one of this host, or not allowed to this user.
    pub fn bind(&self, address: SocketAddr, options: BindOptions) -> Result<(), Error> {
        let socket = self.socket_for(address)?;
        tcp_listener::bind(&socket, address, BindOptions { reuse_address: true, ..options })
    }

    /// Takes over a connection that was made elsewhere.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] if the stream is open already, or what the system says.
    pub fn open(&self, socket: OwnedFd) -> Result<(), Error> {
        descriptor::set_blocking(&socket, false).map_err(|errno| Error::system("fcntl", errno))?;
        self.0.open(socket)
    }

    pub(super) fn accepted(event_loop: &EventLoop, socket: OwnedFd) -> Self {
        let stream = Self::new(event_loop);
        // A stream that was just made is open to it; one of a loop that has ended is closed, and so is its socket.
        let _ = stream.0.open(socket);
        stream
    }

    /// The stream's socket, made for an address if there is none.
    fn socket_for(&self, address: SocketAddr) -> Result<Rc<OwnedFd>, Error> {
        match self.0.descriptor() {
            Err(Error::NotOpen) => {}
            result => return result,
        }
        self.0.open(socket::tcp(address).map_err(|errno| Error::system("socket", errno))?)?;
        self.0.descriptor()
    }

    /// Closes the stream and resets the connection: the peer gets an error instead of an end, and nothing of the
    /// connection stays behind.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`]; [`Error::ShutDown`] once a shutdown was asked for: it promised the peer an end.
    pub fn close_reset(&self, callback: impl FnOnce(&EventLoop) + 'static) -> Result<(), Error> {
        let socket = self.0.descriptor()?;
        if self.0.is_shut_down() {
            return Err(Error::ShutDown);
        }
        socket::reset_on_close(&*socket).map_err(|errno| Error::system("setsockopt", errno))?;
        drop(socket);
        self.close_with(callback);
        Ok(())
    }

    /// Whether small writes are sent at once, instead of being collected for as long as the peer has not acknowledged
    /// the last one. Off at the beginning.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn set_nodelay(&self, on: bool) -> Result<(), Error> {
        socket::set_no_delay(self.0.descriptor()?, on).map_err(|errno| Error::system("setsockopt", errno))
    }

    /// Whether the connection is tested while nothing comes, so that a peer that is gone without a word is noticed. Off at
    /// the beginning.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says: the times are at least a second.
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> Result<(), Error> {
        let socket = self.0.descriptor()?;
        match keep_alive {
            Some(KeepAlive { idle, interval, count }) => {
                socket::keep_alive(socket, idle.as_secs(), interval.as_secs(), count)
            }
            None => socket::do_not_keep_alive(socket),
        }
        .map_err(|errno| Error::system("setsockopt", errno))
    }

    /// The address of this side.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        socket::local_address(self.0.descriptor()?).map_err(|errno| Error::system("getsockname", errno))
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says: the stream may not be connected any more.
    pub fn peer_address(&self) -> Result<SocketAddr, Error> {
        socket::peer_address(self.0.descriptor()?).map_err(|errno| Error::system("getpeername", errno))
    }
}
