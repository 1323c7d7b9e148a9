//! Memory that other processes can read.

#![allow(unsafe_code, reason = "memory that the kernel maps for us")]

use std::os::fd::IntoRawFd;
use std::ptr::null_mut;
use std::sync::atomic::AtomicU64;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap};

/// Makes a memory file as a segment's writer does, and maps it for good.
pub(super) fn publish(words: usize, sealed: bool) -> &'static [AtomicU64] {
    let bytes = words * size_of::<AtomicU64>();
    let file = memfd_create("loopscope", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, bytes as u64).unwrap();
    if sealed {
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).unwrap();
    }
    let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    // SAFETY: a fresh mapping at an address of the kernel's choice overlaps nothing that Rust knows of.
    let start = unsafe { mmap(null_mut(), bytes, protection, flags, &file, 0) }.unwrap();
    // The descriptor stays open, so that readers find it.
    let _ = file.into_raw_fd();
    // SAFETY: the mapping has `words` words, holds zeros, is aligned to a page and is never unmapped or cut.
    unsafe { std::slice::from_raw_parts(start.cast(), words) }
}
