//! Pipes: UNIX sockets and FIFOs as streams, and the passing of descriptors.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::HandleType;

use super::buffer::Buffer;
use super::pipe_name::PipeName;
use super::stream::{StreamState, stream_methods};
use super::{handle_methods, socket_methods};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::transport::Transport;
use crate::sys::{descriptor, unix};

/// A stream between processes of one host: a UNIX socket, or one end of a FIFO.
///
/// ```
/// use loopscope_runtime::{EventLoop, Pipe, Read, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// let (one, other) = Pipe::pair(&event_loop)?;
/// one.write("hello", |_, one, result| {
///     result.unwrap();
///     one.close();
/// })?;
/// other.read_start(|_, other, read| match read.unwrap() {
///     Read::Data(data) => assert_eq!(data, b"hello"),
///     Read::End => other.close(),
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
///
/// # Passing descriptors
///
/// A pipe that was made with [`Pipe::new_passing`] carries descriptors between the bytes: [`Pipe::write_with`] sends one
/// with the first byte of a write, and at the other end it waits to be taken from when that byte is read.
///
/// ```
/// use std::rc::Rc;
/// use loopscope_runtime::{EventLoop, HandleType, Pipe, Read, RunMode, TcpListener};
///
/// let event_loop = EventLoop::new()?;
/// let (one, other) = Pipe::passing_pair(&event_loop)?;
/// let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap())?;
/// let address = listener.local_address()?;
/// one.write_with("listen here", listener.descriptor()?, |_, one, _| one.close())?;
/// other.read_start(move |event_loop, other, read| match read.unwrap() {
///     Read::Data(data) => {
///         assert_eq!((data, other.pending_type()), (&b"listen here"[..], Some(HandleType::Tcp)));
///         let received = TcpListener::open(event_loop, other.take_pending().unwrap()).unwrap();
///         assert_eq!(received.local_address(), Ok(address));
///     }
///     Read::End => other.close(),
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipe(pub(crate) Rc<StreamState>);

handle_methods!(Pipe);
stream_methods!(Pipe);
socket_methods!(Pipe);

