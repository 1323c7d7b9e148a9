//! Publishes what tokio runtimes do, where the program `loopscope` reads it without asking the measured program.
//!
//! # A runtime from its beginning
//!
//! [`Builder::build`] builds a runtime from tokio's own options, measures every stretch for which each of its workers is
//! away from being parked, and publishes all that tokio tells of itself.
//!
//! ```
//! let runtime = loopscope_tokio::Builder::new().name("api").build(tokio::runtime::Builder::new_multi_thread().worker_threads(2))?;
//! runtime.block_on(async {
//!     // The program.
//! });
//! # Ok::<(), loopscope_tokio::Error>(())
//! ```
//!
//! # A runtime that is already there
//!
//! One line in a program with `#[tokio::main]`. Stretches away from being parked are then sampled instead of measured, so
//! there is no `eventloop_lag_seconds`; all else is the same.
//!
//! ```
//! #[tokio::main]
//! async fn main() -> Result<(), loopscope_tokio::Error> {
//!     loopscope_tokio::publish()?;
//!     // The program.
//!     Ok(())
//! }
//! ```
//!
//! # The blocking pool
//!
//! tokio does not tell how long jobs wait for a thread of the blocking pool. Jobs that are given to it through
//! [`spawn_blocking`] are timed exactly; [`Builder::probe_blocking_pool`] asks the pool itself, now and then.
//!
//! # The heap
//!
//! One more line counts every allocation of the program:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: loopscope_tokio::CountingAllocator = loopscope_tokio::CountingAllocator::new();
//! # fn main() {}
//! ```
//!
//! # What it costs
//!
//! Two readings of the clock and some additions to memory each time a worker parks and comes back, 0.1 µs together; one
//! task for each runtime, which never wakes; and one thread for all of them, which copies tokio's own counters ten times a
//! second. Nothing is added to a task, and nothing wakes a worker. Whatever a program publishes costs no more when it is read.
//!
//! # What is left out
//!
//! A forked child publishes nothing before it executes another program. What a build of tokio with `--cfg tokio_unstable`
//! tells is published by a build of this crate with the same flag.

#![forbid(unsafe_code)]

mod blocking;
mod builder;
mod error;
#[cfg_attr(tokio_unstable, path = "extra_unstable.rs")]
#[cfg_attr(not(tokio_unstable), path = "extra_stable.rs")]
mod extra;
mod figures;
mod hooks;
mod observed;
mod published;
mod sampler;
mod workers;

pub use blocking::{spawn_blocking, spawn_blocking_on};
pub use builder::Builder;
pub use error::Error;
pub use telemetry::alloc::{self, CountingAllocator};
use tokio::runtime::Handle;

/// What this process publishes, whatever measures in it: whether others can read it, by which service's name, and what it
/// holds.
pub mod process {
    pub use telemetry::publish::{
        Publication, Unpublished, contents, keep_private, publication, service_name, set_service_name,
    };
}

/// Publishes the runtime that the caller runs in, by the name `tokio`, or `tokio-2` and so on where there are several.
///
/// # Errors
/// [`Error::NoRuntime`] outside of any runtime; [`Error::Thread`] where the system gives no thread.
pub fn publish() -> Result<(), Error> {
    let handle = Handle::try_current().map_err(Error::NoRuntime)?;
    Builder::new().publish(&handle)
}

/// Publishes a runtime by a name, which its series carry as the label `runtime`. A runtime that is published already is
/// left as it is.
///
/// # Errors
/// [`Error::Thread`] where the system gives no thread.
pub fn publish_named(handle: &Handle, name: impl Into<String>) -> Result<(), Error> {
    Builder::new().name(name).publish(handle)
}
