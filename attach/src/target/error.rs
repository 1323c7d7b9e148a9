//! Why a process could not be read.

use std::{fmt, io};

use model::label::TargetError;

use super::Pid;

/// Why something about a process could not be read from `/proc`.
#[derive(Debug)]
pub enum ProcessError {
    /// The kernel does not let this program read it.
    Permission {
        /// The process.
        pid: Pid,
        /// What was read.
        path: String,
    },
    /// There is no such process, or it has ended.
    Vanished {
        /// The process.
        pid: Pid,
    },
    /// What was read is not what the kernel documents.
    Malformed {
        /// The process.
        pid: Pid,
        /// What was read.
        path: String,
    },
    /// Reading failed for another reason.
    System {
        /// The process.
        pid: Pid,
        /// What was read.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl ProcessError {
    /// The cause, as `loopscope_target_errors_total` counts it.
    pub fn cause(&self) -> TargetError {
        match self {
            Self::Permission { .. } => TargetError::Permission,
            Self::Vanished { .. } => TargetError::Vanished,
            Self::Malformed { .. } | Self::System { .. } => TargetError::Invalid,
        }
    }

    pub(crate) fn new(pid: Pid, path: &str, source: io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(&source) {
            // A file of a process that ended while it was open gives ESRCH.
            Some(Errno::NOENT | Errno::SRCH) => Self::Vanished { pid },
            Some(Errno::ACCESS | Errno::PERM) => Self::Permission { pid, path: path.to_owned() },
            _ => Self::System { pid, path: path.to_owned(), source },
        }
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission { pid, path } => {
                write!(f, "process {pid}: no permission to read {path}; {}", super::remedy())
            }
            Self::Vanished { pid } => write!(f, "process {pid}: does not exist, or has ended"),
            Self::Malformed { pid, path } => write!(f, "process {pid}: cannot make sense of {path}"),
            Self::System { pid, path, source } => write!(f, "process {pid}: cannot read {path}: {source}"),
        }
    }
}

impl std::error::Error for ProcessError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}
