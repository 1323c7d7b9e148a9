//! The datagrams that are to be sent, and those that were and have not called back.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

use super::Udp;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::buffer::Buffer;
use crate::request::ActiveRequest;
use crate::sys::datagram::{self, BATCH_MAX, Outgoing};

pub(super) type SendCallback = Box<dyn FnOnce(&EventLoop, &Udp, Result<(), Error>)>;

/// What is to be sent, and what was and has not called back.
#[derive(Default)]
pub(super) struct SendQueue {
    /// In their order; the first ones have ended and wait to call back.
    sends: VecDeque<Send>,
    ended: usize,
    /// Of all of them.
    pub(super) bytes: u64,
}

pub(super) struct Send {
    pub(super) data: Data,
    pub(super) to: Option<SocketAddr>,
    pub(super) callback: SendCallback,
    pub(super) active: ActiveRequest,
    /// How it ended, once it has.
    pub(super) result: Result<(), Error>,
}

/// The bytes of a datagram.
pub(super) enum Data {
    /// In one place, as they mostly are.
    One(Buffer),
    Many(Vec<Buffer>),
}

impl Send {
    fn bytes(&self) -> u64 {
        match &self.data {
            Data::One(buffer) => buffer.len() as u64,
            Data::Many(buffers) => buffers.iter().map(|buffer| buffer.len() as u64).sum(),
        }
    }

    fn outgoing(&self) -> Outgoing<'_> {
        let slices = match &self.data {
            Data::One(buffer) => vec![IoSlice::new(buffer)],
            Data::Many(buffers) => buffers.iter().map(|buffer| IoSlice::new(buffer)).collect(),
        };
        (slices, self.to)
    }
}

impl SendQueue {
    pub(super) fn push(&mut self, send: Send) {
        self.bytes += send.bytes();
        self.sends.push_back(send);
    }

    /// Whether something is to be sent.
    pub(super) fn waits(&self) -> bool {
        self.ended < self.sends.len()
    }

    /// Whether one has ended and not called back.
    pub(super) fn any_ended(&self) -> bool {
        self.ended > 0
    }

    /// How many requests have not called back.
    pub(super) fn count(&self) -> usize {
        self.sends.len()
    }

    /// Sends until everything is sent, the socket takes no more, or one fails: then that one has ended. Tells whether
    /// any has.
    pub(super) fn flush(&mut self, socket: &OwnedFd) -> bool {
        let before = self.ended;
        while self.waits() {
            match self.send_some(socket) {
                Ok(sent) => self.end(sent, Ok(())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => break,
                Err(errno) => {
                    self.end(1, Err(Error::system("sendmsg", errno)));
                    break;
                }
            }
        }
        self.ended > before
    }

    fn send_some(&self, socket: &OwnedFd) -> Result<usize, Errno> {
        let waiting = self.sends.range(self.ended..);
        if let (1, Some(Send { data: Data::One(buffer), to, .. })) = (waiting.len(), self.sends.back()) {
            return datagram::send_one(socket, buffer, *to).map(|()| 1);
        }
        let batch: Vec<_> = waiting.take(BATCH_MAX).map(Send::outgoing).collect();
        datagram::send(socket, &batch)
    }

    /// So many more have ended.
    fn end(&mut self, count: usize, result: Result<(), Error>) {
        let last = self.ended + count.min(self.sends.len() - self.ended);
        self.sends.range_mut(self.ended..last).for_each(|send| send.result = result);
        self.ended = last;
    }

    pub(super) fn cancel(&mut self) {
        self.end(usize::MAX, Err(Error::Cancelled));
    }

    pub(super) fn next_ended(&mut self) -> Option<Send> {
        self.ended = self.ended.checked_sub(1)?;
        let send = self.sends.pop_front()?;
        self.bytes -= send.bytes();
        Some(send)
    }
}
