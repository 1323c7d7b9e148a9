//! File-system operations, each on the thread pool with a callback on the loop.
//!
//! Every function takes the loop, what the operation needs, and a callback, and gives a [`PoolRequest`](crate::PoolRequest) by which it can
//! be cancelled while it waits. Operations on open files are methods of [`File`] and [`Dir`]. Paths are resolved by the
//! thread that runs the operation, when it does.
//!
//! All have two more forms: [`future`], to be awaited, and [`blocking`], on the calling thread.
//!
//! ```
//! use loopscope_runtime::{EventLoop, RunMode, fs};
//!
//! let event_loop = EventLoop::new()?;
//! fs::read_file(&event_loop, "/proc/version", |_, text| assert!(text.unwrap().starts_with(b"Linux")));
//! fs::stat(&event_loop, "/no/such/file", |_, result| {
//!     assert_eq!(result.unwrap_err().to_string(), "stat /no/such/file: No such file or directory (os error 2)");
//! });
//! event_loop.run(RunMode::Default);
//!
//! let version = event_loop.block_on(fs::future::read_file(&event_loop, "/proc/version"));
//! assert_eq!(version, fs::blocking::read_file("/proc/version"));
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```
//!
//! # What differs from libuv
//!
//! Descriptors are owned: a [`File`] closes itself. Errors say on which path. A call that a signal interrupts is made
//! again, also for `read`. `sendfile` may share blocks instead of copying them.

mod directory;
mod error;
mod file;
mod job;
mod kinds;
mod operations;

pub use self::directory::{Dir, DirectoryEntry};
pub use self::error::{FsError, FsErrorCause};
pub use self::file::File;
pub use self::kinds::{AccessMode, CopyOptions, FileTime, Sharing, StatFs};
pub use self::operations::*;
