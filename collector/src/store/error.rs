//! Why something cannot be kept, or told.

use std::fmt;
use std::io;

/// Why a batch was not kept.
#[derive(Debug)]
pub enum AppendError {
    /// It began too long ago, or in the future.
    Time {
        /// When it began, in milliseconds since the UNIX epoch.
        time_ms: i64,
        /// What is accepted.
        accepted: String,
    },
    /// There are as many series as are accepted.
    TooManySeries {
        /// How many.
        limit: usize,
    },
    /// It alone exceeds what is held in memory.
    TooLarge {
        /// How much of it is accepted.
        limit_bytes: usize,
    },
    /// As much is held in memory as may be; the disk does not keep up.
    Busy,
    /// The disk has no room.
    Full(io::Error),
    /// The disk failed.
    Io(io::Error),
}

impl AppendError {
    /// The failure of a write.
    pub fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full(error)
            }
            _ => Self::Io(error),
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { time_ms, accepted } => {
                write!(f, "a profile that began at {} s since 1970 is not kept: {accepted}", time_ms / 1000)
            }
            Self::TooManySeries { limit } => write!(
                f,
                "there are {limit} series already: send fewer different labels, or raise the limit series"
            ),
            Self::TooLarge { limit_bytes } => {
                write!(f, "the profile takes more than {limit_bytes} bytes of memory")
            }
            Self::Busy => f.write_str("the disk does not keep up with what is sent: try again later"),
            Self::Full(error) => write!(f, "the disk is full: {error}; free some space, or lower max_disk"),
            Self::Io(error) => write!(f, "the disk failed: {error}"),
        }
    }
}

impl std::error::Error for AppendError {}

/// Why nothing can be told.
#[derive(Debug)]
pub enum StoreError {
    /// The answer would be too large.
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is possible.
        limit: usize,
    },
    /// The store failed.
    Io(io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMuch { what, limit } => {
                write!(f, "the answer would have more than {limit} {what}: ask for less")
            }
            Self::Io(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}
