//! Taking an address for a socket.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::error::Error;
use crate::sys::socket;

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
