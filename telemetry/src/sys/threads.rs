//! What the threads library tells, and what it does when a thread ends.

use std::ffi::c_void;
use std::io;

/// The calling thread's id, in its own pid namespace.
pub(crate) fn current_id() -> u64 {
    u64::from(rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned())
}

/// Calls a function when a thread ends that left a number, after the destructors of Rust's thread-locals. Nothing here
/// uses Rust's global allocator, so that an allocator can use it.
#[derive(Clone, Copy)]
pub(crate) struct AtThreadExit {
    key: libc::pthread_key_t,
}

impl AtThreadExit {
    /// A new hook. `call` gets the number, as the address of a pointer that is none, and must not panic.
    ///
    /// # Errors
    /// `EAGAIN` when the process has used up its keys: there are 1024 of them, and this one is never given back.
    pub(crate) fn new(call: extern "C" fn(*mut c_void)) -> io::Result<Self> {
        let mut key = 0;
        // SAFETY: `key` is a valid place for the answer, and `call` may be called with anything.
        match unsafe { libc::pthread_key_create(&mut key, Some(call)) } {
            0 => Ok(Self { key }),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Leaves a number for the end of the calling thread, in place of one left before. Zero leaves none.
    pub(crate) fn leave(self, number: usize) -> io::Result<()> {
        // SAFETY: the key is one that `new` made, and is never deleted; nobody follows the pointer.
        match unsafe { libc::pthread_setspecific(self.key, std::ptr::without_provenance(number)) } {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(errno)),
        }
    }
}
