//! Pipes to be awaited.

use super::listener::{AsyncListener, async_listener};
use super::stream::{AsyncStream, async_stream};
use crate::PipeName;
use crate::error::Error;
use crate::event_loop::EventLoop;

/// A pipe to be awaited.
///
/// ```
/// use loopscope_runtime::future::Pipe;
/// use loopscope_runtime::{Command, EventLoop, Stdio};
///
/// let event_loop = EventLoop::new()?;
/// let output = loopscope_runtime::Pipe::new(&event_loop);
/// let child = Command::new("echo").arg("hello").stdout(Stdio::Pipe(output.clone())).start(&event_loop)?;
/// let (output, exit) = event_loop.block_on(async move {
///     let output = Pipe::new(output).read_chunk().await;
///     (output, child.await)
/// });
/// assert_eq!(output?.as_deref(), Some(&b"hello\n"[..]));
/// assert_eq!(exit?.status, Some(0));
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
pub type Pipe = AsyncStream<crate::Pipe>;

/// A listener on a UNIX socket to be awaited.
pub type PipeListener = AsyncListener<crate::PipeListener>;

async_stream!(crate::Pipe);
async_listener!(crate::PipeListener => crate::Pipe);

impl AsyncStream<crate::Pipe> {
    /// Connects to whoever listens by that name.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(event_loop: &EventLoop, name: impl Into<PipeName>) -> Result<Self, Error> {
        Self::connect_with(|callback| Ok(crate::Pipe::connect(event_loop, name, callback))).await
    }

    /// Two pipes that are connected with each other.
    ///
    /// # Errors
    /// Where the system gives no descriptors.
    pub fn pair(event_loop: &EventLoop) -> Result<(Self, Self), Error> {
        let (one, other) = crate::Pipe::pair(event_loop)?;
        Ok((Self::new(one), Self::new(other)))
    }
}

impl AsyncListener<crate::PipeListener> {
    /// Takes a name, and listens there.
    ///
    /// # Errors
    /// Where the name is taken or not allowed.
    pub fn bind(event_loop: &EventLoop, name: impl Into<PipeName>, backlog: u32) -> Result<Self, Error> {
        Self::new(crate::PipeListener::bind(event_loop, name)?, backlog)
    }

    /// The name that was taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_name(&self) -> Result<Option<PipeName>, Error> {
        self.get_ref().local_name()
    }
}
