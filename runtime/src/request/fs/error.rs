//! Why a file-system operation failed: which one, on what, and the system's reason.

use std::path::Path;
use std::sync::Arc;
use std::{error, fmt, io};

use crate::pool::TaskError;

/// A file-system operation, by libuv's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Opening a file.
    Open,
    /// Closing a file.
    Close,
    /// Reading from a file.
    Read,
    /// Reading a whole file.
    ReadFile,
    /// Writing to a file.
    Write,
    /// Bringing a file to the disk.
    Fsync,
    /// Asking about an open file.
    Fstat,
    /// Asking about a path.
    Stat,
    /// Asking about a path, or the symbolic link that it is.
    Lstat,
    /// Listing a directory.
    Scandir,
    /// Making a directory.
    Mkdir,
    /// Removing a directory.
    Rmdir,
    /// Removing a name.
    Unlink,
    /// Renaming.
    Rename,
}

/// A file-system operation failed, or did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsError {
    subject: Subject,
    cause: FsErrorCause,
}

/// Why a file-system operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FsErrorCause {
    /// The system refused.
    System {
        /// The error number (`errno`).
        code: i32,
    },
    /// What was given to the operation was not valid, so that the system was not even asked: a path with a zero in it.
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The operation was cancelled, or the thread pool could not run it.
    Task(TaskError),
}

/// What an operation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    operation: Operation,
    path: Arc<Path>,
    destination: Option<Arc<Path>>,
}

impl Operation {
    /// The name, as in libuv and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Read => "read",
            Self::ReadFile => "read file",
            Self::Write => "write",
            Self::Fsync => "fsync",
            Self::Fstat => "fstat",
            Self::Stat => "stat",
            Self::Lstat => "lstat",
            Self::Scandir => "scandir",
            Self::Mkdir => "mkdir",
            Self::Rmdir => "rmdir",
            Self::Unlink => "unlink",
            Self::Rename => "rename",
        }
    }
}

impl FsError {
    /// The operation that failed.
    pub fn operation(&self) -> Operation {
        self.subject.operation
    }

    /// The path that it was about; of an open file the one by which it was opened.
    pub fn path(&self) -> &Path {
        &self.subject.path
    }

    /// Where a renaming should have led.
    pub fn destination(&self) -> Option<&Path> {
        self.subject.destination.as_deref()
    }

    /// Why it failed.
    pub fn cause(&self) -> &FsErrorCause {
        &self.cause
    }

    /// The system's error number, where it was the system that refused.
    pub fn code(&self) -> Option<i32> {
        match self.cause {
            FsErrorCause::System { code } => Some(code),
            FsErrorCause::Invalid { .. } | FsErrorCause::Task(_) => None,
        }
    }

    /// The error's kind, as the standard library sorts them.
    pub fn kind(&self) -> io::ErrorKind {
        match &self.cause {
            FsErrorCause::System { code } => io::Error::from_raw_os_error(*code).kind(),
            FsErrorCause::Invalid { .. } => io::ErrorKind::InvalidInput,
            FsErrorCause::Task(_) => io::ErrorKind::Other,
        }
    }
}

impl Subject {
    pub(super) fn path(operation: Operation, path: Arc<Path>) -> Self {
        Self { operation, path, destination: None }
    }

    pub(super) fn two_paths(operation: Operation, path: Arc<Path>, destination: Arc<Path>) -> Self {
        Self { operation, path, destination: Some(destination) }
    }

    pub(super) fn failed(self, cause: FsErrorCause) -> FsError {
        FsError { subject: self, cause }
    }
}

impl From<io::Error> for FsErrorCause {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) => Self::System { code },
            None => Self::Invalid { reason: error.to_string() },
        }
    }
}

impl fmt::Display for FsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subject { operation, path, destination } = &self.subject;
        write!(f, "{} {}", operation.as_str(), path.display())?;
        if let Some(destination) = destination {
            write!(f, " to {}", destination.display())?;
        }
        match &self.cause {
            FsErrorCause::System { code } => write!(f, ": {}", io::Error::from_raw_os_error(*code)),
            FsErrorCause::Invalid { reason } => write!(f, ": {reason}"),
            FsErrorCause::Task(reason) => write!(f, ": {reason}"),
        }
    }
}

impl error::Error for FsError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.cause {
            FsErrorCause::Task(reason) => Some(reason),
            FsErrorCause::System { .. } | FsErrorCause::Invalid { .. } => None,
        }
    }
}
