//! Looking up names, by the system's resolver, on the thread pool.
//!
//! The resolver blocks, for seconds where a server does not answer. So look-ups may hold at most half of the pool's
//! threads: the others stay free for what is fast.

use std::ffi::CString;
use std::net::SocketAddr;
use std::{error, fmt, io};

use model::label::{RequestType, TaskKind};

use super::future::{PoolFuture, future as as_future};
use super::work::{Closure, Job, PoolRequest, queue};
use crate::event_loop::EventLoop;
use crate::pool::TaskError;
use crate::sys::dns::{self, Failure, Wanted};

/// Which addresses to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// All that there are.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// How [`getnameinfo`] tells names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameOptions {
    /// The host in digits, without asking anybody.
    pub numeric_host: bool,
    /// The service in digits.
    pub numeric_service: bool,
    /// A host without a name is an error.
    pub name_required: bool,
    /// The service of datagrams, where it has another name than that of streams.
    pub datagram: bool,
}

/// The names of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The host's, or its address.
    pub host: String,
    /// The service's that the port is known for, or the port.
    pub service: String,
}

/// A name was not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsError {
    host: String,
    cause: DnsErrorCause,
}

/// Why a name was not resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsErrorCause {
    /// The resolver's answer.
    Resolver {
        /// The resolver's number (`EAI_…`, of `netdb.h`).
        code: i32,
        /// What it says.
        message: String,
    },
    /// The system refused something that the resolver needs.
    System {
        /// The error number (`errno`).
        code: i32,
    },
    /// No name can contain a zero byte.
    ZeroInName,
    /// The look-up was cancelled, or the thread pool could not run it.
    Task(TaskError),
}

/// Looks up the addresses of a host, which may itself be an address; they carry `port`.
///
/// The callback gets each address once, in the order in which they should be tried (RFC 6724).
///
/// ```
/// use loopscope_runtime::dns::{self, Family};
/// use loopscope_runtime::{EventLoop, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// dns::getaddrinfo(&event_loop, "127.0.0.1", 80, Family::Any, |_, addresses| {
///     assert_eq!(addresses.unwrap(), ["127.0.0.1:80".parse().unwrap()]);
/// });
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub fn getaddrinfo(
    event_loop: &EventLoop,
    host: impl Into<String>,
    port: u16,
    family: Family,
    callback: impl FnOnce(&EventLoop, Result<Vec<SocketAddr>, DnsError>) + 'static,
) -> PoolRequest {
    let job = addresses_of(host.into(), port, family);
    queue(event_loop, RequestType::Getaddrinfo, TaskKind::Dns, job, callback)
}

/// Looks up the names of an address: of its host, and of its port's service. What has no name is told in digits, unless
/// `options` ask otherwise.
///
/// ```
/// use loopscope_runtime::dns::{self, NameOptions};
/// use loopscope_runtime::{EventLoop, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// let options = NameOptions { numeric_host: true, ..NameOptions::default() };
/// dns::getnameinfo(&event_loop, "127.0.0.1:80".parse().unwrap(), options, |_, names| {
///     assert_eq!(names.unwrap().host, "127.0.0.1");
/// });
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub fn getnameinfo(
    event_loop: &EventLoop,
    address: SocketAddr,
    options: NameOptions,
    callback: impl FnOnce(&EventLoop, Result<Names, DnsError>) + 'static,
) -> PoolRequest {
    queue(event_loop, RequestType::Getnameinfo, TaskKind::Dns, names_of(address, options), callback)
}

/// The look-ups as futures.
pub mod future {
    use super::*;

    /// As [`getaddrinfo`](super::getaddrinfo), to be awaited.
    pub fn getaddrinfo(
        event_loop: &EventLoop,
        host: impl Into<String>,
        port: u16,
        family: Family,
    ) -> PoolFuture<Vec<SocketAddr>, DnsError> {
        let job = addresses_of(host.into(), port, family);
        as_future(event_loop, RequestType::Getaddrinfo, TaskKind::Dns, job)
    }

    /// As [`getnameinfo`](super::getnameinfo), to be awaited.
    pub fn getnameinfo(
        event_loop: &EventLoop,
        address: SocketAddr,
        options: NameOptions,
    ) -> PoolFuture<Names, DnsError> {
        as_future(event_loop, RequestType::Getnameinfo, TaskKind::Dns, names_of(address, options))
    }
}

fn addresses_of(
    host: String,
    port: u16,
    family: Family,
) -> impl Job<Output = Vec<SocketAddr>, Error = DnsError> {
    let unrun = host.clone();
    let look_up = move || match CString::new(host.as_str()) {
        Ok(name) => {
            dns::getaddrinfo(&name, port, family.into()).map_err(|why| DnsError { host, cause: why.into() })
        }
        Err(_) => Err(DnsError { host, cause: DnsErrorCause::ZeroInName }),
    };
    Closure::new(look_up, |reason| DnsError { host: unrun, cause: DnsErrorCause::Task(reason) })
}

fn names_of(address: SocketAddr, options: NameOptions) -> impl Job<Output = Names, Error = DnsError> {
    let failed = move |cause| DnsError { host: address.to_string(), cause };
    let wanted = dns::NameFlags {
        numeric_host: options.numeric_host,
        numeric_service: options.numeric_service,
        name_required: options.name_required,
        datagram: options.datagram,
    };
    let look_up = move || match dns::getnameinfo(address, wanted) {
        Ok((host, service)) => Ok(Names { host, service }),
        Err(why) => Err(failed(why.into())),
    };
    Closure::new(look_up, move |reason| failed(DnsErrorCause::Task(reason)))
}

impl DnsError {
    /// The name, or the address, that was looked up.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Why it was not resolved.
    pub fn cause(&self) -> &DnsErrorCause {
        &self.cause
    }
}

impl From<Family> for Wanted {
    fn from(family: Family) -> Self {
        match family {
            Family::Any => Self::Any,
            Family::V4 => Self::V4,
            Family::V6 => Self::V6,
        }
    }
}

impl From<Failure> for DnsErrorCause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Resolver { code, message } => Self::Resolver { code, message },
            Failure::System { code } => Self::System { code },
        }
    }
}

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "look-up of {:?}: ", self.host)?;
        match &self.cause {
            DnsErrorCause::Resolver { message, .. } => f.write_str(message),
            DnsErrorCause::System { code } => write!(f, "{}", io::Error::from_raw_os_error(*code)),
            DnsErrorCause::ZeroInName => f.write_str("a name cannot contain a zero byte"),
            DnsErrorCause::Task(reason) => write!(f, "{reason}"),
        }
    }
}

impl error::Error for DnsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.cause {
            DnsErrorCause::Task(reason) => Some(reason),
            DnsErrorCause::Resolver { .. } | DnsErrorCause::System { .. } | DnsErrorCause::ZeroInName => None,
        }
    }
}
