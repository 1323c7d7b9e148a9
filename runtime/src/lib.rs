//! An event loop and a thread pool that measure themselves.
//!
//! The loop has the semantics of libuv (1.45 and later), with Node's tick queue, microtask queue and immediates. While
//! it runs it records how long events had to wait, what each phase took, what the pool's queue did to its tasks, and
//! publishes that where the program `loopscope` reads it, without asking the measured program: see [`observe`].
//!
//! Five minutes of it follow: timers, a server, the thread pool, `async fn`, and what it measures.
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
//! # All handles
//!
//! | handle | calls back | to be awaited |
//! |---|---|---|
//! | [`Timer`] | after a time, or again and again | [`EventLoop::sleep`] |
//! | [`Idle`] | once an iteration, which then does not wait | |
//! | [`Prepare`] | once an iteration, before the poll | |
//! | [`Check`] | once an iteration, behind the poll | [`EventLoop::yield_now`] |
//! | [`Async`] | when another thread asks for it | any [`Waker`](std::task::Waker) of a task |
//! | [`TcpListener`] | for each connection, one an iteration | [`future::TcpListener`] |
//! | [`TcpStream`] | for what comes over a connection | [`future::TcpStream`] |
//! | [`PipeListener`] | for each connection to a UNIX socket | [`future::PipeListener`] |
//! | [`Pipe`] | for what comes over a UNIX socket or a FIFO, descriptors too | [`future::Pipe`] |
//! | [`Tty`] | for what is typed | [`future::Tty`] |
//! | [`Udp`] | for each datagram | [`future::Udp`] |
//! | [`Poll`] | while any descriptor is ready | |
//! | [`Signal`] | for a signal to the process | [`future::Signals`] |
//! | [`Process`], made by a [`Command`] | when a process has ended | [`Command::start`] |
//! | [`FsEvent`] | when something happens to files | |
//! | [`FsPoll`] | when a look at a path shows a change | |
//!
//! # The thread pool
//!
//! While a callback runs nothing else does. What takes long, or blocks, goes to the thread pool, and its result comes back as
//! a callback: any work, file operations ([`fs`]), names ([`dns`]), random bytes ([`random`]). What waits can be cancelled.
//!
//! ```
//! use loopscope_runtime::{EventLoop, RunMode, TaskKind, fs};
//!
//! let event_loop = EventLoop::new()?;
//! event_loop.queue_work(TaskKind::Crypto, || (1..=20u64).product::<u64>(), |_, product| {
//!     assert_eq!(product, Ok(2_432_902_008_176_640_000));
//! });
//! fs::read_file(&event_loop, "/proc/self/comm", |_, name| assert!(!name.unwrap().is_empty()));
//! event_loop.run(RunMode::Default);
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```
//!
//! All loops of a process share a pool, of 4 threads unless `UV_THREADPOOL_SIZE` says otherwise; a loop can have its own
//! ([`pool::Pool`]). Its size may change while it runs, and its order can be made fair, so that computations never hold up
//! file operations. Other threads reach a loop through [`Async`] handles.
//!
//! # async fn
//!
//! Most of what calls back can be awaited as well. Tasks run on the loop, between callbacks; nothing needs to be `Send`.
//!
//! ```
//! use std::time::Duration;
//! use loopscope_runtime::future::{TcpListener, TcpStream};
//! use loopscope_runtime::{Error, EventLoop, LoopHandle};
//!
//! async fn serve(event_loop: LoopHandle, listener: TcpListener) -> Result<(), Error> {
//!     loop {
//!         let stream = listener.accept().await?;
//!         event_loop.spawn_local(echo(stream));
//!     }
//! }
//!
//! async fn echo(mut stream: TcpStream) -> Result<(), Error> {
//!     while let Some(chunk) = stream.read_chunk().await? {
//!         stream.write(chunk).await?;
//!     }
//!     Ok(())
//! }
//!
//! let event_loop = EventLoop::new()?;
//! let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap(), 128)?;
//! let address = listener.local_address()?;
//! event_loop.spawn_local(serve(event_loop.handle(), listener));
//!
//! let local = event_loop.handle();
//! let asking = async move {
//!     let mut stream = TcpStream::connect(&local, address).await?;
//!     stream.write("hello").await?;
//!     stream.read_chunk().await
//! };
//! let answer = event_loop.block_on(event_loop.timeout_after(Duration::from_secs(60), asking));
//! assert_eq!(answer.expect("in time")?.as_deref(), Some(&b"hello"[..]));
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```
//!
//! [`future`] tells the rest: joining and aborting, sleeping, time limits, pipes, datagrams, signals, processes, files.
//!
//! # What it measures
//!
//! A loop measures itself from its beginning, without being asked. The program `loopscope agent` finds it and serves what it
//! finds to Prometheus; `loopscope top` shows it live. The program itself can read as well:
//!
//! ```
//! use std::time::Duration;
//! use loopscope_runtime::{EventLoop, RunMode, observe::publish};
//!
//! let event_loop = EventLoop::builder().name("main").slow_iteration(Duration::from_millis(5)).build()?;
//! event_loop.set_immediate(|_| std::thread::sleep(Duration::from_millis(6)));
//! event_loop.run(RunMode::Default);
//!
//! // The last slow iterations, with their phases and what ran.
//! let slow = &event_loop.slow_iterations()[0];
//! assert!(slow.duration > Duration::from_millis(5) && slow.ran.len() == 1);
//! // Utilization is what idle time leaves of the time that passed.
//! assert_eq!((event_loop.info().iterations, event_loop.idle_time()), (1, Duration::ZERO));
//! // And every metric that is published, as a reader sees it.
//! for reading in publish::contents().scopes.iter().flat_map(|scope| &scope.readings) {
//!     println!("{} {:?}: {:?}", reading.metric.name, reading.labels, reading.value);
//! }
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```
//!
//! # One iteration
//!
//! Each phase runs in this order, and only if it has something to run:
//!
//! | phase | what runs | what puts it there |
//! |---|---|---|
//! | pending | what the last iteration put off, as far as it is left | writes that ended at once |
//! | idle, prepare | handles, each once an iteration | [`Idle`], [`Prepare`] |
//! | poll | waits for the kernel, unless something else is to be done | |
//! | poll callbacks | results of the pool; what other threads sent; what is ready; processes that ended; signals | [`fs`], [`Async`], [`TcpStream`], [`Process`], [`Signal`] |
//! | pending | what was put off so far, and what that puts off, up to 8 rounds | writes that ended at once |
//! | check | handles, then immediates | [`Check`], [`EventLoop::set_immediate`] |
//! | close | close callbacks | `close_with` of any handle |
//! | timers | those that are due | [`Timer`], [`EventLoop::set_timeout`] |
//!
//! A run by [`RunMode::Default`] begins with timers that are due. Between any two callbacks the tick queue
//! ([`EventLoop::next_tick`]) and then the microtask queue ([`EventLoop::queue_microtask`], and tasks that were woken) run until
//! both are empty. A panic in a callback comes out of `run` and leaves the loop fit to run again.
//!
//! [`EventLoop::set_timeout`] and [`EventLoop::set_interval`] are Node's timers, with Node's order; [`Timer`]s are libuv's.
//!
//! # Examples
//!
//! In `examples/`: `echo`, `http_files` (a file server in `async fn`s), `chat`, `primes` (a computation in pieces) and
//! `shutdown` (a graceful one).

#![deny(unsafe_code)]

mod caught;
mod children;
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
mod per_process;
mod poller;
pub mod pool;
mod registry;
mod request;
mod sys;
mod ticks;
mod timeouts;
mod timers;
mod wake_ups;

pub use error::Error;
pub use event_loop::{Builder, Busy, EventLoop, LoopHandle, LoopInfo, RunMode};
pub use handle::async_handle::{Async, AsyncSender};
pub use handle::binding::BindOptions;
pub use handle::buffer::Buffer;
pub use handle::fs_event::{FsChange, FsEvent};
pub use handle::fs_poll::{FsPoll, FsPollChange};
pub use handle::pipe::Pipe;
pub use handle::pipe_listener::PipeListener;
pub use handle::pipe_name::PipeName;
pub use handle::poll::Poll;
pub use handle::process::{Command, Exit, Process, Stdio, kill};
pub use handle::signal::Signal;
pub use handle::stream::Read;
pub use handle::tcp::{KeepAlive, TcpStream};
pub use handle::tcp_listener::TcpListener;
pub use handle::timer::Timer;
pub use handle::tty::Tty;
pub use handle::udp::{Interface, ReceiveOptions, Received, Udp};
pub use handle::watcher::{Check, Idle, Prepare};
pub use immediates::Immediate;
pub use model::label::{HandleType, TaskKind};
pub use registry::AnyHandle;
pub use request::future::PoolFuture;
pub use request::work::{AlreadyStarted, PoolRequest};
pub use request::{dns, fs, random};
pub use sys::epoll::Readiness;
pub use sys::tty::TtyMode;
pub use telemetry::alloc;
pub use timeouts::Timeout;
