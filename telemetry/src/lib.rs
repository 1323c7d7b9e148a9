//! The writing side of telemetry: the one segment of a process, and what goes into it.
//!
//! Whatever measures in a process (our runtime, tokio's with our instruments, the counting allocator) writes into the
//! same segment, which this crate makes when the first of them asks for it. `loopscope_model` knows how a segment is laid
//! out and has no operating system; this crate has one, and knows nothing of loops. Programs use it through
//! `loopscope_runtime` or `loopscope_tokio`.
//!
//! Read in this order: [`publish`], [`alloc`], and `sys` for what they ask of the system.

#![deny(unsafe_code)]

pub mod alloc;
pub mod clock;
pub mod publish;
mod segment;
mod sys;
