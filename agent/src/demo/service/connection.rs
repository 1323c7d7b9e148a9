//! One connection of the service: requests come in, one at a time is served.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use runtime::{Buffer, EventLoop, Read, TcpStream};

use super::Service;
use crate::demo::http::{HEAD_BYTES_MAX, Parsed, answer_head, parse_request};

/// Input that may wait while a request is served. A client that sends more without waiting for answers is cut off.
const INPUT_BYTES_MAX: usize = 8 * HEAD_BYTES_MAX;

/// A client's connection.
pub(super) struct Connection {
    service: Service,
    number: u64,
    stream: TcpStream,
    input: RefCell<Vec<u8>>,
    /// Whether a request is being served; the next one then waits.
    busy: Cell<bool>,
    keep_alive: Cell<bool>,
}

/// The body of an answer.
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) bytes: Buffer,
}

impl Connection {
    /// Serves a connection until it is closed, by either side.
    pub(super) fn serve(service: Service, number: u64, stream: TcpStream) {
        let connection = Rc::new(Self {
            service,
            number,
            stream: stream.clone(),
            input: RefCell::default(),
            busy: Cell::new(false),
            keep_alive: Cell::new(true),
        });
        let reading = Rc::clone(&connection);
        let prepared = stream.set_nodelay(true).and_then(|()| {
            stream.read_start(move |event_loop, _, read| match read {
                Ok(Read::Data(data)) => reading.received(event_loop, data),
                Ok(Read::End) | Err(_) => reading.close(),
            })
        });
        if prepared.is_err() {
            connection.close();
        }
    }

    /// Answers the request that is being served.
    pub(super) fn answer(self: &Rc<Self>, status: &str, body: Body) {
        let keep_alive = self.keep_alive.get();
        let head = answer_head(status, body.content_type, body.bytes.len(), keep_alive);
        let connection = Rc::clone(self);
        let written = self.stream.write_vectored(
            [head.into_bytes().into(), body.bytes],
            move |event_loop, _, written| {
                if written.is_err() || !keep_alive {
                    return connection.close();
                }
                connection.busy.set(false);
                connection.serve_next(event_loop);
            },
        );
        // The client may have gone while its request was served.
        if written.is_err() {
            self.close();
        }
    }

    /// Answers that the request failed.
    pub(super) fn fail(self: &Rc<Self>, error: &impl fmt::Display) {
        self.answer("500 Internal Server Error", Body::text(format!("{error}\n").into_bytes()));
    }

    fn received(self: &Rc<Self>, event_loop: &EventLoop, data: &[u8]) {
        self.input.borrow_mut().extend_from_slice(data);
        if self.input.borrow().len() > INPUT_BYTES_MAX {
            return self.close();
        }
        if !self.busy.get() {
            self.serve_next(event_loop);
        }
    }

    fn serve_next(self: &Rc<Self>, event_loop: &EventLoop) {
        let parsed = parse_request(&self.input.borrow());
        match parsed {
            Parsed::Incomplete => {}
            Parsed::Malformed => {
                self.busy.set(true);
                self.keep_alive.set(false);
                self.answer("400 Bad Request", Body::text(b"only GET without a body is understood\n"));
            }
            Parsed::Complete(request) => {
                self.input.borrow_mut().drain(..request.length);
                self.busy.set(true);
                self.keep_alive.set(request.keep_alive);
                self.service.answer(event_loop, Rc::clone(self), &request.path);
            }
        }
    }

    fn close(&self) {
        self.stream.close();
        self.service.forget(self.number);
    }
}
