//! Writing and shutting down.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::RequestType;
use rustix::io::Errno;

use super::write_queue::{RequestCallback, WriteRequest};
use super::{Request, StreamState};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::buffer::Buffer;
use crate::sys::socket;

impl StreamState {
    /// Queues a write, and writes what goes out at once. `sent` goes with its first byte.
    pub(crate) fn write(
        self: &Rc<Self>,
        buffers: impl Iterator<Item = Buffer>,
        sent: Option<Rc<OwnedFd>>,
        callback: RequestCallback,
    ) -> Result<(), Error> {
        self.expect_writable()?;
        let active = self.begin_request(RequestType::Write);
        let nothing_before = self.writes.borrow().is_flushed() && !self.is_connecting();
        self.writes.borrow_mut().push(buffers, sent, callback, active);
        if nothing_before {
            self.flush();
            self.put_off_ended();
        }
        Ok(())
    }

    pub(crate) fn try_write(&self, buffers: &[IoSlice<'_>]) -> Result<usize, Error> {
        self.expect_writable()?;
        if !self.writes.borrow().is_flushed() || self.is_connecting() {
            return Ok(0);
        }
        match self.transport().write(&*self.descriptor()?, buffers, None) {
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => Ok(0),
            result => result.map_err(|errno| Error::system("write", errno)),
        }
    }

    pub(crate) fn shut_down(self: &Rc<Self>, callback: RequestCallback) -> Result<(), Error> {
        self.expect_writable()?;
        self.shut_down.set(true);
        let active = self.begin_request(RequestType::Shutdown);
        self.shutting_down.replace(Some(Request { callback, active }));
        self.put_off_ended();
        Ok(())
    }

    pub(crate) fn write_queue_bytes(&self) -> u64 {
        self.writes.borrow().len()
    }

    /// Whether a shutdown was asked for.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down.get()
    }

    fn expect_writable(&self) -> Result<(), Error> {
        self.handle.expect_open()?;
        if !self.is_open() && !self.is_connecting() {
            return Err(Error::NotOpen);
        }
        if self.shut_down.get() { Err(Error::ShutDown) } else { Ok(()) }
    }

    /// Writes what the descriptor takes.
    fn flush(self: &Rc<Self>) {
        if let Some(descriptor) = &*self.descriptor.borrow() {
            let transport = self.transport();
            self.writes.borrow_mut().flush(|slices, sent| transport.write(&**descriptor, slices, sent));
        }
        if let Err(error) = self.update_interest() {
            self.writes.borrow_mut().fail(error);
        }
    }

    /// The descriptor takes more.
    pub(super) fn write_on(self: &Rc<Self>, event_loop: &EventLoop) {
        if !self.writes.borrow().is_flushed() {
            self.flush();
            self.end_requests(event_loop);
        }
    }

    /// Puts off calling back for the requests that have ended, or can end now.
    pub(super) fn put_off_ended(self: &Rc<Self>) {
        if self.writes.borrow().ended_count() > 0 || self.may_shut_down() {
            self.put_off();
        }
    }

    /// Calls back for the requests that have ended by now. Those that end meanwhile, or that a panic leaves behind, are put
    /// off.
    pub(super) fn end_requests(self: &Rc<Self>, event_loop: &EventLoop) {
        let _rest = PutOffRest(self);
        let count = self.writes.borrow().ended_count();
        for _ in 0..count {
            self.call_back_write(event_loop);
        }
        if self.may_shut_down() {
            self.end_shut_down(event_loop);
        }
    }

    /// Calls back for one write that has ended; gives whether there was one.
    fn call_back_write(self: &Rc<Self>, event_loop: &EventLoop) -> bool {
        let ended = self.writes.borrow_mut().next_ended();
        let Some(WriteRequest { callback, active, result, .. }) = ended else { return false };
        drop(active);
        event_loop.call(|event_loop| callback(event_loop, self, result));
        true
    }

    /// Whether a shutdown was asked for and everything is written.
    fn may_shut_down(&self) -> bool {
        self.shutting_down.borrow().is_some() && self.writes.borrow().is_flushed() && !self.is_connecting()
    }

    fn end_shut_down(self: &Rc<Self>, event_loop: &EventLoop) {
        let (request, socket) = (self.shutting_down.take(), self.descriptor());
        let Some(request) = request else { return };
        let result = socket.and_then(|socket| {
            socket::shut_down_writing(socket).map_err(|errno| Error::system("shutdown", errno))
        });
        request.end(event_loop, self, result);
    }

    /// The stream is closed: ends what was to be written, and the shutdown behind it.
    pub(super) fn cancel_writes(self: &Rc<Self>, event_loop: &EventLoop) {
        self.writes.borrow_mut().fail(Error::Cancelled);
        while self.call_back_write(event_loop) {}
        let shutting_down = self.shutting_down.take();
        if let Some(shutting_down) = shutting_down {
            shutting_down.end(event_loop, self, Err(Error::Cancelled));
        }
    }
}

/// Puts off what is left when it is dropped, by a panic too.
struct PutOffRest<'a>(&'a Rc<StreamState>);

impl Drop for PutOffRest<'_> {
    fn drop(&mut self) {
        self.0.put_off_ended();
    }
}
