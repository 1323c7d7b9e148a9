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
pub mod pool;
mod request;
mod signals;
mod sys;
mod ticks;
mod timers;

pub use error::Error;
pub use event_loop::{Builder, EventLoop, RunMode};
pub use handle::async_handle::{Async, AsyncSender};
pub use handle::buffer::Buffer;
pub use handle::stream::Read;
pub use handle::tcp::TcpStream;
pub use handle::tcp_listener::TcpListener;
pub use handle::timer::Timer;
pub use handle::watcher::{Check, Idle, Prepare};
pub use immediates::Immediate;
pub use model::label::TaskKind;
pub use request::work::{AlreadyStarted, PoolRequest};
pub use request::{dns, fs};
