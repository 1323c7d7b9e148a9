//! Forks of this process: how many lie between it and the first one, and what a child replaces.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::io::Errno;

use super::errno;

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
    let result = unsafe { libc::dup3(new.as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC) };
    errno::count(result).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crate::per_process::PerProcess;

    #[test]
    fn what_a_thread_of_the_parent_has_locked_is_free_in_a_forked_child() {
        static LATER: PerProcess<Mutex<u32>> = PerProcess::of_first(Mutex::new(0));
        let made = PerProcess::new(Mutex::new(7));
        let locked = (made.get(|_| Mutex::new(8)).0.lock(), LATER.get(|_| Mutex::new(8)).0.lock());
        // SAFETY: the child calls what needs no other thread, and ends without running anything of the parent's.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_free = |of: &PerProcess<Mutex<u32>>| {
                of.get_if_made().is_none()
                    && of.get(|_| Mutex::new(8)).0.try_lock().is_ok_and(|value| *value == 8)
                    && of.get_if_made().is_some()
            };
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(!(is_free(&made) && is_free(&LATER)))) }
        }
        let mut status = 0;
        // SAFETY: the status is writable, and the child this test's.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!((waited, status), (child, 0));
        assert_eq!(made.get(|_| Mutex::new(8)).0.try_lock().is_err(), locked.0.is_ok());
    }
}
