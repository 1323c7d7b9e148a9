//! Stream sockets.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType};

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// A TCP socket that does not block, of the address's family.
pub(crate) fn tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    net::socket_with(family, SocketType::STREAM, FLAGS, None)
}

/// Lets a listener take an address whose last connections are not forgotten yet.
pub(crate) fn reuse_address(socket: impl AsFd) -> Result<(), Errno> {
    net::sockopt::set_socket_reuseaddr(socket, true)
}

pub(crate) fn bind(socket: impl AsFd, address: SocketAddr) -> Result<(), Errno> {
    net::bind(socket, &address)
}

pub(crate) fn listen(socket: impl AsFd, backlog: i32) -> Result<(), Errno> {
    net::listen(socket, backlog)
}

/// Takes a connection out of the backlog; it does not block either.
pub(crate) fn accept(listener: impl AsFd) -> Result<OwnedFd, Errno> {
    net::accept_with(listener, FLAGS)
}

/// Begins to connect. Once the socket is writable, [`take_error`] tells how it went.
pub(crate) fn connect(socket: impl AsFd, address: SocketAddr) -> Result<(), Errno> {
    match net::connect(socket, &address) {
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
        result => result,
    }
}

/// The error that has been waiting at the socket, if any.
pub(crate) fn take_error(socket: impl AsFd) -> Result<(), Errno> {
    net::sockopt::socket_error(socket).and_then(|error| error)
}

pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    net::recv(socket, buffer, RecvFlags::empty()).map(|(length, _)| length)
}

/// Sends as much as the socket takes. A peer that is gone gives `EPIPE`, not a signal.
pub(crate) fn send(socket: impl AsFd, buffers: &[IoSlice<'_>]) -> Result<usize, Errno> {
    match buffers {
        [one] => net::send(socket, one, SendFlags::NOSIGNAL),
        many => net::sendmsg(socket, many, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL),
    }
}

/// Tells the peer that nothing more will be sent.
pub(crate) fn shut_down_writing(socket: impl AsFd) -> Result<(), Errno> {
    net::shutdown(socket, net::Shutdown::Write)
}

pub(crate) fn local_address(socket: impl AsFd) -> Result<SocketAddr, Errno> {
    SocketAddr::try_from(net::getsockname(socket)?)
}

pub(crate) fn peer_address(socket: impl AsFd) -> Result<SocketAddr, Errno> {
    net::getpeername(socket)?.ok_or(Errno::NOTCONN).and_then(SocketAddr::try_from)
}

/// Whether small writes are sent at once instead of being collected (Nagle's algorithm).
pub(crate) fn set_no_delay(socket: impl AsFd, on: bool) -> Result<(), Errno> {
    net::sockopt::set_tcp_nodelay(socket, on)
}
