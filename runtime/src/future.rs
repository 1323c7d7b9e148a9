//! Futures on the loop: tasks that run between callbacks, and what they wait for.
//!
//! A task is a future that the loop runs. It belongs to the loop's thread, so it may hold whatever callbacks may hold. What
//! wakes it queues it as a microtask: it goes on before the loop does anything else. Other threads may wake it, too.
//!
//! ```
//! use std::time::Duration;
//! use loopscope_runtime::future::{TcpListener, TcpStream};
//! use loopscope_runtime::{EventLoop, TaskKind};
//!
//! let event_loop = EventLoop::new()?;
//! let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap(), 128)?;
//! let address = listener.local_address()?;
//!
//! event_loop.spawn_local(async move {
//!     let mut stream = listener.accept().await?;
//!     while let Some(chunk) = stream.read_chunk().await? {
//!         stream.write(chunk).await?;
//!     }
//!     Ok::<(), loopscope_runtime::Error>(())
//! });
//!
//! let local = event_loop.handle();
//! let reply = event_loop.block_on(async move {
//!     let mut stream = TcpStream::connect(&local, address).await?;
//!     let sum = local.work(TaskKind::Work, || (1..=10).sum::<u32>()).await.unwrap();
//!     local.sleep(Duration::from_millis(1)).await;
//!     stream.write(sum.to_string()).await?;
//!     stream.read_chunk().await
//! })?;
//! assert_eq!(reply.as_deref(), Some(&b"55"[..]));
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```
//!
//! Pipes, terminals, UDP, signals and ends of processes are awaited as well: [`Pipe`], [`Tty`], [`Udp`], [`Signals`], [`Child`].
//! Files ([`fs::future`](crate::fs::future)), names ([`dns::future`](crate::dns::future)), random bytes
//! ([`random::filled`](crate::random::filled)) and any work ([`EventLoop::work`](crate::EventLoop::work)) have forms to be
//! awaited. Whatever calls back once becomes a future through [`oneshot`].

mod child;
mod join;
mod listener;
pub mod oneshot;
mod pipe;
mod signals;
mod stream;
mod task;
mod tcp;
mod time;
mod tty;
mod udp;
mod waiters;
mod wake_up;

pub use self::child::Child;
pub use self::join::{JoinError, JoinHandle};
pub use self::listener::{AsyncListener, Listen};
pub use self::pipe::{Pipe, PipeListener};
pub use self::signals::Signals;
pub use self::stream::{AsyncStream, OnConnect, Stream};
pub(crate) use self::task::{Executor, Task};
pub use self::tcp::{TcpListener, TcpStream};
pub use self::time::{Elapsed, Sleep, Timeout, YieldNow};
pub use self::tty::Tty;
pub use self::udp::{Datagram, Udp};
