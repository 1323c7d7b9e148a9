//! Memory for the process's telemetry segment: shared where the system allows it, else private with the reason why.
//!
//! Everything that measures works on either. The difference is only whether another process can read along.

use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::{env, fmt, io};

use model::segment::{Identity, WORDS_DEFAULT, WORDS_MIN, Writer};

use crate::sys::memfd;

/// By this name a reader finds the segment: `/proc/PID/maps` shows it as `/memfd:loopscope (deleted)`.
const NAME: &CStr = c"loopscope";

/// Set to `off`, the environment variable keeps the process's telemetry to itself.
const SWITCH: &str = "LOOPSCOPE_TELEMETRY";

/// Words of a segment that nobody else reads: room for a few hundred loops. It lies with the program's zeroed data,
/// so it cannot be refused and takes no memory until it is written to.
const WORDS_PRIVATE: usize = WORDS_MIN + 256 * 1024;

static PRIVATE: [AtomicU64; WORDS_PRIVATE] = [const { AtomicU64::new(0) }; WORDS_PRIVATE];

/// Whether the program keeps its telemetry to itself.
pub(crate) static KEEPS: AtomicBool = AtomicBool::new(false);

/// Whether other processes, above all the agent, can read what this one measures.
#[derive(Debug)]
pub enum Publication {
    /// They can, with permission to trace this process.
    Published {
        /// The length of the segment. Only what is written to takes memory.
        bytes: usize,
    },
    /// They cannot. This process can: see [`crate::publish::contents`].
    Unpublished(Unpublished),
}

/// Why telemetry is not published.
#[derive(Debug)]
pub enum Unpublished {
    /// The environment variable `LOOPSCOPE_TELEMETRY` is `off`.
    TurnedOff,
    /// The program keeps it to itself: see [`crate::publish::keep_private`].
    Kept,
    /// The process may not make a file that is long enough (`RLIMIT_FSIZE`, `ulimit -f`).
    FileSizeLimit {
        /// The limit, in bytes.
        limit: u64,
        /// The length of a segment, in bytes.
        needed: u64,
    },
    /// The process was forked from one that publishes. It counts on from its parent's values, for itself alone.
    Forked,
    /// The system refused.
    Refused {
        /// The system call that failed.
        call: &'static str,
        /// How it failed.
        error: io::Error,
    },
}

impl fmt::Display for Unpublished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TurnedOff => write!(f, "turned off by {SWITCH}=off"),
            Self::Kept => f.write_str("kept by the program, which tells it in another way"),
            Self::Forked => f.write_str("a process that was forked has to exec before it can publish"),
            Self::FileSizeLimit { limit, needed } => {
                write!(
                    f,
                    "a telemetry segment of {needed} bytes is over the limit for files, {limit} bytes: raise it (ulimit -f)"
                )
            }
            Self::Refused { call, error } => write!(f, "no memory to share: {call}: {error}"),
        }
    }
}

impl std::error::Error for Unpublished {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused { error, .. } => Some(error),
            Self::TurnedOff | Self::Kept | Self::Forked | Self::FileSizeLimit { .. } => None,
        }
    }
}

/// Makes the segment of this process. Call once.
pub(crate) fn make(identity: &Identity) -> (&'static [AtomicU64], Writer, Publication) {
    share(identity).unwrap_or_else(|reason| {
        (&PRIVATE, Writer::create(&PRIVATE, identity), Publication::Unpublished(reason))
    })
}

fn share(identity: &Identity) -> Result<(&'static [AtomicU64], Writer, Publication), Unpublished> {
    if env::var_os(SWITCH).is_some_and(|value| value == "off") {
        return Err(Unpublished::TurnedOff);
    }
    if KEEPS.load(Ordering::Relaxed) {
        return Err(Unpublished::Kept);
    }
    let bytes = WORDS_DEFAULT * size_of::<AtomicU64>();
    // Asked first, for the kernel answers a length beyond it with a signal that kills.
    if let Some(limit) = memfd::file_size_limit().filter(|&limit| limit < bytes as u64) {
        return Err(Unpublished::FileSizeLimit { limit, needed: bytes as u64 });
    }
    let file = memfd::create(NAME).map_err(refused("memfd_create"))?;
    memfd::set_length(&file, bytes as u64).map_err(refused("ftruncate"))?;
    memfd::seal(&file).map_err(refused("fcntl(F_ADD_SEALS)"))?;
    let words = memfd::map_shared(&file, WORDS_DEFAULT).map_err(refused("mmap"))?;
    let writer = Writer::create(words, identity);
    memfd::make_private_in_children(file, words, writer).map_err(refused("pthread_atfork"))?;
    Ok((words, writer, Publication::Published { bytes }))
}

fn refused<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Unpublished {
    move |error| Unpublished::Refused { call, error: error.into() }
}
