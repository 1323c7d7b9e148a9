//! TCP to be awaited.

use std::net::SocketAddr;

use super::listener::{AsyncListener, async_listener};
use super::stream::{AsyncStream, async_stream};
use crate::error::Error;
use crate::event_loop::EventLoop;

/// A TCP connection to be awaited.
pub type TcpStream = AsyncStream<crate::TcpStream>;

/// A listener for TCP connections to be awaited.
pub type TcpListener = AsyncListener<crate::TcpListener>;

async_stream!(crate::TcpStream);
async_listener!(crate::TcpListener => crate::TcpStream);

impl AsyncStream<crate::TcpStream> {
    /// Connects to an address.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(event_loop: &EventLoop, address: SocketAddr) -> Result<Self, Error> {
        Self::connect_with(|callback| crate::TcpStream::connect(event_loop, address, callback)).await
    }
}

impl AsyncListener<crate::TcpListener> {
    /// Takes an address, and listens there; port 0 lets the system choose one.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(event_loop: &EventLoop, address: SocketAddr, backlog: u32) -> Result<Self, Error> {
        Self::new(crate::TcpListener::bind(event_loop, address)?, backlog)
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        self.get_ref().local_address()
    }
}
