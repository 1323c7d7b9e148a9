//! An event loop and a thread pool that measure themselves.
//!
//! The loop has the semantics of libuv (1.45 and later), with Node's tick queue, microtask queue and immediates. While
//! it runs it records how long events had to wait, what each phase took, what the pool's queue did to its tasks, and
//! publishes that where the program `loopscope` reads it, without asking the measured program: see [`observe`].
//!
//! # A loop and its timers
//!
//! An [`EventLoop`] belongs to the thread that made it. Handles such as [`Timer`]s are made with a loop and call back from
//! its [`run`](EventLoop::run), which ends when nothing is active any more.
//!
//! ```
//! use std::time::Duration;
//! use loopscope_runtime::{EventLoop, RunMode, Timer};
//!
//! let event_loop = EventLoop::builder().name("main").build()?;
//! let mut left = 3;
//! let countdown = Timer::new(&event_loop);
//! countdown.start_repeating(Duration::from_millis(2), Duration::from_millis(1), move |_, timer| {
//!     println!("{left}");
//!     left -= 1;
//!     if left == 0 {
//!         timer.close();
//!     }
//! })?;
//! event_loop.run(RunMode::Default);
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```
//!
//! Callbacks get the loop and their handle, and may do anything to any handle, their own included. Nothing that they ask
//! for calls back before they return.
//!
//! # Streams
//!
//! A [`TcpListener`] gives a [`TcpStream`] for each connection. Reading calls back for whatever comes; writing and
//! connecting are requests, each with a callback of its own at its end.
//!
//! ```
//! use loopscope_runtime::{EventLoop, Read, RunMode, TcpListener, TcpStream};
//!
//! let event_loop = EventLoop::new()?;
//! let server = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap())?;
//! server.listen(128, |_, server, connection| {
//!     let stream = connection.unwrap();
//!     let echoing = stream.read_start(|_, stream, read| match read {
//!         Ok(Read::Data(data)) => stream.write(data.to_vec(), |_, _, _| {}).unwrap(),
//!         Ok(Read::End) | Err(_) => stream.close(),
//!     });
//!     echoing.unwrap();
//!     server.close();
//! })?;
//!
//! TcpStream::connect(&event_loop, server.local_address()?, |_, stream, connected| {
//!     connected.unwrap();
//!     stream.write("hello", |_, _, _| {}).unwrap();
//!     let reading = stream.read_start(|_, stream, read| {
//!         assert_eq!(read, Ok(Read::Data(b"hello")));
//!         stream.close();
//!     });
//!     reading.unwrap();
//! })?;
//! event_loop.run(RunMode::Default);
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```
//!
//! # What must not run on the loop
//!
//! While a callback runs nothing else does. What takes long goes to the thread pool ([`pool`], [`fs`], [`dns`]), and its
//! result comes back as a callback; other threads reach a loop through [`Async`] handles.
//!
//! # One iteration
//!
//! Timers that are due; callbacks that were put off; idle and prepare handles; the kernel's poll and the callbacks of its
//! events; check handles and immediates; close callbacks. Between any two callbacks the tick queue and then the microtask
//! queue run until both are empty. A panic in a callback comes out of `run` and leaves the loop fit to run again.

#![deny(unsafe_code)]

mod closing;
mod error;
mod event_loop;
pub mod future;
mod handle;
mod immediates;
mod inbox;
mod lingering;
mod notify;
pub mod observe;
mod poller;
pub mod pool;
mod registry;
mod request;
mod signals;
mod sys;
mod ticks;
mod timers;

pub use error::Error;
pub use event_loop::{Builder, Busy, EventLoop, LoopHandle, LoopInfo, RunMode};
pub use handle::async_handle::{Async, AsyncSender};
pub use handle::buffer::Buffer;
pub use handle::pipe::Pipe;
pub use handle::pipe_listener::PipeListener;
pub use handle::pipe_name::PipeName;
pub use handle::poll::Poll;
pub use handle::stream::Read;
pub use handle::tcp::{KeepAlive, TcpStream};
pub use handle::tcp_listener::{BindOptions, TcpListener};
pub use handle::timer::Timer;
pub use handle::udp::{Interface, ReceiveOptions, Received, Udp};
pub use handle::watcher::{Check, Idle, Prepare};
pub use immediates::Immediate;
pub use model::label::{HandleType, TaskKind};
pub use registry::AnyHandle;
pub use request::future::PoolFuture;
pub use request::work::{AlreadyStarted, PoolRequest};
pub use request::{dns, fs, random};
pub use sys::epoll::Readiness;
pub use telemetry::alloc;
