//! Random bytes from the system, on the thread pool: early after boot the system may wait until it has gathered enough.

use std::{error, fmt, io};

use model::label::{RequestType, TaskKind};

use super::future::{PoolFuture, future as as_future};
use super::work::{Closure, Job, PoolRequest, queue};
use crate::event_loop::EventLoop;
use crate::pool::TaskError;
use crate::sys;

/// There are no random bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RandomError {
    /// The system refused.
    System {
        /// The error number (`errno`).
        code: i32,
    },
    /// The request was cancelled, or the thread pool could not run it.
    Task(TaskError),
}

/// Fills `buffer` with bytes that nobody can foretell, fit for keys.
///
/// ```
/// use loopscope_runtime::{EventLoop, RunMode, random};
///
/// let event_loop = EventLoop::new()?;
/// random::fill(&event_loop, vec![0; 32], |_, key| assert_ne!(key.unwrap(), [0; 32]));
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub fn fill(
    event_loop: &EventLoop,
    buffer: Vec<u8>,
    callback: impl FnOnce(&EventLoop, Result<Vec<u8>, RandomError>) + 'static,
) -> PoolRequest {
    queue(event_loop, RequestType::Random, TaskKind::Random, job(buffer), callback)
}

/// As [`fill`], to be awaited.
pub fn filled(event_loop: &EventLoop, buffer: Vec<u8>) -> PoolFuture<Vec<u8>, RandomError> {
    as_future(event_loop, RequestType::Random, TaskKind::Random, job(buffer))
}

fn job(mut buffer: Vec<u8>) -> impl Job<Output = Vec<u8>, Error = RandomError> {
    let fill = move || match sys::random::fill(&mut buffer) {
        Ok(()) => Ok(buffer),
        Err(errno) => Err(RandomError::System { code: errno.raw_os_error() }),
    };
    Closure::new(fill, RandomError::Task)
}

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { code } => write!(f, "random bytes: {}", io::Error::from_raw_os_error(*code)),
            Self::Task(reason) => write!(f, "random bytes: {reason}"),
        }
    }
}

impl error::Error for RandomError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Task(reason) => Some(reason),
            Self::System { .. } => None,
        }
    }
}
