//! The memory of a telemetry segment: a sealed memfd, mapped shared, and its replacement in a forked child.
//!
//! **Threads.** Shared memory is only ever handed out as atomic words that live for ever: nothing here unmaps them. The
//! one place where the mapping changes under its users is a forked child, before its only thread leaves `fork`.

use std::ffi::{CStr, c_void};
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::segment::Writer;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MremapFlags, ProtFlags};
use rustix::process::Resource;

/// Makes an empty memory file of that name, closed on exec, that may be sealed and never be executed.
pub(crate) fn create(name: &CStr) -> Result<OwnedFd, Errno> {
    // Linux before 6.3 does not know the last flag and refuses it; later ones may be set up to insist on it.
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        result => result,
    }
}

/// Sets the length of a file. The process must be allowed files of that length: see [`file_size_limit`].
pub(crate) fn set_length(file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
    rustix::fs::ftruncate(file, bytes)
}

/// Fixes the length of a memory file for good: neither it nor these seals can be changed any more.
pub(crate) fn seal(file: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
}

/// The longest file that this process may make, in bytes: beyond it the kernel kills with `SIGXFSZ`. `None`: no limit.
pub(crate) fn file_size_limit() -> Option<u64> {
    rustix::process::getrlimit(Resource::Fsize).current
}

/// Maps the first `words` words of a file that is sealed against shrinking, for good.
pub(crate) fn map_shared(file: &OwnedFd, words: usize) -> Result<&'static [AtomicU64], Errno> {
    let access = ProtFlags::READ | ProtFlags::WRITE;
    let bytes = words * size_of::<AtomicU64>();
    // SAFETY: at an address that the kernel chooses, a new mapping touches no other.
    let start = unsafe { rustix::mm::mmap(ptr::null_mut(), bytes, access, MapFlags::SHARED, file, 0) }?;
    // SAFETY: the mapping is page-aligned, `words` long, readable and writable; it is never unmapped, and no page of it
    // can lie beyond the file's end, since the file cannot shrink. Any bits make an `AtomicU64`.
    Ok(unsafe { std::slice::from_raw_parts(start.cast(), words) })
}

/// What a forked child replaces.
struct Published {
    words: &'static [AtomicU64],
    writer: Writer,
    file: RawFd,
}

static PUBLISHED: OnceLock<Published> = OnceLock::new();
static IN_FORKED_CHILD: AtomicBool = AtomicBool::new(false);

/// Whether this process was forked from one that shared its memory, and now has a copy of its own.
pub(crate) fn is_in_forked_child() -> bool {
    IN_FORKED_CHILD.load(Ordering::Relaxed)
}

/// Sees to it that a forked child counts into memory of its own, and takes the descriptor, which stays open.
///
/// `words` must come from [`map_shared`] of `file`. A second call, which a process has no use for, is refused.
///
/// A child that is made without running fork handlers (`vfork`, a bare `clone`) must not record before it execs.
pub(crate) fn make_private_in_children(
    file: OwnedFd,
    words: &'static [AtomicU64],
    writer: Writer,
) -> io::Result<()> {
    // SAFETY: the handler is a function that lives for ever and does only what a forked child may do.
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => {}
        errno => return Err(io::Error::from_raw_os_error(errno)),
    }
    let published = Published { words, writer, file: file.into_raw_fd() };
    PUBLISHED.set(published).map_err(|_| io::Error::from_raw_os_error(libc::EALREADY))
}

/// Puts a private copy of what the parent wrote in place of the shared memory, so that all instruments go on working.
///
/// Runs between `fork` and its return: nothing here allocates or locks. If the kernel has no memory for the copy, the
/// child goes on counting into its parent's segment: wrong numbers harm less than a child that dies of them.
extern "C" fn in_child() {
    let Some(published) = PUBLISHED.get() else { return };
    if is_in_forked_child() {
        // The parent was forked itself: its memory is nobody else's already, and the descriptor's number may be another's.
        return;
    }
    let bytes = size_of_val(published.words);
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: at an address that the kernel chooses, a new mapping touches no other.
    let copy = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE) };
    let Ok(copy) = copy else { return };
    // SAFETY: the mapping is page-aligned, that long, readable and writable, and nobody else knows of it.
    let copied: &[AtomicU64] = unsafe { std::slice::from_raw_parts(copy.cast(), published.words.len()) };
    for (from, to) in published.words[..published.writer.used_words()].iter().zip(copied) {
        // A zero is there already: storing it would only take memory.
        match from.load(Ordering::Relaxed) {
            0 => {}
            word => to.store(word, Ordering::Relaxed),
        }
    }
    let over = published.words.as_ptr().cast_mut().cast::<c_void>();
    // SAFETY: the copy moves over the shared mapping as a whole, at one stroke, and holds the same words with the same
    // access; `copied` is not used any more. The child has no other thread.
    let moved = unsafe { rustix::mm::mremap_fixed(copy, bytes, bytes, MremapFlags::MAYMOVE, over) };
    if moved.is_ok() {
        IN_FORKED_CHILD.store(true, Ordering::Relaxed);
        // SAFETY: the descriptor is this module's since `make_private_in_children`, and nobody uses it.
        unsafe { rustix::io::close(published.file) };
    }
}
