//! Connecting.

use std::rc::Rc;

use model::label::RequestType;
use rustix::io::Errno;

use super::write_queue::RequestCallback;
use super::{Request, StreamState};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::socket;

impl StreamState {
    /// Waits for the socket, on which `connect` was called, to be connected.
    pub(crate) fn connect(self: &Rc<Self>, begun: Result<(), Errno>, callback: RequestCallback) {
        let begun = begun.map_err(|errno| Error::system("connect", errno));
        self.await_connection(begun, callback);
    }

    /// As [`StreamState::connect`], where there may be no socket.
    pub(crate) fn await_connection(self: &Rc<Self>, begun: Result<(), Error>, callback: RequestCallback) {
        let active = self.begin_request(RequestType::Connect);
        self.connecting.replace(Some(Request { callback, active }));
        if let Err(error) = begun.and_then(|()| self.update_interest()) {
            self.connect_failure.set(Some(error));
            self.put_off();
        }
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.connecting.borrow().is_some()
    }

    /// The socket that connects is ready, one way or the other.
    pub(super) fn connection_ready(self: &Rc<Self>, event_loop: &EventLoop) {
        let Ok(socket) = self.descriptor() else { return };
        let result = socket::take_error(socket).map_err(|errno| Error::system("connect", errno));
        self.end_connect(event_loop, result);
    }

    /// Calls back. What was written meanwhile goes out when the loop polls next, as in libuv.
    pub(super) fn end_connect(self: &Rc<Self>, event_loop: &EventLoop, result: Result<(), Error>) {
        let connecting = self.connecting.take();
        let Some(connecting) = connecting else { return };
        // Wanting less is never refused; wanting more where it connected is told by the write that fails.
        let wanted = self.update_interest();
        if let Err(error) = result.and(wanted) {
            let error = if result.is_err() { Error::Cancelled } else { error };
            self.writes.borrow_mut().fail(error);
            let _ = self.update_interest();
        }
        self.put_off_ended();
        connecting.end(event_loop, self, result);
    }
}
