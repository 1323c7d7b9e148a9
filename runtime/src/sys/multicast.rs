//! Multicast groups, and how far datagrams go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use rustix::net::sockopt;

use super::address::Raw;
use super::datagram::set_option;
use crate::handle::udp::Interface;

/// Joins or leaves a group.
pub(crate) fn set_member(
    socket: impl AsFd,
    group: IpAddr,
    interface: Interface,
    joins: bool,
) -> Result<(), Errno> {
    match (group, interface) {
        (IpAddr::V4(group), interface) => {
            let (address, index) = match interface {
                Interface::Any => (Ipv4Addr::UNSPECIFIED, 0),
                Interface::Address(address) => (address, 0),
                Interface::Index(index) => (Ipv4Addr::UNSPECIFIED, index as i32),
            };
            // `ip_mreqn`, which rustix declares with an unsigned index where it adds and a signed one nowhere.
            let request = libc::ip_mreqn {
                imr_multiaddr: in_addr(group),
                imr_address: in_addr(address),
                imr_ifindex: index,
            };
            let option = if joins { libc::IP_ADD_MEMBERSHIP } else { libc::IP_DROP_MEMBERSHIP };
            set_option(socket.as_fd(), libc::IPPROTO_IP, option, &request)
        }
        (IpAddr::V6(group), interface) => {
            let index = index_of(interface)?;
            match joins {
                true => sockopt::set_ipv6_add_membership(socket, &group, index),
                false => sockopt::set_ipv6_drop_membership(socket, &group, index),
            }
        }
    }
}

/// Joins or leaves a group for what one host sends to it.
pub(crate) fn set_member_of_source(
    socket: BorrowedFd<'_>,
    group: IpAddr,
    source: IpAddr,
    interface: Interface,
    joins: bool,
) -> Result<(), Errno> {
    match (group, source) {
        (IpAddr::V4(group), IpAddr::V4(source)) => {
            let interface = match interface {
                Interface::Any => Ipv4Addr::UNSPECIFIED,
                Interface::Address(address) => address,
                Interface::Index(_) => return Err(Errno::INVAL),
            };
            match joins {
                true => sockopt::set_ip_add_source_membership(socket, &group, &interface, &source),
                false => sockopt::set_ip_drop_source_membership(socket, &group, &interface, &source),
            }
        }
        (IpAddr::V6(group), IpAddr::V6(source)) => {
            let request = libc::group_source_req {
                gsr_interface: index_of(interface)?,
                gsr_group: storage(group),
                gsr_source: storage(source),
            };
            let option = if joins { libc::MCAST_JOIN_SOURCE_GROUP } else { libc::MCAST_LEAVE_SOURCE_GROUP };
            set_option(socket, libc::IPPROTO_IPV6, option, &request)
        }
        _ => Err(Errno::INVAL),
    }
}

/// The interface that what is sent to groups goes out by.
pub(crate) fn set_interface(socket: impl AsFd, ipv6: bool, interface: Interface) -> Result<(), Errno> {
    if ipv6 {
        return sockopt::set_ipv6_multicast_if(socket, index_of(interface)?);
    }
    match interface {
        Interface::Any => sockopt::set_ip_multicast_if(socket, &Ipv4Addr::UNSPECIFIED),
        Interface::Address(address) => sockopt::set_ip_multicast_if(socket, &address),
        Interface::Index(index) => {
            let request = libc::ip_mreqn {
                imr_multiaddr: in_addr(Ipv4Addr::UNSPECIFIED),
                imr_address: in_addr(Ipv4Addr::UNSPECIFIED),
                imr_ifindex: index as i32,
            };
            set_option(socket.as_fd(), libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
        }
    }
}

/// Whether what this host sends to groups comes back to its own members.
pub(crate) fn set_loop(socket: impl AsFd, ipv6: bool, on: bool) -> Result<(), Errno> {
    match ipv6 {
        true => sockopt::set_ipv6_multicast_loop(socket, on),
        false => sockopt::set_ip_multicast_loop(socket, on),
    }
}

/// How many routers what is sent to groups may pass.
pub(crate) fn set_hops(socket: impl AsFd, ipv6: bool, hops: u8) -> Result<(), Errno> {
    match ipv6 {
        true => sockopt::set_ipv6_multicast_hops(socket, hops.into()),
        false => sockopt::set_ip_multicast_ttl(socket, hops.into()),
    }
}

/// How many routers what is sent to one host may pass.
pub(crate) fn set_unicast_hops(socket: impl AsFd, ipv6: bool, hops: u8) -> Result<(), Errno> {
    match ipv6 {
        true => sockopt::set_ipv6_unicast_hops(socket, Some(hops)),
        false => sockopt::set_ip_ttl(socket, hops.into()),
    }
}

pub(crate) fn set_broadcast(socket: impl AsFd, on: bool) -> Result<(), Errno> {
    sockopt::set_socket_broadcast(socket, on)
}

fn index_of(interface: Interface) -> Result<u32, Errno> {
    match interface {
        Interface::Any => Ok(0),
        Interface::Index(index) => Ok(index),
        // An IPv6 group has no use for an IPv4 address.
        Interface::Address(_) => Err(Errno::INVAL),
    }
}

fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }
}

fn storage(address: Ipv6Addr) -> libc::sockaddr_storage {
    // SAFETY: zeros are valid for all fields, which are numbers.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let raw = Raw::from(SocketAddr::from((address, 0)));
    // SAFETY: a storage is large enough for, and aligned as, any address.
    unsafe { (&raw mut storage).cast::<libc::sockaddr_in6>().write(raw.place) };
    storage
}
