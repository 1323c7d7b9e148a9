//! The allocator's face towards the language: an unsafe trait, and so all that is unsafe here.
#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait with unsafe methods")]

use std::alloc::{GlobalAlloc, Layout, System};

use super::shards;

/// Counts what goes through another allocator, by default the system's.
///
/// A reallocation counts as one allocation and one release, whether or not the memory moved. What the inner allocator
/// refuses is not counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator<A = System> {
    inner: A,
    waits: bool,
}

impl CountingAllocator {
    /// Counts what goes through the system's allocator.
    pub const fn new() -> Self {
        Self::over(System)
    }

    /// Counts what goes through the system's allocator, and publishes it once something else in the process publishes,
    /// such as a loop: for programs that measure themselves only in some of their uses. Until then counting is a little
    /// dearer, for all threads count in the same place.
    pub const fn waiting() -> Self {
        Self::waiting_over(System)
    }
}

impl<A> CountingAllocator<A> {
    /// As [`CountingAllocator::waiting`], over another allocator than the system's.
    pub const fn waiting_over(inner: A) -> Self {
        Self { inner, waits: true }
    }

    /// Counts what goes through `inner`.
    pub const fn over(inner: A) -> Self {
        Self { inner, waits: false }
    }

    #[inline]
    fn counted(&self, memory: *mut u8, size: usize) -> *mut u8 {
        if !memory.is_null() {
            shards::count_allocation(size, self.waits);
        }
        memory
    }
}

// SAFETY: every method hands its arguments to `inner` and returns what that returns; counting neither allocates through
// this allocator without end, nor unwinds.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of this method, which is that of `inner`'s.
        self.counted(unsafe { self.inner.alloc(layout) }, layout.size())
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        self.counted(unsafe { self.inner.alloc_zeroed(layout) }, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { self.inner.dealloc(memory, layout) };
        shards::count_release(layout.size(), self.waits);
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let moved = unsafe { self.inner.realloc(memory, layout, new_size) };
        if !moved.is_null() {
            shards::count_release(layout.size(), self.waits);
        }
        self.counted(moved, new_size)
    }
}
