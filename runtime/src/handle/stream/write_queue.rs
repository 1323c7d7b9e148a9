//! What a stream has yet to write: bytes in order, and the requests that they belong to.
//!
//! The queue is one sequence of bytes. A request has ended when all bytes up to its end are written, so that one system
//! call may write for many requests, and no bookkeeping depends on how the kernel cuts the sequence. Only a descriptor
//! that is sent with bytes cuts it: it belongs to the first of them, so a system call begins there.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

use super::StreamState;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::buffer::Buffer;
use crate::request::ActiveRequest;

/// How many buffers one system call writes at most. The kernel allows 1024; more than this gains nothing.
const SLICES_MAX: usize = 64;

/// How many system calls are made in a row before others get their turn; libuv's number.
const ROUNDS_MAX: usize = 32;

pub(crate) type RequestCallback = Box<dyn FnOnce(&EventLoop, &Rc<StreamState>, Result<(), Error>)>;

#[derive(Default)]
pub(crate) struct WriteQueue {
    buffers: VecDeque<Queued>,
    /// How much of the first buffer is written.
    first_written: usize,
    /// Bytes that were ever queued, and that were ever written.
    queued: u64,
    written: u64,
    /// In their order; the first ones have ended and wait to call back.
    requests: VecDeque<WriteRequest>,
    ended: usize,
}

struct Queued {
    bytes: Buffer,
    /// What goes with the first byte.
    sent: Option<Rc<OwnedFd>>,
}

pub(crate) struct WriteRequest {
    /// The number of bytes ever written at which the request has ended.
    end: u64,
    pub(crate) callback: RequestCallback,
    pub(crate) active: ActiveRequest,
    /// How it ended, once it has.
    pub(crate) result: Result<(), Error>,
}

impl WriteQueue {
    /// Adds a request behind all others.
    pub(crate) fn push(
        &mut self,
        buffers: impl Iterator<Item = Buffer>,
        mut sent: Option<Rc<OwnedFd>>,
        callback: RequestCallback,
        active: ActiveRequest,
    ) {
        for bytes in buffers.filter(|buffer| !buffer.is_empty()) {
            self.queued += bytes.len() as u64;
            self.buffers.push_back(Queued { bytes, sent: sent.take() });
        }
        self.requests.push_back(WriteRequest { end: self.queued, callback, active, result: Ok(()) });
    }

    /// Writes through `write` until everything is written, the descriptor takes no more, or others should have their turn.
    /// An error ends all requests.
    pub(crate) fn flush(&mut self, write: impl Fn(&[IoSlice<'_>], Option<&OwnedFd>) -> Result<usize, Errno>) {
        for _ in 0..ROUNDS_MAX {
            if self.buffers.is_empty() {
                break;
            }
            match self.write_once(&write) {
                Ok(written) => self.advance(written),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => break,
                Err(errno) => return self.fail(Error::system("write", errno)),
            }
        }
        self.end_written();
    }

    fn write_once(
        &mut self,
        write: impl Fn(&[IoSlice<'_>], Option<&OwnedFd>) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let first = &self.buffers[0];
        let (sent, first) = (first.sent.as_deref(), IoSlice::new(&first.bytes[self.first_written..]));
        let written = match self.buffers.len() {
            1 => write(&[first], sent)?,
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                slices[0] = first;
                let mut count = 1;
                let behind = self.buffers.iter().skip(1).take_while(|queued| queued.sent.is_none());
                for (slice, queued) in slices[1..].iter_mut().zip(behind) {
                    *slice = IoSlice::new(&queued.bytes);
                    count += 1;
                }
                write(&slices[..count], sent)?
            }
        };
        if written > 0 {
            self.buffers[0].sent = None;
        }
        Ok(written)
    }

    fn advance(&mut self, written: usize) {
        self.written += written as u64;
        self.first_written += written;
        while let Some(first) = self.buffers.front().filter(|first| first.bytes.len() <= self.first_written) {
            self.first_written -= first.bytes.len();
            self.buffers.pop_front();
        }
    }

    fn end_written(&mut self) {
        while self.requests.get(self.ended).is_some_and(|request| request.end <= self.written) {
            self.ended += 1;
        }
    }

    /// Ends all requests that have not ended, and forgets their bytes.
    pub(crate) fn fail(&mut self, error: Error) {
        self.end_written();
        self.buffers.clear();
        self.first_written = 0;
        self.written = self.queued;
        self.requests.range_mut(self.ended..).for_each(|request| request.result = Err(error));
        self.ended = self.requests.len();
    }

    /// Bytes that are queued and not written.
    pub(crate) fn len(&self) -> u64 {
        self.queued - self.written
    }

    /// Whether all requests have ended.
    pub(crate) fn is_flushed(&self) -> bool {
        self.ended == self.requests.len()
    }

    /// How many requests have ended and not called back.
    pub(crate) fn ended_count(&self) -> usize {
        self.ended
    }

    /// The first request that has ended and not called back.
    pub(crate) fn next_ended(&mut self) -> Option<WriteRequest> {
        self.ended = self.ended.checked_sub(1)?;
        self.requests.pop_front()
    }
}
