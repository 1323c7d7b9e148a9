//! One connection of the service: requests come in, one at a time is served.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use model::time::Monotonic;
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
    /// When the last request came, or the connection.
    last_request: Cell<Monotonic>,
}

/// The body of an answer.
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) bytes: Buffer,
}

impl Connection {
    /// A connection that was accepted at `now`.
    pub(super) fn new(service: Service, number: u64, stream: TcpStream, now: Monotonic) -> Rc<Self> {
        Rc::new(Self {
            service,
            number,
            stream,
            input: RefCell::default(),
            busy: Cell::new(false),
            keep_alive: Cell::new(true),
            last_request: Cell::new(now),
        })
    }

    /// Serves requests until the connection is closed, by either side.
    pub(super) fn start(self: &Rc<Self>) {
        let reading = Rc::clone(self);
        let started = self.stream.set_nodelay(true).and_then(|()| {
            self.stream.read_start(move |event_loop, _, read| match read {
                Ok(Read::Data(data)) => reading.received(event_loop, data),
                Ok(Read::End) | Err(_) => reading.close(),
            })
        });
        if started.is_err() {
            self.close();
        }
    }

    /// How long there was no request; zero while one is served.
    pub(super) fn idle_ns(&self, now: Monotonic) -> u64 {
        if self.busy.get() { 0 } else { now.since_ns(self.last_request.get()) }
    }

    /// Ends the connection, whatever it does.
    pub(super) fn close(&self) {
        self.stream.close();
        self.service.forget(self.number);
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
                self.last_request.set(event_loop.now());
                self.service.answer(event_loop, Rc::clone(self), &request.path);
            }
        }
    }
}
