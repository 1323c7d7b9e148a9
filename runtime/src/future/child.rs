//! Processes whose end is awaited.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::oneshot::{self, Receiver};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::{Command, Exit, Process};

/// A process that was started with [`Command::start`]: a future that gives how it ended.
///
/// Dropping it leaves the process alone; the loop stays alive until that has ended.
pub struct Child {
    process: Process,
    exit: Receiver<Exit>,
}

impl Command {
    /// Starts it. What this gives is awaited for its end:
    ///
    /// ```
    /// use loopscope_runtime::{Command, EventLoop};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let child = Command::new("true").start(&event_loop)?;
    /// assert_eq!(event_loop.block_on(child)?.status, Some(0));
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn start(&self, event_loop: &EventLoop) -> Result<Child, Error> {
        let (sender, exit) = oneshot::channel();
        let process = self.spawn(event_loop, |_, _, exit| sender.send(exit))?;
        Ok(Child { process, exit })
    }
}

impl Child {
    /// The handle of the process: for its number, to send it a signal.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

impl Future for Child {
    /// [`Error::Closed`] if the process's handle was closed before its end.
    type Output = Result<Exit, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.exit).poll(context).map(|exit| exit.map_err(|_| Error::Closed))
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("pid", &self.process.pid()).finish_non_exhaustive()
    }
}
