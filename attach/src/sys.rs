//! The system's calls that need `unsafe`, each behind a safe function.

#![allow(unsafe_code, reason = "memory that is shared with others, and calls that take addresses")]

pub(crate) mod allocator;
pub(crate) mod bpf;
pub(crate) mod file;
pub(crate) mod launch;
pub(crate) mod mapping;
pub(crate) mod memory;
pub(crate) mod perf_event;
pub(crate) mod process;
pub(crate) mod ring;
