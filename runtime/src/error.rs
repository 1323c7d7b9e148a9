//! The one error of this crate.

use std::{fmt, io};

use rustix::io::Errno;

/// Why an operation on a loop, a handle or a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    System {
        /// The system call, or the step of the operation, that failed.
        operation: &'static str,
        /// The error number (`errno`).
        code: i32,
    },
    /// The handle is closing or closed; open a new one.
    Closed,
    /// The request was given up before it was done: it was cancelled, or its handle closed.
    Cancelled,
    /// The stream's writing side was shut down, or is about to be; nothing can follow.
    ShutDown,
    /// The handle is in use already: a listener listens, a stream is open.
    Busy,
    /// The handle has no descriptor yet: it was neither opened, bound nor connected.
    NotOpen,
    /// What was asked for makes no sense.
    Invalid {
        /// What is wrong.
        reason: &'static str,
    },
    /// The timer was never started, so there is nothing to do again.
    NotStarted,
}

impl Error {
    pub(crate) fn system(operation: &'static str, errno: Errno) -> Self {
        Self::System { operation, code: errno.raw_os_error() }
    }

    /// The error number of the operating system that stands for this error, as libuv reports it: positive, `EPIPE` for
    /// [`Error::ShutDown`], `ECANCELED` for [`Error::Cancelled`].
    pub fn code(&self) -> i32 {
        match self {
            Self::System { code, .. } => *code,
            Self::Closed => Errno::BADF.raw_os_error(),
            Self::Cancelled => Errno::CANCELED.raw_os_error(),
            Self::ShutDown => Errno::PIPE.raw_os_error(),
            Self::Busy => Errno::BUSY.raw_os_error(),
            Self::NotOpen => Errno::BADF.raw_os_error(),
            Self::Invalid { .. } => Errno::INVAL.raw_os_error(),
            Self::NotStarted => Errno::INVAL.raw_os_error(),
        }
    }

    /// The error's kind, as the standard library sorts them.
    pub fn kind(&self) -> io::ErrorKind {
        io::Error::from_raw_os_error(self.code()).kind()
    }

    /// What the operator can do about it, where that is known.
    fn advice(&self) -> Option<&'static str> {
        let Self::System { code, .. } = self else { return None };
        match Errno::from_raw_os_error(*code) {
            Errno::MFILE => Some("raise the process's limit of open files (ulimit -n)"),
            Errno::NFILE => Some("raise the system's limit of open files (sysctl fs.file-max)"),
            Errno::ADDRINUSE => Some("another program listens there; stop it or take another port"),
            Errno::ADDRNOTAVAIL => Some("no interface of this host has that address"),
            Errno::ACCESS => Some("ports below 1024 need CAP_NET_BIND_SERVICE"),
            Errno::NOSPC => Some("raise the limit of watched descriptors (sysctl fs.epoll.max_user_watches)"),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { operation, code } => {
                write!(f, "{operation}: {}", io::Error::from_raw_os_error(*code))?;
            }
            Self::Closed => f.write_str("the handle is closed")?,
            Self::Cancelled => f.write_str("the request was cancelled before it was done")?,
            Self::ShutDown => f.write_str("the stream's writing side is shut down")?,
            Self::Busy => f.write_str("the handle is in use already")?,
            Self::NotOpen => f.write_str("the handle is not open: open, bind or connect it first")?,
            Self::Invalid { reason } => f.write_str(reason)?,
            Self::NotStarted => f.write_str("the timer was never started")?,
        }
        match self.advice() {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.kind(), error)
    }
}
