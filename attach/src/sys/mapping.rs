//! Another process's shared memory, mapped read-only.
//!
//! Reading a mapping beyond the end of its file kills the reader with SIGBUS, and the file belongs to a process that
//! may mean harm. So only memory is mapped whose size can no longer shrink: a file on the kernel's tmpfs (not on
//! hugetlbfs, whose pages can run out when they are touched) that carries the seal `F_SEAL_SHRINK`. A seal is never
//! taken off again. Holes that the owner punches read as zeros.

use std::fs::File;
use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

use rustix::fs::{SealFlags, fcntl_get_seals, fstat, fstatfs};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

const TMPFS_MAGIC: u64 = 0x0102_1994;
const WORD_BYTES: u64 = size_of::<AtomicU64>() as u64;

/// Words of a sealed file, mapped read-only until dropped.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: it is an address and a length of memory that belongs to no thread, and its words are atomic.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references only load atomically.
unsafe impl Sync for Mapping {}

/// Why a file is not mapped.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is no memory file: it lies on another file system.
    NotMemory,
    /// Its owner can still shrink it.
    Unsealed,
    /// It is empty, or longer than the bound.
    Length(u64),
    /// The kernel refused.
    System(io::Error),
}

impl From<rustix::io::Errno> for Refusal {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::System(errno.into())
    }
}

impl Mapping {
    /// Maps a sealed memory file of at most `bytes_max` bytes, after checking that reading it can do no harm.
    pub(crate) fn new(file: &File, bytes_max: u64) -> Result<Self, Refusal> {
        if fstatfs(file)?.f_type as u64 != TMPFS_MAGIC {
            return Err(Refusal::NotMemory);
        }
        // A file on a mounted tmpfs has no seals to ask for, or only F_SEAL_SEAL.
        if !fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::SHRINK)) {
            return Err(Refusal::Unsealed);
        }
        // After the seal was seen, the size can only grow.
        let bytes = fstat(file)?.st_size as u64;
        let words = bytes / WORD_BYTES;
        if words == 0 || bytes > bytes_max {
            return Err(Refusal::Length(bytes));
        }
        let words = words as usize;
        // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing that Rust knows of.
        let address = unsafe {
            mmap(null_mut(), words * size_of::<AtomicU64>(), ProtFlags::READ, MapFlags::SHARED, file, 0)
        }?;
        let start = NonNull::new(address.cast()).expect("the kernel does not map address zero unasked");
        Ok(Self { start, words })
    }

    /// The words. Others may write to them at any time.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping has `words` words, is aligned to a page, and lives as long as `self`. The file behind it
        // cannot become shorter, so every word stays readable. Whoever writes does so outside of Rust's view of this
        // process, and we read atomically; loads of eight bytes, unlike stores, are sound on read-only memory.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and `words` has lent nothing that lives longer than `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.words * size_of::<AtomicU64>()) };
        debug_assert!(unmapped.is_ok(), "unmapping what was mapped cannot fail");
    }
}
