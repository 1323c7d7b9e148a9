//! The C library's resolver: `/etc/hosts`, DNS and whatever else the system's administrator set up.

use std::ffi::{CStr, CString, c_int};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::{io, ptr};

/// Which addresses to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Any,
    V4,
    V6,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The resolver's reason (`EAI_…`) and what it says about it.
    Resolver { code: i32, message: String },
    /// The system's, an `errno`.
    System { code: i32 },
}

/// The addresses of a host, in the order in which they should be tried, each once. Blocks for as long as it takes.
pub(crate) fn getaddrinfo(host: &CStr, port: u16, wanted: Wanted) -> Result<Vec<SocketAddr>, Failure> {
    let service = CString::new(port.to_string()).expect("digits have no zero byte");
    // SAFETY: zeros are valid for all fields: numbers, and pointers that may be null.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_family = match wanted {
        Wanted::Any => libc::AF_UNSPEC,
        Wanted::V4 => libc::AF_INET,
        Wanted::V6 => libc::AF_INET6,
    };
    // One socket type, or each address would come once for each.
    hints.ai_socktype = libc::SOCK_STREAM;
    hints.ai_flags = libc::AI_NUMERICSERV;
    let mut list = ptr::null_mut();
    // SAFETY: the strings end in zeros, the hints are filled in, `list` is a valid place for the answer; all outlive the
    // call.
    let code = unsafe { libc::getaddrinfo(host.as_ptr(), service.as_ptr(), &hints, &mut list) };
    if code != 0 {
        return Err(failure(code));
    }
    let list = List(list);
    Ok(list.addresses())
}

fn failure(code: c_int) -> Failure {
    if code == libc::EAI_SYSTEM {
        return Failure::System { code: io::Error::last_os_error().raw_os_error().unwrap_or(0) };
    }
    // SAFETY: for any number the answer is a string that ends in a zero and lives for ever.
    let message = unsafe { CStr::from_ptr(libc::gai_strerror(code)) };
    Failure::Resolver { code, message: message.to_string_lossy().into_owned() }
}

/// The resolver's answer, given back when dropped.
struct List(*mut libc::addrinfo);

impl List {
    fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = Vec::new();
        let mut next = self.0;
        while !next.is_null() {
            // SAFETY: the entries of the list are valid until it is given back, and its last one's `ai_next` is null.
            let entry = unsafe { &*next };
            if let Some(address) = address_of(entry).filter(|address| !addresses.contains(address)) {
                addresses.push(address);
            }
            next = entry.ai_next;
        }
        addresses
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list is the resolver's own, and is given back once.
        unsafe { libc::freeaddrinfo(self.0) };
    }
}

/// `None` of a family that is neither.
fn address_of(entry: &libc::addrinfo) -> Option<SocketAddr> {
    match entry.ai_family {
        libc::AF_INET => {
            // SAFETY: the resolver gives an address of that family, which has that shape.
            let address = unsafe { entry.ai_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let address = unsafe { entry.ai_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            let port = u16::from_be(address.sin6_port);
            Some(SocketAddrV6::new(ip, port, address.sin6_flowinfo, address.sin6_scope_id).into())
        }
        _ => None,
    }
}
