//! An event loop and a thread pool with libuv's semantics, instrumented.

#![deny(unsafe_code)]

pub mod alloc;
mod closing;
mod error;
mod event_loop;
mod handle;
mod immediates;
mod inbox;
pub mod observe;
mod poller;
mod sys;
mod ticks;
mod timers;

pub use error::Error;
pub use event_loop::{Builder, EventLoop, RunMode};
pub use handle::timer::Timer;
pub use handle::watcher::{Check, Idle, Prepare};
pub use immediates::Immediate;
