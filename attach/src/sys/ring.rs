//! A ring of records that the kernel writes and we read.
//!
//! Who touches what. The kernel owns `data_head`, we own `data_tail`; both only grow. The kernel writes only into the
//! bytes from head to tail (modulo the size), because the mapping is writable, which is how a reader asks it not to
//! overwrite what is unread; we read only the bytes from tail to the head that we last saw. An `Acquire` load of the
//! head makes the records before it visible; a `Release` store of the tail gives their room back after our last read.
//! Slices into the ring borrow it, and giving room back needs it mutably, so no slice outlives its bytes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::perf_event::bindings::perf_event_mmap_page;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::param::page_size;

const WORD: u64 = size_of::<u64>() as u64;

/// The mapped ring of one event, which is the event of one CPU.
pub(crate) struct Ring {
    cpu: u32,
    event: OwnedFd,
    page: NonNull<perf_event_mmap_page>,
    mapped_bytes: usize,
    data: NonNull<u64>,
    /// A power of two.
    data_words: u64,
    /// Positions in words since the ring was made; their difference is at most `data_words`.
    tail: u64,
    head: u64,
}

// SAFETY: the mapping belongs to the ring alone and is not bound to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Maps a ring of `data_bytes` for `event`. `data_bytes` is a power of two and a multiple of the page size.
    pub(crate) fn map(event: OwnedFd, cpu: u32, data_bytes: usize) -> io::Result<Self> {
        let page_bytes = page_size();
        assert!(data_bytes.is_power_of_two() && data_bytes.is_multiple_of(page_bytes));
        let mapped_bytes = page_bytes + data_bytes;
        // SAFETY: a new mapping at an address of the kernel's choice cannot touch memory that is in use.
        let address = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            mmap(std::ptr::null_mut(), mapped_bytes, protection, MapFlags::SHARED, &event, 0)
        }?;
        let page = NonNull::new(address.cast()).expect("mmap never maps address zero unless told to");
        // SAFETY: the data area begins one page into the mapping, which is `data_bytes` longer than that.
        let data = unsafe { page.byte_add(page_bytes) }.cast();
        let data_words = data_bytes as u64 / WORD;
        Ok(Self { cpu, event, page, mapped_bytes, data, data_words, tail: 0, head: 0 })
    }

    /// The CPU whose records it takes.
    pub(crate) fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Looks for what the kernel has written meanwhile.
    pub(crate) fn refresh(&mut self) {
        // SAFETY: the page is mapped as long as `self` lives, and both sides access the field as one aligned word.
        let head = unsafe { AtomicU64::from_ptr(&raw mut (*self.page.as_ptr()).data_head) };
        self.head = head.load(Ordering::Acquire) / WORD;
    }

    /// The words that are unread, as of the last [`Ring::refresh`]: the second part is the one that wrapped around.
    pub(crate) fn unread(&self) -> (&[u64], &[u64]) {
        // The head is the kernel's word; bound it, so that even a wrong one keeps us inside the mapping.
        let unread = self.head.wrapping_sub(self.tail).min(self.data_words);
        let start = self.tail & (self.data_words - 1);
        let first = unread.min(self.data_words - start);
        // SAFETY: both ranges lie inside the data area and hold words from tail to head, which the kernel leaves alone
        // until the tail moves; that needs `&mut self`.
        unsafe {
            (
                std::slice::from_raw_parts(self.data.as_ptr().add(start as usize), first as usize),
                std::slice::from_raw_parts(self.data.as_ptr(), (unread - first) as usize),
            )
        }
    }

    /// Gives the room of the first `words` unread words back to the kernel.
    pub(crate) fn consume(&mut self, words: usize) {
        self.tail = self.tail.wrapping_add(words as u64);
        // SAFETY: as in `refresh`; only we write this field.
        let tail = unsafe { AtomicU64::from_ptr(&raw mut (*self.page.as_ptr()).data_tail) };
        tail.store(self.tail.wrapping_mul(WORD), Ordering::Release);
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `map`, and no slice of it lives longer than `self`.
        let unmapped = unsafe { munmap(self.page.as_ptr().cast(), self.mapped_bytes) };
        debug_assert!(unmapped.is_ok(), "a mapping of our own can be unmapped");
    }
}
