//! Terminals to be awaited.

use std::os::fd::AsFd;

use super::stream::{AsyncStream, async_stream};
use crate::error::Error;
use crate::event_loop::EventLoop;

/// A terminal whose keys, or lines, are awaited. Its mode is set through [`get_ref`](AsyncStream::get_ref).
pub type Tty = AsyncStream<crate::Tty>;

async_stream!(crate::Tty);

impl AsyncStream<crate::Tty> {
    /// The terminal behind a descriptor; see [`Tty::new`](crate::Tty::new).
    ///
    /// # Errors
    /// `ENOTTY` if it is no terminal, or what the system says.
    pub fn open(event_loop: &EventLoop, descriptor: impl AsFd) -> Result<Self, Error> {
        crate::Tty::new(event_loop, descriptor).map(Self::new)
    }
}
