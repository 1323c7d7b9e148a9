//! A global allocator that counts: how much the program allocates, frees and holds.
//!
//! ```
//! use loopscope_telemetry::alloc::CountingAllocator;
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator::new();
//! # fn main() {}
//! ```
//!
//! That one line publishes `heap_allocated_bytes_total`, `heap_freed_bytes_total`, `heap_allocations_total`,
//! `heap_live_bytes` and `heap_live_objects` in the process's telemetry segment. Bytes are those that the program asked
//! for, without the allocator's own overhead; what C code gets from `malloc` is not seen.
//!
//! Each thread counts into a shard of its own with a plain load and store, so counting costs about half a
//! nanosecond and threads do not disturb each other. Refused: one set of shared atomic counters, four times slower
//! than the allocation itself once two threads allocate at a time.

mod claims;
// The model of the claims runs alone: its atomics cannot be made in a constant.
#[cfg(not(loom))]
mod shards;
#[cfg(not(loom))]
mod sys;

#[cfg(not(loom))]
pub use shards::{Counts, counts};
#[cfg(not(loom))]
pub use sys::CountingAllocator;
