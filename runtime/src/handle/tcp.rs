//! TCP streams.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::HandleType;

use super::buffer::Buffer;
use super::handle_methods;
use super::stream::{Read, StreamState};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::socket;

/// A TCP connection.
///
/// Requests on it (connecting, writing, shutting down) keep the loop alive until they call back, and reading does
/// until it is stopped. A callback never runs within the call that asks for it.
#[derive(Clone)]
pub struct TcpStream(pub(super) Rc<StreamState>);

handle_methods!(TcpStream);

impl TcpStream {
    /// Connects to an address. The callback gets the stream and how it went; until then the stream can be written to already.
    ///
    /// # Errors
    /// Where the system gives no socket. Everything else that goes wrong is told to the callback.
    pub fn connect(
        event_loop: &EventLoop,
        address: SocketAddr,
        callback: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
    ) -> Result<Self, Error> {
        let socket = socket::tcp(address).map_err(|errno| Error::system("socket", errno))?;
        let begun = socket::connect(&socket, address);
        let stream = Self::from_socket(event_loop, socket);
        stream.0.connect(begun, on_request(callback));
        Ok(stream)
    }

    pub(super) fn from_socket(event_loop: &EventLoop, socket: OwnedFd) -> Self {
        Self(StreamState::new(event_loop, HandleType::Tcp, socket)).registered()
    }

    /// Reads from now on, whenever there is something, until the end, an error, or [`TcpStream::read_stop`]. A stream that
    /// reads already gets the new callback.
    ///
    /// # Errors
    /// [`Error::Closed`] if the stream is closed; where the system cannot watch any more sockets.
    pub fn read_start(
        &self,
        mut callback: impl FnMut(&EventLoop, &TcpStream, Result<Read<'_>, Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.read_start(Rc::new(RefCell::new(
            move |event_loop: &EventLoop, stream: &Rc<StreamState>, read: Result<Read<'_>, Error>| {
                callback(event_loop, &TcpStream(Rc::clone(stream)), read);
            },
        )))
    }

    /// Reads no more, until it is started again. What the peer sends meanwhile waits in the kernel, and then with the peer.
    pub fn read_stop(&self) {
        self.0.read_stop();
    }

    /// Writes bytes behind everything that was written before. What the socket takes at once is sent at once.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::ShutDown`]; the callback is then dropped. Everything else that goes wrong is told to
    /// the callback, and ends the writes behind this one too.
    pub fn write(
        &self,
        data: impl Into<Buffer>,
        callback: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        self.write_vectored([data.into()], callback)
    }

    /// Writes several buffers as one request; see [`TcpStream::write`].
    ///
    /// # Errors
    /// Those of [`TcpStream::write`].
    pub fn write_vectored(
        &self,
        data: impl IntoIterator<Item = Buffer>,
        callback: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.write(data.into_iter(), on_request(callback))
    }

    /// Writes what the socket takes at once, and gives how many bytes that was: none while other writes are under way.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::ShutDown`], or what the system says.
    pub fn try_write(&self, bytes: &[u8]) -> Result<usize, Error> {
        self.0.try_write(bytes)
    }

    /// Bytes that were given to [`TcpStream::write`] and that the socket has not taken yet. A program that writes faster
    /// than its peer reads should stop until this falls.
    pub fn write_queue_bytes(&self) -> u64 {
        self.0.write_queue_bytes()
    }

    /// Tells the peer, once everything is written, that nothing more comes. The stream may still read.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::ShutDown`]; the callback is then dropped.
    pub fn shutdown(
        &self,
        callback: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.shut_down(on_request(callback))
    }

    /// Whether small writes are sent at once, instead of being collected for as long as the peer has not acknowledged
    /// the last one. Off at the beginning.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn set_nodelay(&self, on: bool) -> Result<(), Error> {
        socket::set_no_delay(self.0.socket()?, on).map_err(|errno| Error::system("setsockopt", errno))
    }

    /// The address of this side.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        socket::local_address(self.0.socket()?).map_err(|errno| Error::system("getsockname", errno))
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says: the stream may not be connected any more.
    pub fn peer_address(&self) -> Result<SocketAddr, Error> {
        socket::peer_address(self.0.socket()?).map_err(|errno| Error::system("getpeername", errno))
    }
}

/// A callback for the requests of streams of any type, from one for TCP streams.
fn on_request(
    callback: impl FnOnce(&EventLoop, &TcpStream, Result<(), Error>) + 'static,
) -> super::write_queue::RequestCallback {
    Box::new(|event_loop, stream, result| callback(event_loop, &TcpStream(Rc::clone(stream)), result))
}
