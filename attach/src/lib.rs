//! Measuring a process from outside: finding it, reading its loops, sampling its stacks, reading what it
//! publishes.

#![deny(unsafe_code)]

pub mod allocator;
mod error;
pub mod kernel;
pub mod libuv;
pub mod sampler;
mod sys;
pub mod target;
pub mod telemetry;

pub use error::Error;
