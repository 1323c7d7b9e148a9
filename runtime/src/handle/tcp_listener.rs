//! TCP listeners.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::HandleType;

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

/// How an address is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BindOptions {
    /// An IPv6 socket takes IPv6 only, also where the address is the unspecified one.
    pub ipv6_only: bool,
    /// Others may take the same address and port; the kernel spreads connections, or datagrams, over all.
    pub reuse_port: bool,
    /// The address may be taken even though others have it: what multicast needs, several receivers of one port. TCP
    /// sockets always have this, where it lets them take an address whose last connections are not forgotten yet.
    pub reuse_address: bool,
}

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
        bind(&socket, address, BindOptions { reuse_address: true, ..options })?;
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

/// Takes an address for a socket.
pub(super) fn bind(socket: &OwnedFd, address: SocketAddr, options: BindOptions) -> Result<(), Error> {
    let failed = |errno| Error::system("setsockopt", errno);
    if options.ipv6_only && address.is_ipv4() {
        return Err(Error::Invalid { reason: "an IPv4 address cannot be for IPv6 only" });
    }
    if options.reuse_address {
        socket::reuse_address(socket).map_err(failed)?;
    }
    if options.reuse_port {
        socket::reuse_port(socket).map_err(failed)?;
    }
    if address.is_ipv6() {
        socket::set_ipv6_only(socket, options.ipv6_only).map_err(failed)?;
    }
    socket::bind(socket, address).map_err(|errno| Error::system("bind", errno))
}
