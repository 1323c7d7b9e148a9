//! Why a file-system operation failed: which one, on what, and the system's reason.

use std::path::Path;
use std::sync::Arc;
use std::{error, fmt, io};

pub(super) use super::operations::Operation;
use crate::pool::TaskError;

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

impl FsError {
    /// The operation that failed.
    pub fn operation(&self) -> Operation {
        self.subject.operation
    }

    /// The path that it was about; of an open file the one by which it was opened.
    pub fn path(&self) -> &Path {
        &self.subject.path
    }

    /// The second path of an operation on two: where a renaming, a link or a copy should have led.
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

    pub(super) fn path_of(&self) -> &Path {
        &self.path
    }

    pub(super) fn shared_path(&self) -> Arc<Path> {
        Arc::clone(&self.path)
    }

    /// Of a subject of two paths.
    pub(super) fn destination_of(&self) -> &Path {
        self.destination.as_deref().expect("an operation on two paths was given two")
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
            FsErrorCause::System { code } => {
                write!(f, ": {}", io::Error::from_raw_os_error(*code))?;
                match *code {
                    libc::EMFILE => f.write_str("; raise the process's limit of open files (ulimit -n)"),
                    libc::ENFILE => {
                        f.write_str("; raise the system's limit of open files (sysctl fs.file-max)")
                    }
                    libc::EDQUOT => f.write_str("; the user's quota is used up"),
                    _ => Ok(()),
                }
            }
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