impl Pipe {
    /// A pipe that is neither open nor connected.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self(StreamState::new(event_loop, HandleType::Pipe, Transport::Socket)).registered()
    }

    /// A pipe over which descriptors are passed.
    pub fn new_passing(event_loop: &EventLoop) -> Self {
        Self(StreamState::new(event_loop, HandleType::Pipe, Transport::Passing)).registered()
    }

    /// Two pipes that are connected with each other: what one writes the other reads.
    ///
    /// # Errors
    /// Where the system gives no descriptors.
    pub fn pair(event_loop: &EventLoop) -> Result<(Self, Self), Error> {
        Self::connected(Self::new(event_loop), Self::new(event_loop))
    }

    /// Two pipes that are connected with each other and pass descriptors.
    ///
    /// # Errors
    /// Where the system gives no descriptors.
    pub fn passing_pair(event_loop: &EventLoop) -> Result<(Self, Self), Error> {
        Self::connected(Self::new_passing(event_loop), Self::new_passing(event_loop))
    }

    fn connected(one: Self, other: Self) -> Result<(Self, Self), Error> {
        let sockets = unix::pair().map_err(|errno| Error::system("socketpair", errno))?;
        one.0.open(sockets.0)?;
        other.0.open(sockets.1)?;
        Ok((one, other))
    }

    /// Connects to whoever listens by that name. The callback gets the pipe and how it went.
    pub fn connect(
        event_loop: &EventLoop,
        name: impl Into<PipeName>,
        callback: impl FnOnce(&EventLoop, &Pipe, Result<(), Error>) + 'static,
    ) -> Self {
        let pipe = Self::new(event_loop);
        // A pipe that was just made is neither busy nor, unless the loop has ended, closed.
        let _ = pipe.connect_to(name, callback);
        pipe
    }

    /// Connects a pipe that is not connected; see [`Pipe::connect`].
    ///
    /// # Errors
    /// [`Error::Closed`], or [`Error::Busy`] if it is open or connects already. Everything else that goes wrong is told to
    /// the callback.
    pub fn connect_to(
        &self,
        name: impl Into<PipeName>,
        callback: impl FnOnce(&EventLoop, &Pipe, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.handle.expect_open()?;
        if self.0.is_open() || self.0.is_connecting() {
            return Err(Error::Busy);
        }
        let begun = self.begin_connect(&name.into());
        self.0.await_connection(begun, Self::on_request(callback));
        Ok(())
    }

    fn begin_connect(&self, name: &PipeName) -> Result<(), Error> {
        self.0.open(unix::socket().map_err(|errno| Error::system("socket", errno))?)?;
        unix::connect(&*self.0.descriptor()?, name).map_err(|errno| Error::system("connect", errno))
    }

    /// Takes over a UNIX socket that is connected, or an end of a FIFO. It no longer blocks then, also for others that share
    /// it.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] if the pipe is open already, [`Error::Invalid`] if it passes descriptors and this
    /// is no socket, or what the system says.
    pub fn open(&self, descriptor: OwnedFd) -> Result<(), Error> {
        let is_socket = descriptor::is_socket(&descriptor);
        if !is_socket && self.0.transport() == Transport::Passing {
            return Err(Error::Invalid { reason: "descriptors can only be passed over a socket" });
        }
        descriptor::set_blocking(&descriptor, false).map_err(|errno| Error::system("fcntl", errno))?;
        self.0.open(descriptor)?;
        if !is_socket {
            self.0.set_transport(Transport::File);
        }
        Ok(())
    }

    /// Writes as [`Pipe::write`], and passes a descriptor with the first byte: of another handle, or any. It stays open on
    /// this side for as long as it is used here.
    ///
    /// # Errors
    /// Those of [`Pipe::write`]; [`Error::Invalid`] if the pipe does not pass descriptors, or if there is no byte to go
    /// with it.
    pub fn write_with(
        &self,
        data: impl Into<Buffer>,
        descriptor: Rc<OwnedFd>,
        callback: impl FnOnce(&EventLoop, &Pipe, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        let data = data.into();
        if self.0.transport() != Transport::Passing {
            return Err(Error::Invalid { reason: "this pipe was not made to pass descriptors" });
        }
        if data.is_empty() {
            return Err(Error::Invalid { reason: "a descriptor needs a byte to go with" });
        }
        self.0.write([data].into_iter(), Some(descriptor), Self::on_request(callback))
    }

    /// How many descriptors came that were not taken yet.
    pub fn pending_count(&self) -> usize {
        self.0.received_count()
    }

    /// The type of handle that the first of them is for; `None` if there is none, or no handle for it.
    pub fn pending_type(&self) -> Option<HandleType> {
        self.0.with_received(|received| descriptor::handle_type(received)).flatten()
    }

    /// Takes the first of them. What is not taken is closed with the pipe.
    pub fn take_pending(&self) -> Option<OwnedFd> {
        self.0.take_received()
    }

    /// The name of this side; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`], or what the system says.
    pub fn local_name(&self) -> Result<Option<PipeName>, Error> {
        unix::local_name(&*self.0.descriptor()?).map_err(|errno| Error::system("getsockname", errno))
    }

    /// The name of the other side; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`], or what the system says.
    pub fn peer_name(&self) -> Result<Option<PipeName>, Error> {
        unix::peer_name(&*self.0.descriptor()?).map_err(|errno| Error::system("getpeername", errno))
    }

    pub(super) fn accepted(event_loop: &EventLoop, socket: OwnedFd) -> Self {
        let pipe = Self::new(event_loop);
        // A pipe that was just made is open to it; one of a loop that has ended is closed, and so is its socket.
        let _ = pipe.0.open(socket);
        pipe
    }
}
