//! What all streams share, whether TCP connections, pipes or terminals: connecting, reading, writing, shutting down.
//!
//! A stream is made without a descriptor and gets one by being opened, by connecting, or by being accepted. Which system
//! calls read and write it is its [`Transport`]'s affair; everything else is the same for all.

mod connecting;
mod methods;
mod reading;
pub(crate) mod write_queue;
mod writing;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::{HandleType, RequestType};

pub(crate) use self::methods::stream_methods;
pub(crate) use self::reading::LentBuffer;
pub use self::reading::Read;
use self::reading::ReadCallback;
use self::write_queue::{RequestCallback, WriteQueue};
use super::HandleState;
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::{EventLoop, Pending};
use crate::poller::{Registration, Watcher};
use crate::request::ActiveRequest;
use crate::sys::descriptor;
use crate::sys::epoll::{Event, Readiness};
use crate::sys::transport::Transport;
use crate::sys::tty::Changed;

pub(crate) struct StreamState {
    pub(crate) handle: HandleState,
    transport: Cell<Transport>,
    /// `None` before the stream is opened, and once it is closed.
    descriptor: RefCell<Option<Rc<OwnedFd>>>,
    /// Of a terminal whose mode was changed.
    pub(super) terminal: RefCell<Option<Changed>>,
    registration: Registration,
    connecting: RefCell<Option<Request>>,
    /// Why connecting failed at once; told in the phase `pending`, for a callback never runs within the call that asks
    /// for it.
    connect_failure: Cell<Option<Error>>,
    reading: RefCell<Option<ReadCallback>>,
    /// Descriptors that the peer sent and nobody has taken yet.
    received: RefCell<VecDeque<OwnedFd>>,
    writes: RefCell<WriteQueue>,
    shutting_down: RefCell<Option<Request>>,
    /// Whether nothing may be written any more.
    shut_down: Cell<bool>,
    /// Whether the stream stands in the loop's queue of what was put off.
    put_off: Cell<bool>,
}

/// Connecting or shutting down.
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
    /// A stream that is not open yet.
    pub(crate) fn new(event_loop: &EventLoop, handle_type: HandleType, transport: Transport) -> Rc<Self> {
        Rc::new(Self {
            handle: HandleState::new(event_loop, handle_type),
            transport: Cell::new(transport),
            descriptor: RefCell::default(),
            terminal: RefCell::default(),
            registration: Registration::default(),
            connecting: RefCell::default(),
            connect_failure: Cell::default(),
            reading: RefCell::default(),
            received: RefCell::default(),
            writes: RefCell::default(),
            shutting_down: RefCell::default(),
            shut_down: Cell::default(),
            put_off: Cell::default(),
        })
    }

    /// Gives the stream its descriptor, which must not block.
    ///
    /// # Errors
    /// [`Error::Closed`], or [`Error::Busy`] if it has one already.
    pub(crate) fn open(&self, descriptor: OwnedFd) -> Result<(), Error> {
        self.handle.expect_open()?;
        let mut place = self.descriptor.borrow_mut();
        if place.is_some() {
            return Err(Error::Busy);
        }
        *place = Some(Rc::new(descriptor));
        Ok(())
    }

    pub(crate) fn transport(&self) -> Transport {
        self.transport.get()
    }

    pub(crate) fn set_transport(&self, transport: Transport) {
        self.transport.set(transport);
    }

    /// The stream's descriptor.
    ///
    /// # Errors
    /// [`Error::Closed`] if the stream is closed, [`Error::NotOpen`] if it was not opened.
    pub(crate) fn descriptor(&self) -> Result<Rc<OwnedFd>, Error> {
        self.handle.expect_open()?;
        self.descriptor.borrow().clone().ok_or(Error::NotOpen)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.descriptor.borrow().is_some()
    }

    /// Whether the descriptor was opened for reading, and for writing.
    pub(crate) fn directions(&self) -> (bool, bool) {
        let directions = self.descriptor().map(|descriptor| descriptor::directions(&*descriptor));
        directions.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// How many descriptors wait that the peer has sent.
    pub(crate) fn received_count(&self) -> usize {
        self.received.borrow().len()
    }

    /// Looks at the first descriptor that waits.
    pub(crate) fn with_received<T>(&self, look: impl FnOnce(&OwnedFd) -> T) -> Option<T> {
        self.received.borrow().front().map(look)
    }

    /// Takes the first descriptor that waits.
    pub(crate) fn take_received(&self) -> Option<OwnedFd> {
        self.received.borrow_mut().pop_front()
    }

    /// Ends everything but the requests: they end in the close phase.
    pub(crate) fn stop_for_good(&self) {
        self.handle.core().poller.forget(&self.registration);
        self.handle.set_active(false);
        self.abandon();
        drop((self.received.take(), self.terminal.take()));
        if let Some(descriptor) = self.descriptor.take() {
            descriptor::close_unless_standard(descriptor);
        }
    }

    fn begin_request(&self, request_type: RequestType) -> ActiveRequest {
        ActiveRequest::begin(self.handle.core(), request_type)
    }

    /// Tells the poller what the stream waits for.
    fn update_interest(self: &Rc<Self>) -> Result<(), Error> {
        // One that is being closed, or whose loop has ended, waits for nothing, whatever is asked of it.
        if self.handle.is_closing() {
            return Ok(());
        }
        let reads = self.reading.borrow().is_some();
        let writes = !self.writes.borrow().is_flushed();
        let wanted = match *self.connecting.borrow() {
            Some(_) => Readiness::WRITABLE,
            None => Readiness { readable: reads, writable: writes, ..Readiness::NONE },
        };
        match &*self.descriptor.borrow() {
            Some(descriptor) => self.handle.core().poller.want(self, descriptor, &self.registration, wanted),
            None => Ok(()),
        }
    }

    /// Has the loop call [`Pending::run_pending`].
    fn put_off(self: &Rc<Self>) {
        if !self.put_off.replace(true) {
            self.handle.core().put_off(self.clone());
        }
    }
}

impl Watcher for StreamState {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, event: Event) {
        if self.connecting.borrow().is_some() {
            self.connection_ready(event_loop);
            return;
        }
        if event.reading_tells() {
            self.read(event_loop);
        }
        if event.hung_up && !event.ready.readable {
            self.read_end(event_loop);
        }
        if event.writing_tells() {
            self.write_on(event_loop);
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
        // Of a stream that was closed meanwhile everything ends in the close phase.
        if self.handle.is_closing() {
            return;
        }
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
        self.cancel_writes(event_loop);
    }
}
