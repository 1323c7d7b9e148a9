//! Stack samples of running programs.
//!
//! A recorder turns the kernel's records into a stream of [`event::Event`]s, by ascending time. A converter, which does
//! no I/O but for reading object files, turns events into a [`model::profile::Profile`]. Live and recorded input
//! go through the same converter.

pub mod event;
pub mod recorder;
mod rings;

pub mod convert;
pub mod demangle;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
pub mod phase;
mod process;
mod symbolize;
mod unwind;
