//! Forks of this process: how many lie between it and the first one, and what a child replaces.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::io::Errno;

static FORKS: AtomicUsize = AtomicUsize::new(0);

/// How many times a fork led to this process since [`count_forks`] was called first.
#[inline]
pub(crate) fn forks() -> usize {
    FORKS.load(Relaxed)
}

/// Counts forks from now on.
pub(crate) fn count_forks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        extern "C" fn in_child() {
            FORKS.fetch_add(1, Relaxed);
        }
        // SAFETY: the handler adds to a number, which is allowed in a child that has just been forked. If the C library has
        // no memory for it, children are as they were without it: their pools do not begin anew.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Lets the number of `old` mean what `new` is, in this process alone.
pub(crate) fn replace(old: &OwnedFd, new: &OwnedFd) -> Result<(), Errno> {
    // SAFETY: both are open; the number stays owned by `old`.
    match unsafe { libc::dup3(new.as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(()),
    }
}
