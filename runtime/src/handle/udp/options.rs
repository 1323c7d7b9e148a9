//! Multicast groups, broadcast, and how far datagrams go.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;

use rustix::io::Errno;

use super::Udp;
use crate::error::Error;
use crate::sys::multicast;

/// A network interface of this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The one that the system chooses.
    #[default]
    Any,
    /// The one that has this address; for IPv4.
    Address(Ipv4Addr),
    /// The one with this number, for either family; `if_nametoindex` tells it.
    Index(u32),
}

impl Udp {
    /// Receives what is sent to a multicast group. The handle should be bound to the group's port.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says: the address may be no group's, the interface may not exist.
    pub fn join_group(&self, group: IpAddr, interface: Interface) -> Result<(), Error> {
        self.set_membership(group, interface, true)
    }

    /// Receives it no more.
    ///
    /// # Errors
    /// Those of [`Udp::join_group`]; where the group was not joined.
    pub fn leave_group(&self, group: IpAddr, interface: Interface) -> Result<(), Error> {
        self.set_membership(group, interface, false)
    }

    fn set_membership(&self, group: IpAddr, interface: Interface, joins: bool) -> Result<(), Error> {
        let socket = self.0.bound_socket_for(SocketAddr::new(group, 0))?;
        set(multicast::set_member(&*socket, group, interface, joins))
    }

    /// Receives what one host sends to a multicast group.
    ///
    /// # Errors
    /// Those of [`Udp::join_group`].
    pub fn join_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: Interface,
    ) -> Result<(), Error> {
        let socket = self.0.bound_socket_for(SocketAddr::new(group, 0))?;
        set(multicast::set_member_of_source(socket.as_fd(), group, source, interface, true))
    }

    /// Receives it no more.
    ///
    /// # Errors
    /// Those of [`Udp::leave_group`].
    pub fn leave_source_group(
        &self,
        group: IpAddr,
        source: IpAddr,
        interface: Interface,
    ) -> Result<(), Error> {
        let socket = self.0.socket()?;
        set(multicast::set_member_of_source(socket.as_fd(), group, source, interface, false))
    }

    /// The interface by which what is sent to multicast groups goes out.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] while there is no socket, or what the system says.
    pub fn set_multicast_interface(&self, interface: Interface) -> Result<(), Error> {
        set(multicast::set_interface(&*self.0.socket()?, self.0.ipv6.get(), interface))
    }

    /// Whether what this host sends to multicast groups comes back to its own members. It does at the beginning.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] while there is no socket, or what the system says.
    pub fn set_multicast_loop(&self, on: bool) -> Result<(), Error> {
        set(multicast::set_loop(&*self.0.socket()?, self.0.ipv6.get(), on))
    }

    /// How many networks what is sent to multicast groups may pass: 1, as at the beginning, is the own network only.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] while there is no socket, or what the system says.
    pub fn set_multicast_hops(&self, hops: u8) -> Result<(), Error> {
        set(multicast::set_hops(&*self.0.socket()?, self.0.ipv6.get(), hops))
    }

    /// How many networks what is sent to one host may pass; at least 1.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] while there is no socket, or what the system says.
    pub fn set_hops(&self, hops: u8) -> Result<(), Error> {
        set(multicast::set_unicast_hops(&*self.0.socket()?, self.0.ipv6.get(), hops))
    }

    /// Whether datagrams may be sent to all hosts of a network.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] while there is no socket, or what the system says.
    pub fn set_broadcast(&self, on: bool) -> Result<(), Error> {
        set(multicast::set_broadcast(&*self.0.socket()?, on))
    }
}

fn set(result: Result<(), Errno>) -> Result<(), Error> {
    result.map_err(|errno| Error::system("setsockopt", errno))
}
