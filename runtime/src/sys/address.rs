//! Addresses of the internet as the kernel and the C library lay them out.

use std::mem::zeroed;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};

/// Room for an address of either family, the larger one's; and how much of it one takes.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) place: libc::sockaddr_in6,
    pub(crate) length: libc::socklen_t,
}

impl Raw {
    /// Room to be filled in.
    pub(crate) fn room() -> Self {
        // SAFETY: zeros are valid for all fields, which are numbers.
        let place = unsafe { zeroed::<libc::sockaddr_in6>() };
        Self { place, length: size_of::<libc::sockaddr_in6>() as libc::socklen_t }
    }

    /// The address; `None` of a family that is neither.
    pub(crate) fn read(&self) -> Option<SocketAddr> {
        // SAFETY: the place is large enough for both families.
        unsafe { read((&raw const self.place).cast()) }
    }
}

impl From<SocketAddr> for Raw {
    fn from(address: SocketAddr) -> Self {
        let mut raw = Self::room();
        match address {
            SocketAddr::V4(address) => {
                // SAFETY: zeros are valid for all fields, which are numbers.
                let mut place = unsafe { zeroed::<libc::sockaddr_in>() };
                place.sin_family = libc::AF_INET as libc::sa_family_t;
                place.sin_port = address.port().to_be();
                place.sin_addr.s_addr = u32::from(*address.ip()).to_be();
                // SAFETY: the place is larger than this, and as aligned.
                unsafe { (&raw mut raw.place).cast::<libc::sockaddr_in>().write(place) };
                raw.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            }
            SocketAddr::V6(address) => {
                raw.place.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                raw.place.sin6_port = address.port().to_be();
                raw.place.sin6_flowinfo = address.flowinfo();
                raw.place.sin6_addr.s6_addr = address.ip().octets();
                raw.place.sin6_scope_id = address.scope_id();
            }
        }
        raw
    }
}

/// An address of either family; `None` of another.
///
/// # Safety
/// It is as long as its family says, and readable.
pub(crate) unsafe fn read(address: *const libc::sockaddr) -> Option<SocketAddr> {
    // SAFETY: any address begins with its family.
    let family = unsafe { (&raw const (*address).sa_family).read_unaligned() };
    match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: one of this family is as long as this.
            let raw = unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(raw.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(raw.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let raw = unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() };
            let (ip, port) = (raw.sin6_addr.s6_addr.into(), u16::from_be(raw.sin6_port));
            Some(SocketAddrV6::new(ip, port, raw.sin6_flowinfo, raw.sin6_scope_id).into())
        }
        _ => None,
    }
}
