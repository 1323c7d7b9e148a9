//! TCP listeners.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::HandleType;

use super::binding::{self, BindOptions};
use super::handle_methods;
use super::listener::{ListenerState, listener_methods};
use super::tcp::TcpStream;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::{descriptor, socket};

/// Accepts TCP connections.
///
/// ```
/// use loopscope_runtime::{EventLoop, Read, RunMode, TcpListener, TcpStream};
///
/// let event_loop = EventLoop::new()?;
/// let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap())?;
/// listener.listen(128, |_, listener, connection| {
///     let stream = connection.unwrap();
///     stream.write("hello", |_, stream, _| stream.close()).unwrap();
///     listener.close();
/// })?;
/// let client = TcpStream::connect(&event_loop, listener.local_address()?, |_, _, result| result.unwrap())?;
/// client.read_start(|_, _, read| match read {
///     Ok(Read::Data(data)) => assert_eq!(data, b"hello"),
///     Ok(Read::End) => {}
///     Err(error) => panic!("{error}"),
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct TcpListener(pub(super) Rc<ListenerState>);

handle_methods!(TcpListener);
listener_methods!(TcpListener accepts TcpStream);

impl TcpListener {
    /// Takes an address; port 0 lets the system choose one. Nobody can connect before [`TcpListener::listen`].
    ///
    /// # Errors
    /// Where the address is taken, not one of this host, or not allowed to this user.
    pub fn bind(event_loop: &EventLoop, address: SocketAddr) -> Result<Self, Error> {
        Self::bind_with(event_loop, address, BindOptions::default())
    }

    /// As [`TcpListener::bind`], with options.
    ///
    /// # Errors
    /// Those of [`TcpListener::bind`].
    pub fn bind_with(
        event_loop: &EventLoop,
        address: SocketAddr,
        options: BindOptions,
    ) -> Result<Self, Error> {
        let socket = socket::tcp(address).map_err(|errno| Error::system("socket", errno))?;
        binding::bind(&socket, address, BindOptions { reuse_address: true, ..options })?;
        Ok(Self(ListenerState::new(event_loop, HandleType::Tcp, socket, None)).registered())
    }

    /// A listener of a socket that was made elsewhere and is bound.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(event_loop: &EventLoop, socket: OwnedFd) -> Result<Self, Error> {
        descriptor::set_blocking(&socket, false).map_err(|errno| Error::system("fcntl", errno))?;
        Ok(Self(ListenerState::new(event_loop, HandleType::Tcp, socket, None)).registered())
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        socket::local_address(self.0.socket()?).map_err(|errno| Error::system("getsockname", errno))
    }
}
