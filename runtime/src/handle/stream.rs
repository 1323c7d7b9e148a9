//! What all streams do: connect, read, write, shut down. TCP streams are the ones there are so far.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::{HandleType, RequestType};
use rustix::io::Errno;

use super::HandleState;
use super::buffer::Buffer;
use super::write_queue::{RequestCallback, WriteQueue};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::{EventLoop, Pending};
use crate::poller::{Registration, Watcher};
use crate::request::ActiveRequest;
use crate::sys::epoll::Readiness;
use crate::sys::socket;

/// How much is read at once; libuv's suggestion.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How many times a stream is read in a row before others get their turn; libuv's number.
const READ_ROUNDS: usize = 32;

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// Some bytes; at least one. They are the callback's only while it runs.
    Data(&'a [u8]),
    /// The peer has sent everything. Nothing more will be read.
    End,
}

pub(crate) type ReadCallback = Rc<RefCell<dyn FnMut(&EventLoop, &Rc<StreamState>, Result<Read<'_>, Error>)>>;

pub(crate) struct StreamState {
    pub(crate) handle: HandleState,
    /// `None` once the stream is closed.
    socket: RefCell<Option<Rc<OwnedFd>>>,
    registration: Registration,
    connecting: RefCell<Option<Request>>,
    /// Why connecting failed at once; told in the phase `pending`, for a callback never runs within the call that asks
    /// for it.
    connect_failure: Cell<Option<Error>>,
    reading: RefCell<Option<ReadCallback>>,
    writes: RefCell<WriteQueue>,
    shutting_down: RefCell<Option<Request>>,
    /// Whether nothing may be written any more.
    shut_down: Cell<bool>,
    /// Whether the stream stands in the loop's queue of what was put off.
    put_off: Cell<bool>,
}

struct Request {
    callback: RequestCallback,
    active: ActiveRequest,
}

impl Request {
    fn end(self, event_loop: &EventLoop, stream: &Rc<StreamState>, result: Result<(), Error>) {
        drop(self.active);
        event_loop.call(|event_loop| (self.callback)(event_loop, stream, result));
    }
}

impl StreamState {
    pub(crate) fn new(event_loop: &EventLoop, handle_type: HandleType, socket: OwnedFd) -> Rc<Self> {
        Rc::new(Self {
            handle: HandleState::new(event_loop, handle_type),
            socket: RefCell::new(Some(Rc::new(socket))),
            registration: Registration::default(),
            connecting: RefCell::default(),
            connect_failure: Cell::default(),
            reading: RefCell::default(),
            writes: RefCell::default(),
            shutting_down: RefCell::default(),
            shut_down: Cell::default(),
            put_off: Cell::default(),
        })
    }

    /// The stream's socket.
    ///
    /// # Errors
    /// [`Error::Closed`] if the stream is closed.
    pub(crate) fn socket(&self) -> Result<Rc<OwnedFd>, Error> {
        self.handle.expect_open()?;
        self.socket.borrow().clone().ok_or(Error::Closed)
    }

    /// Waits for the socket, on which `connect` was called, to be connected.
    pub(crate) fn connect(self: &Rc<Self>, begun: Result<(), Errno>, callback: RequestCallback) {
        let active = self.begin_request(RequestType::Connect);
        self.connecting.replace(Some(Request { callback, active }));
        let begun = begun.map_err(|errno| Error::system("connect", errno));
        if let Err(error) = begun.and_then(|()| self.update_interest()) {
            self.connect_failure.set(Some(error));
            self.put_off();
        }
    }

    pub(crate) fn read_start(self: &Rc<Self>, callback: ReadCallback) -> Result<(), Error> {
        self.handle.expect_open()?;
        let replaced = self.reading.replace(Some(callback));
        drop(replaced);
        self.handle.set_active(true);
        let started = self.update_interest();
        if started.is_err() {
            self.read_stop();
        }
        started
    }

    pub(crate) fn read_stop(self: &Rc<Self>) {
        self.handle.set_active(false);
        let callback = self.reading.take();
        drop(callback);
        // Wanting less takes effect at the next poll, and is never refused.
        let _ = self.update_interest();
    }

    pub(crate) fn write(
        self: &Rc<Self>,
        buffers: impl Iterator<Item = Buffer>,
        callback: RequestCallback,
    ) -> Result<(), Error> {
        self.expect_writable()?;
        let active = self.begin_request(RequestType::Write);
        let nothing_before = self.writes.borrow().is_flushed() && self.connecting.borrow().is_none();
        self.writes.borrow_mut().push(buffers, callback, active);
        if nothing_before {
            self.flush();
            self.put_off_ended();
        }
        Ok(())
    }

    pub(crate) fn try_write(&self, bytes: &[u8]) -> Result<usize, Error> {
        self.expect_writable()?;
        if !self.writes.borrow().is_flushed() || self.connecting.borrow().is_some() {
            return Ok(0);
        }
        match socket::send(self.socket()?, &[std::io::IoSlice::new(bytes)]) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
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

    /// Ends everything but the requests: they end in the close phase.
    pub(crate) fn stop_for_good(&self) {
        self.handle.core().poller.forget(&self.registration);
        self.handle.set_active(false);
        self.abandon();
        let socket = self.socket.take();
        drop(socket);
    }

    fn begin_request(&self, request_type: RequestType) -> ActiveRequest {
        ActiveRequest::begin(self.handle.core(), request_type)
    }

    fn expect_writable(&self) -> Result<(), Error> {
        self.handle.expect_open()?;
        if self.shut_down.get() { Err(Error::ShutDown) } else { Ok(()) }
    }

    /// Tells the poller what the stream waits for.
    fn update_interest(self: &Rc<Self>) -> Result<(), Error> {
        let wanted = match *self.connecting.borrow() {
            Some(_) => Readiness::WRITABLE,
            None => Readiness {
                readable: self.reading.borrow().is_some(),
                writable: !self.writes.borrow().is_flushed(),
            },
        };
        match &*self.socket.borrow() {
            Some(socket) => self.handle.core().poller.want(self, socket, &self.registration, wanted),
            None => Ok(()),
        }
    }

    /// Writes what the socket takes.
    fn flush(self: &Rc<Self>) {
        if let Some(socket) = &*self.socket.borrow() {
            self.writes.borrow_mut().flush(|slices| socket::send(socket, slices));
        }
        if let Err(error) = self.update_interest() {
            self.writes.borrow_mut().fail(error);
        }
    }

    fn put_off(self: &Rc<Self>) {
        if !self.put_off.replace(true) {
            self.handle.core().put_off(self.clone());
        }
    }

    /// Puts off calling back for the requests that have ended, or can end now.
    fn put_off_ended(self: &Rc<Self>) {
        if self.writes.borrow().done_count() > 0 || self.may_shut_down() {
            self.put_off();
        }
    }

    fn end_connect(self: &Rc<Self>, event_loop: &EventLoop, result: Result<(), Error>) {
        let connecting = self.connecting.take();
        let Some(connecting) = connecting else { return };
        match result {
            // What was written meanwhile can go out now, and the stream may be read.
            Ok(()) => self.flush(),
            Err(_) => {
                self.writes.borrow_mut().fail(Error::Cancelled);
                let _ = self.update_interest();
            }
        }
        self.put_off_ended();
        connecting.end(event_loop, self, result);
    }

    fn read(self: &Rc<Self>, event_loop: &EventLoop) {
        let mut lent = LentBuffer::new(event_loop);
        for _ in 0..READ_ROUNDS {
            let callback = self.reading.borrow().clone();
            let (Some(callback), Ok(socket)) = (callback, self.socket()) else { return };
            let result = match socket::receive(&*socket, &mut lent.buffer) {
                Ok(0) => Ok(Read::End),
                Ok(length) => Ok(Read::Data(&lent.buffer[..length])),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(errno) => Err(Error::system("read", errno)),
            };
            // What does not fill the buffer was all that there was.
            let more = matches!(result, Ok(Read::Data(data)) if data.len() == READ_BUFFER_BYTES);
            if !matches!(result, Ok(Read::Data(_))) {
                self.read_stop();
            }
            event_loop.call(|event_loop| callback.borrow_mut()(event_loop, self, result));
            if !more {
                return;
            }
        }
    }

    /// Calls back for the requests that have ended by now. Those that end meanwhile, or that a panic leaves behind, are put
    /// off.
    fn end_requests(self: &Rc<Self>, event_loop: &EventLoop) {
        let _rest = PutOffRest(self);
        let count = self.writes.borrow().done_count();
        for _ in 0..count {
            self.call_back_write(event_loop);
        }
        if self.may_shut_down() {
            self.end_shut_down(event_loop);
        }
    }

    /// Calls back for one write that has ended; gives whether there was one.
    fn call_back_write(self: &Rc<Self>, event_loop: &EventLoop) -> bool {
        let done = self.writes.borrow_mut().next_done();
        let Some(done) = done else { return false };
        drop(done.active);
        event_loop.call(|event_loop| (done.callback)(event_loop, self, done.result));
        true
    }

    /// Whether a shutdown was asked for and everything is written.
    fn may_shut_down(&self) -> bool {
        self.shutting_down.borrow().is_some()
            && self.writes.borrow().is_flushed()
            && self.connecting.borrow().is_none()
    }

    fn end_shut_down(self: &Rc<Self>, event_loop: &EventLoop) {
        let (request, socket) = (self.shutting_down.take(), self.socket());
        let Some(request) = request else { return };
        let result = socket.and_then(|socket| {
            socket::shut_down_writing(socket).map_err(|errno| Error::system("shutdown", errno))
        });
        request.end(event_loop, self, result);
    }
}

impl Watcher for StreamState {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, readiness: Readiness) {
        if self.connecting.borrow().is_some() {
            if let Ok(socket) = self.socket() {
                let result = socket::take_error(socket).map_err(|errno| Error::system("connect", errno));
                self.end_connect(event_loop, result);
            }
            return;
        }
        if readiness.readable {
            self.read(event_loop);
        }
        if readiness.writable && !self.writes.borrow().is_flushed() {
            self.flush();
            self.end_requests(event_loop);
        }
    }

    fn abandon(&self) {
        let callback = self.reading.take();
        drop(callback);
    }
}

impl Pending for StreamState {
    fn run_pending(self: Rc<Self>, event_loop: &EventLoop) {
        self.put_off.set(false);
        if let Some(error) = self.connect_failure.take() {
            self.end_connect(event_loop, Err(error));
        }
        self.end_requests(event_loop);
    }
}

impl Close for StreamState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }

    fn cancel_requests(self: Rc<Self>, event_loop: &EventLoop) {
        let connecting = self.connecting.take();
        if let Some(connecting) = connecting {
            connecting.end(event_loop, &self, Err(Error::Cancelled));
        }
        self.writes.borrow_mut().fail(Error::Cancelled);
        while self.call_back_write(event_loop) {}
        let shutting_down = self.shutting_down.take();
        if let Some(shutting_down) = shutting_down {
            shutting_down.end(event_loop, &self, Err(Error::Cancelled));
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

/// The loop's read buffer, until dropped. One is enough, for a stream is never read from within a read's callback.
struct LentBuffer<'a> {
    event_loop: &'a EventLoop,
    buffer: Vec<u8>,
}

impl<'a> LentBuffer<'a> {
    fn new(event_loop: &'a EventLoop) -> Self {
        let mut buffer = event_loop.core.read_buffer.take();
        buffer.resize(READ_BUFFER_BYTES, 0);
        Self { event_loop, buffer }
    }
}

impl Drop for LentBuffer<'_> {
    fn drop(&mut self) {
        self.event_loop.core.read_buffer.replace(std::mem::take(&mut self.buffer));
    }
}
