//! The service: a listener, its connections, and what each route does.

mod connection;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use runtime::{Buffer, EventLoop, TaskKind, TcpListener, TcpStream, Timer, fs};

use super::hash;
use super::route::Route;
use super::truth::Truth;
use crate::console;
use connection::{Body, Connection};

const BACKLOG: u32 = 1024;

/// Connections beyond are closed at once.
const CONNECTIONS_MAX: usize = 1024;

/// How often idle connections are looked for. Often enough for the lateness of this timer to tell something.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How long a connection may send no request.
const IDLE_MAX_NS: u64 = 60_000_000_000;

const WELCOME: &[u8] =
    b"The demo of Loopscope. Try /fast, /file, /hash and /block; /truth tells what was counted.\n";

/// The service. Copies are the same one.
#[derive(Clone)]
pub(super) struct Service(Rc<State>);

struct State {
    listener: TcpListener,
    sweep: Timer,
    address: SocketAddr,
    block: Duration,
    file: PathBuf,
    truth: RefCell<Truth>,
    connections: RefCell<BTreeMap<u64, Rc<Connection>>>,
    next_connection: Cell<u64>,
}

impl Service {
    /// Starts to serve on an address.
    pub(super) fn start(
        event_loop: &EventLoop,
        address: SocketAddr,
        block: Duration,
        file: &Path,
    ) -> Result<Self, runtime::Error> {
        let listener = TcpListener::bind(event_loop, address)?;
        let address = listener.local_address()?;
        let service = Self(Rc::new(State {
            listener: listener.clone(),
            sweep: Timer::new(event_loop),
            address,
            block,
            file: file.to_owned(),
            truth: RefCell::default(),
            connections: RefCell::default(),
            next_connection: Cell::new(0),
        }));
        let accepting = service.clone();
        listener.listen(BACKLOG, move |event_loop, _, connection| match connection {
            Ok(stream) => accepting.accept(event_loop, stream),
            Err(error) => console::line(format_args!("cannot accept a connection: {error}")),
        })?;
        let sweeping = service.clone();
        let sweep = move |event_loop: &EventLoop, _: &Timer| sweeping.close_idle(event_loop);
        service.0.sweep.start_repeating(SWEEP_EVERY, SWEEP_EVERY, sweep)?;
        Ok(service)
    }

    /// Where it serves.
    pub(super) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What it has done so far.
    pub(super) fn truth(&self) -> Truth {
        self.0.truth.borrow().clone()
    }

    /// Closes the listener and all connections.
    pub(super) fn close(&self) {
        self.0.listener.close();
        self.0.sweep.close();
        self.close_connections(|_| true);
    }

    fn accept(&self, event_loop: &EventLoop, stream: TcpStream) {
        if self.0.connections.borrow().len() >= CONNECTIONS_MAX {
            return stream.close();
        }
        let number = self.0.next_connection.replace(self.0.next_connection.get() + 1);
        let connection = Connection::new(self.clone(), number, stream, event_loop.now());
        self.0.connections.borrow_mut().insert(number, Rc::clone(&connection));
        connection.start();
    }

    fn close_idle(&self, event_loop: &EventLoop) {
        let now = event_loop.now();
        self.close_connections(|connection| connection.idle_ns(now) >= IDLE_MAX_NS);
    }

    fn close_connections(&self, which: impl Fn(&Connection) -> bool) {
        let connections = self.0.connections.borrow();
        let chosen: Vec<_> = connections.values().filter(|connection| which(connection)).cloned().collect();
        drop(connections);
        chosen.iter().for_each(|connection| connection.close());
    }

    fn forget(&self, number: u64) {
        self.0.connections.borrow_mut().remove(&number);
    }

    /// Does what a path asks for, now or later, and answers.
    fn answer(&self, event_loop: &EventLoop, connection: Rc<Connection>, path: &str) {
        let Some(route) = Route::of_path(path) else {
            return match path {
                "/" => connection.answer("200 OK", Body::text(WELCOME)),
                "/truth" => connection.answer("200 OK", Body::json(self.0.truth.borrow().json())),
                _ => connection.answer("404 Not Found", Body::text(b"not found\n")),
            };
        };
        self.0.truth.borrow_mut().requested(route);
        match route {
            Route::Fast => connection.answer("200 OK", Body::text(b"fast\n")),
            Route::File => {
                fs::read_file(event_loop, self.0.file.clone(), move |_, read| match read {
                    Ok(contents) => connection.answer("200 OK", Body::text(contents)),
                    Err(error) => connection.fail(&error),
                });
            }
            Route::Hash => {
                event_loop.queue_work(TaskKind::Crypto, hash::stretch, move |_, digest| match digest {
                    Ok(digest) => connection.answer("200 OK", Body::text((digest + "\n").into_bytes())),
                    Err(error) => connection.fail(&error),
                });
            }
            Route::Block => {
                let blocked = hash::block_the_loop(self.0.block);
                self.0.truth.borrow_mut().blocked(blocked);
                connection.answer("200 OK", Body::text(b"blocked\n"));
            }
        }
    }
}

impl Body {
    fn text(bytes: impl Into<Buffer>) -> Self {
        Self { content_type: "text/plain; charset=utf-8", bytes: bytes.into() }
    }

    fn json(text: String) -> Self {
        Self { content_type: "application/json", bytes: text.into_bytes().into() }
    }
}
