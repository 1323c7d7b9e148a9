//! The C library's resolver: `/etc/hosts`, DNS and whatever else the system's administrator set up.

use std::ffi::{CStr, CString, c_int};
use std::net::SocketAddr;
use std::{io, ptr};

use super::address::{self, Raw};

/// The longest names that the resolver tells, by `netdb.h`.
const HOST_BYTES: usize = 1025;
const SERVICE_BYTES: usize = 32;

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

/// How [`getnameinfo`] tells names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameFlags {
    pub(crate) numeric_host: bool,
    pub(crate) numeric_service: bool,
    pub(crate) name_required: bool,
    pub(crate) datagram: bool,
}

/// The names of an address's host and service. Blocks for as long as it takes.
pub(crate) fn getnameinfo(address: SocketAddr, wanted: NameFlags) -> Result<(String, String), Failure> {
    let flags = [
        (wanted.numeric_host, libc::NI_NUMERICHOST),
        (wanted.numeric_service, libc::NI_NUMERICSERV),
        (wanted.name_required, libc::NI_NAMEREQD),
        (wanted.datagram, libc::NI_DGRAM),
    ];
    let flags = flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
    let address = Raw::from(address);
    let (mut host, mut service) = ([0 as libc::c_char; HOST_BYTES], [0 as libc::c_char; SERVICE_BYTES]);
    // SAFETY: the address is as long as it tells, both places for answers as long as told; all outlive the call.
    let code = unsafe {
        libc::getnameinfo(
            (&raw const address.place).cast(),
            address.length,
            host.as_mut_ptr(),
            HOST_BYTES as libc::socklen_t,
            service.as_mut_ptr(),
            SERVICE_BYTES as libc::socklen_t,
            flags,
        )
    };
    if code != 0 {
        return Err(failure(code));
    }
    Ok((text(&host), text(&service)))
}

fn text(answer: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = answer.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
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
            // SAFETY: the resolver gives whole addresses.
            let address = unsafe { address::read(entry.ai_addr) };
            if let Some(address) = address.filter(|address| !addresses.contains(address)) {
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
