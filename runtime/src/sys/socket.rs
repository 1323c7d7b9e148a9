//! Sockets: what those of TCP and UDP have in common, and TCP's own.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// A TCP socket that does not block, of the address's family.
pub(crate) fn tcp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    net::socket_with(family, SocketType::STREAM, FLAGS, None)
}

/// A UDP socket that does not block, of the address's family.
pub(crate) fn udp(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    net::socket_with(family, SocketType::DGRAM, FLAGS, None)
}

/// Lets a listener take an address whose last connections are not forgotten yet.
pub(crate) fn reuse_address(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::set_socket_reuseaddr(socket, true)
}

/// Lets several sockets take one address; the kernel spreads what comes over them.
pub(crate) fn reuse_port(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::set_socket_reuseport(socket, true)
}

/// Whether an IPv6 socket leaves IPv4 alone.
pub(crate) fn set_ipv6_only(socket: impl AsFd, on: bool) -> Result<(), Errno> {
    sockopt::set_ipv6_v6only(socket, on)
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
    sockopt::socket_error(socket).and_then(|error| error)
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
    sockopt::set_tcp_nodelay(socket, on)
}

/// Has a connection on which nothing comes tested after `idle_s` seconds, then every `interval_s`, and given up after
/// `count` tests without an answer.
pub(crate) fn keep_alive(socket: impl AsFd, idle_s: u64, interval_s: u64, count: u32) -> Result<(), Errno> {
    use std::time::Duration;
    sockopt::set_tcp_keepidle(&socket, Duration::from_secs(idle_s))?;
    sockopt::set_tcp_keepintvl(&socket, Duration::from_secs(interval_s))?;
    sockopt::set_tcp_keepcnt(&socket, count)?;
    sockopt::set_socket_keepalive(socket, true)
}

pub(crate) fn do_not_keep_alive(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::set_socket_keepalive(socket, false)
}

/// Makes the connection end with a reset when it is closed.
pub(crate) fn reset_on_close(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO))
}

/// The size of the kernel's buffer, which it doubles for its own needs.
pub(crate) fn send_buffer_bytes(socket: impl AsFd) -> Result<usize, Errno> {
    sockopt::socket_send_buffer_size(socket)
}

pub(crate) fn set_send_buffer_bytes(socket: impl AsFd, bytes: usize) -> Result<(), Errno> {
    sockopt::set_socket_send_buffer_size(socket, bytes)
}

pub(crate) fn receive_buffer_bytes(socket: impl AsFd) -> Result<usize, Errno> {
    sockopt::socket_recv_buffer_size(socket)
}

pub(crate) fn set_receive_buffer_bytes(socket: impl AsFd, bytes: usize) -> Result<(), Errno> {
    sockopt::set_socket_recv_buffer_size(socket, bytes)
}
