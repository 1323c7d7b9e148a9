//! What glibc's allocator is asked for. Others have no such calls, and there these do nothing.

/// Keeps one heap for all threads from now on. To be asked for before there is a second thread.
pub(crate) fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes two numbers, and changes what the allocator does later.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Gives pages that are free back to the system.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call takes a number, and touches only memory that nobody has allocated.
    let _ = unsafe { libc::malloc_trim(0) };
}
