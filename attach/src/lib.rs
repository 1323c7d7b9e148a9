//! Measuring a process from outside: finding it, sampling its stacks, reading what it publishes.

#![deny(unsafe_code)]

pub mod sampler;
mod sys;
pub mod target;
pub mod telemetry;
