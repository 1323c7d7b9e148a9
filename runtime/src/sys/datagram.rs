//! UDP sockets: sending and receiving one datagram or many, and what the error queue says.

use std::io::IoSlice;
use std::mem::{MaybeUninit, zeroed};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{self, MMsgHdr, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny};

use super::address::Raw;
use super::errno;

/// How many datagrams one system call sends or receives at most; libuv's number.
pub(crate) const BATCH_MAX: usize = 20;

/// Where a datagram came from, how long it is in the buffer, and whether it was longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) from: SocketAddr,
    pub(crate) length: usize,
    pub(crate) truncated: bool,
}

impl Header {
    const NONE: Self =
        Self { from: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), length: 0, truncated: false };
}

/// A datagram to send: its bytes, and where to unless the socket is connected.
pub(crate) type Outgoing<'a> = (Vec<IoSlice<'a>>, Option<SocketAddr>);

/// Sends one datagram whose bytes lie in one place: the call that asks the kernel for least.
pub(crate) fn send_one(socket: impl AsFd, data: &[u8], to: Option<SocketAddr>) -> Result<(), Errno> {
    match to {
        Some(to) => net::sendto(socket, data, SendFlags::NOSIGNAL, &to),
        None => net::send(socket, data, SendFlags::NOSIGNAL),
    }
    .map(drop)
}

/// Sends datagrams; gives how many were sent. An error is that of the first.
pub(crate) fn send(socket: impl AsFd, datagrams: &[Outgoing<'_>]) -> Result<usize, Errno> {
    if let [(slices, to)] = datagrams {
        let mut control = SendAncillaryBuffer::default();
        let sent = match to {
            Some(to) => net::sendmsg_addr(socket, to, slices, &mut control, SendFlags::NOSIGNAL),
            None => net::sendmsg(socket, slices, &mut control, SendFlags::NOSIGNAL),
        };
        return sent.map(|_| 1);
    }
    let addresses: Vec<Option<SocketAddrAny>> =
        datagrams.iter().map(|(_, to)| to.map(|to| to.as_any())).collect();
    let mut controls: [SendAncillaryBuffer<'_, '_, '_>; BATCH_MAX] =
        std::array::from_fn(|_| SendAncillaryBuffer::default());
    let parts = datagrams.iter().zip(&addresses).zip(&mut controls);
    let mut messages: Vec<MMsgHdr<'_>> = parts
        .map(|(((slices, _), address), control)| match address {
            Some(address) => MMsgHdr::new_with_addr(address, slices, control),
            None => MMsgHdr::new(slices, control),
        })
        .collect();
    net::sendmmsg(socket, &mut messages, SendFlags::NOSIGNAL)
}

/// Receives one datagram.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Header, Errno> {
    // With this flag the kernel tells how long the datagram was, and not how much of it there was room for.
    let (_, length, from) = net::recvfrom(socket, &mut *buffer, RecvFlags::TRUNC)?;
    Ok(Header {
        from: from.ok_or(Errno::AFNOSUPPORT)?.try_into()?,
        length: length.min(buffer.len()),
        truncated: length > buffer.len(),
    })
}

/// The datagrams that one call received.
pub(crate) struct Headers {
    headers: [Header; BATCH_MAX],
    count: usize,
}

impl Deref for Headers {
    type Target = [Header];

    fn deref(&self) -> &[Header] {
        &self.headers[..self.count]
    }
}

/// Receives as many datagrams as there are, one into each `bytes_max` bytes of the buffer.
pub(crate) fn receive_many(socket: &OwnedFd, buffer: &mut [u8], bytes_max: usize) -> Result<Headers, Errno> {
    let mut from = [Raw::room(); BATCH_MAX];
    // SAFETY: zeros are valid for all fields: numbers, and pointers that may be null.
    let mut slices: [libc::iovec; BATCH_MAX] = unsafe { zeroed() };
    // SAFETY: as above.
    let mut messages: [libc::mmsghdr; BATCH_MAX] = unsafe { zeroed() };
    let mut places = 0;
    for (index, place) in buffer.chunks_exact_mut(bytes_max).take(BATCH_MAX).enumerate() {
        slices[index] = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() };
        let header = &mut messages[index].msg_hdr;
        header.msg_iov = &raw mut slices[index];
        header.msg_iovlen = 1;
        header.msg_name = (&raw mut from[index].place).cast();
        header.msg_namelen = from[index].length;
        places += 1;
    }
    // SAFETY: the first messages, as many as there are places, point to places of this function, which are writable for
    // the lengths that they tell, and to disjoint parts of the buffer.
    let received =
        unsafe { libc::recvmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), places, 0, std::ptr::null_mut()) };
    let mut headers = Headers { headers: [Header::NONE; BATCH_MAX], count: errno::count(received)? };
    let count = headers.count;
    for ((header, message), from) in headers.headers.iter_mut().zip(&messages[..count]).zip(&from) {
        *header = Header {
            from: from.read().ok_or(Errno::AFNOSUPPORT)?,
            length: message.msg_len as usize,
            truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        };
    }
    Ok(headers)
}

/// An error that the network sent back: where the datagram should have gone, and what is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned {
    pub(crate) to: Option<SocketAddr>,
    pub(crate) errno: Errno,
}

/// Takes one entry of the socket's error queue.
pub(crate) fn take_returned(socket: BorrowedFd<'_>) -> Result<Returned, Errno> {
    let mut control = [MaybeUninit::<u64>::uninit(); 64];
    let mut to = Raw::room();
    // SAFETY: zeros are valid for all fields.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = (&raw mut to.place).cast();
    header.msg_namelen = to.length;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    // SAFETY: the header points to places of this function, writable for the lengths that it tells.
    if unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_ERRQUEUE) } < 0 {
        return Err(errno::last());
    }
    // SAFETY: the kernel filled in the control messages that the header describes.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&header) };
    while !next.is_null() {
        // SAFETY: the macros give control messages within the buffer, or null; the kernel aligns them.
        let message = unsafe { &*next };
        let is_error = matches!(
            (message.cmsg_level, message.cmsg_type),
            (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR)
        );
        if is_error {
            // SAFETY: a message of that type carries this structure.
            let error = unsafe { libc::CMSG_DATA(next).cast::<libc::sock_extended_err>().read_unaligned() };
            return Ok(Returned { to: to.read(), errno: Errno::from_raw_os_error(error.ee_errno as i32) });
        }
        // SAFETY: `next` is one of the header's control messages.
        next = unsafe { libc::CMSG_NXTHDR(&header, next) };
    }
    Ok(Returned { to: to.read(), errno: Errno::IO })
}

/// Has the kernel keep what the network says about datagrams that were sent.
pub(crate) fn keep_errors(socket: BorrowedFd<'_>, ipv6: bool, on: bool) -> Result<(), Errno> {
    let (level, option) =
        if ipv6 { (libc::SOL_IPV6, libc::IPV6_RECVERR) } else { (libc::SOL_IP, libc::IP_RECVERR) };
    set_option(socket, level, option, &libc::c_int::from(on))
}

/// Forgets the peer that the socket was connected to.
pub(crate) fn disconnect(socket: impl AsFd) -> Result<(), Errno> {
    net::connect_unspec(socket)
}

pub(crate) fn set_option<T>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    value: &T,
) -> Result<(), Errno> {
    // SAFETY: the value is readable for its length; what it means is the kernel's to check.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    errno::done(result)
}
