//! What the C library's calls leave behind when they fail.

use libc::c_int;
use rustix::io::Errno;

/// Its number; allocates nothing.
pub(crate) fn number() -> c_int {
    // SAFETY: the place of a thread's `errno` is always valid.
    unsafe { *libc::__errno_location() }
}

/// The error of the call before.
#[cold]
pub(crate) fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// What a call gave that gives a negative number where it fails.
#[inline]
pub(crate) fn count(result: c_int) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| last())
}

/// What a call gave that gives zero where it does not fail.
pub(crate) fn done(result: c_int) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(last()) }
}
