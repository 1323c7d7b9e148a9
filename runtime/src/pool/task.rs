//! What a pool runs, and why it may not.

use std::{error, fmt, io};

use model::label::Outcome;
use model::time::Monotonic;

/// One piece of work and what comes after it.
pub(crate) trait Task: Send {
    /// Does the work, on a thread of the pool, once at most. A panic is caught. Tells whether it was done or failed.
    fn run(&mut self) -> Outcome;

    /// Called once, on any thread: the work ran to its end at that time, or it gave no result.
    fn end(self: Box<Self>, how: Result<(), TaskError>, at: Monotonic);
}

/// Why a task gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskError {
    /// It was cancelled before it started.
    Cancelled,
    /// It panicked.
    Panicked {
        /// What the panic said; empty where it said nothing readable.
        message: String,
    },
    /// The pool was shut down before the task was submitted.
    ShutDown,
    /// The system gave the pool not a single thread.
    NoThread {
        /// The error number (`errno`).
        code: i32,
    },
}

impl TaskError {
    /// The error number that stands for this, as libuv reports it: `ECANCELED` of a task that was cancelled, the system's
    /// where it gave no thread. `None` of what libuv does not know.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Cancelled => Some(libc::ECANCELED),
            Self::NoThread { code } => Some(*code),
            Self::Panicked { .. } | Self::ShutDown => None,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the task was cancelled before it started"),
            Self::Panicked { message } => write!(f, "the task panicked: {message}"),
            Self::ShutDown => f.write_str("the thread pool was shut down"),
            Self::NoThread { code } => {
                let reason = io::Error::from_raw_os_error(*code);
                write!(f, "no thread could be started: {reason}; raise the limit of processes (ulimit -u)")
            }
        }
    }
}

impl error::Error for TaskError {}
