//! A descriptor that one thread makes ready for another's poll: an eventfd.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, write};

/// The descriptor. It is watched edge-triggered, so the reader need not read it.
pub(crate) struct WakeDescriptor(OwnedFd);

impl WakeDescriptor {
    pub(crate) fn new() -> Result<Self, Errno> {
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map(Self)
    }

    /// Lets the descriptor's number mean a new one, in this process alone.
    pub(crate) fn renew(&self) -> Result<(), Errno> {
        let Self(new) = Self::new()?;
        super::fork::replace(&self.0, &new)
    }

    /// Makes the descriptor ready. Safe in a signal handler.
    pub(crate) fn wake(&self) {
        // The write fails only where 2^64 - 2 wakes went unread: the counter is then emptied, so that the next write
        // is an edge again.
        while write(&self.0, &1u64.to_ne_bytes()) == Err(Errno::AGAIN) {
            let _ = read(&self.0, &mut [0u8; 8]);
        }
    }
}

impl AsFd for WakeDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
