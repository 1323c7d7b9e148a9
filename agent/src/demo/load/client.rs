//! The client: which request goes out when, on which connection.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use model::instrument::{HISTOGRAM_CELLS, LocalHistogram};
use runtime::{EventLoop, Read, TcpStream, Timer};

use super::Report;
use crate::demo::http::{Parsed, parse_answer};
use crate::demo::route::Route;

/// How often requests are sent that have come due.
const TICK: Duration = Duration::from_millis(5);

const CONNECTIONS_MAX: usize = 64;

/// Requests that may wait for a connection; further ones fail unsent.
const WAITING_MAX: usize = 10_000;

/// How long to wait for answers after the load was stopped.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// The client. Copies are the same one.
#[derive(Clone)]
pub(super) struct Client(Rc<RefCell<State>>);

struct State {
    address: SocketAddr,
    rate: u32,
    began: Instant,
    ticks: Timer,
    planned: u64,
    waiting: VecDeque<Request>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    stopping: bool,
    sent: u64,
    answered: u64,
    failed: u64,
    latency: LocalHistogram,
}

struct Request {
    route: Route,
    due: Instant,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// When the request was due whose answer is awaited.
    awaited: Option<Instant>,
}

impl Client {
    /// Starts to send.
    pub(super) fn start(
        event_loop: &EventLoop,
        address: SocketAddr,
        rate: u32,
    ) -> Result<Self, runtime::Error> {
        let cells = Box::leak(Box::new([const { AtomicU64::new(0) }; HISTOGRAM_CELLS]));
        let ticks = Timer::new(event_loop);
        let client = Self(Rc::new(RefCell::new(State {
            address,
            rate,
            began: Instant::now(),
            ticks: ticks.clone(),
            planned: 0,
            waiting: VecDeque::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            stopping: false,
            sent: 0,
            answered: 0,
            failed: 0,
            latency: LocalHistogram::new(cells),
        })));
        if rate > 0 {
            let ticking = client.clone();
            ticks.start_repeating(TICK, TICK, move |event_loop, _| {
                ticking.0.borrow_mut().plan();
                ticking.send_waiting(event_loop);
            })?;
        }
        Ok(client)
    }

    /// Sends nothing more, and closes all connections once the answers are here, or [`FINISH_TIMEOUT`] is over.
    pub(super) fn stop(&self, event_loop: &EventLoop) {
        let mut state = self.0.borrow_mut();
        state.stopping = true;
        state.waiting.clear();
        state.ticks.close();
        drop(state);
        self.finish_if_idle();
        let (client, timeout) = (self.clone(), Timer::new(event_loop));
        // It does not keep the loop alive: without connections there is nothing to wait for.
        timeout.unreference();
        let close_all = move |_: &EventLoop, _: &Timer| client.0.borrow_mut().close_all();
        if timeout.start(FINISH_TIMEOUT, close_all).is_err() {
            self.0.borrow_mut().close_all();
        }
    }

    /// What became of the requests so far.
    pub(super) fn report(&self) -> Report {
        let State { sent, answered, failed, latency, .. } = &*self.0.borrow();
        Report { sent: *sent, answered: *answered, failed: *failed, latency: latency.get() }
    }

    fn send_waiting(&self, event_loop: &EventLoop) {
        while let Some(number) = self.free_connection(event_loop) {
            self.0.borrow_mut().send(number);
        }
    }

    /// A connection for the next request, if one waits: an idle one, or a new one.
    fn free_connection(&self, event_loop: &EventLoop) -> Option<u64> {
        let state = self.0.borrow();
        if state.waiting.is_empty() {
            return None;
        }
        let idle = state.connections.iter().find(|(_, connection)| connection.awaited.is_none());
        if let Some((number, _)) = idle {
            return Some(*number);
        }
        let (address, open) = (state.address, state.connections.len());
        drop(state);
        if open < CONNECTIONS_MAX { self.connect(event_loop, address) } else { None }
    }

    /// Opens a connection, which can be written to at once. `None` where the system gives none: the next tick tries
    /// again.
    fn connect(&self, event_loop: &EventLoop, address: SocketAddr) -> Option<u64> {
        let number = self.0.borrow().next_connection;
        let (connecting, reading) = (self.clone(), self.clone());
        let stream = TcpStream::connect(event_loop, address, move |_, stream, connected| {
            let reading = reading.clone();
            let started = connected.and_then(|()| {
                stream.read_start(move |event_loop, _, read| match read {
                    Ok(Read::Data(data)) => reading.received(event_loop, number, data),
                    Ok(Read::End) | Err(_) => reading.lost(number),
                })
            });
            if started.is_err() {
                connecting.lost(number);
            }
        });
        let connection = Connection { stream: stream.ok()?, input: Vec::new(), awaited: None };
        let mut state = self.0.borrow_mut();
        state.next_connection += 1;
        state.connections.insert(number, connection);
        Some(number)
    }

    fn received(&self, event_loop: &EventLoop, number: u64, data: &[u8]) {
        if self.0.borrow_mut().received(number, data).is_err() {
            self.lost(number);
        }
        self.send_waiting(event_loop);
        self.finish_if_idle();
    }

    /// A connection has ended; a request on it failed.
    fn lost(&self, number: u64) {
        self.0.borrow_mut().close(number);
        self.finish_if_idle();
    }

    fn finish_if_idle(&self) {
        let mut state = self.0.borrow_mut();
        let idle = state.connections.values().all(|connection| connection.awaited.is_none());
        if state.stopping && idle {
            state.close_all();
        }
    }
}

/// The service sent what is no answer.
struct NoAnswer;

impl State {
    /// Lets the requests wait that have come due.
    fn plan(&mut self) {
        let due = (self.began.elapsed().as_secs_f64() * f64::from(self.rate)) as u64;
        for number in self.planned..due {
            if self.waiting.len() >= WAITING_MAX {
                self.failed += 1;
                continue;
            }
            let due = self.began + Duration::from_secs_f64(number as f64 / f64::from(self.rate));
            self.waiting.push_back(Request { route: Route::of_request(number), due });
        }
        self.planned = due.max(self.planned);
    }

    fn send(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        let Some(request) = self.waiting.pop_front() else { return };
        connection.awaited = Some(request.due);
        self.sent += 1;
        let bytes = format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", request.route.path(), self.address);
        // That it could not be written shows where the connection is read, too.
        if connection.stream.write(bytes.into_bytes(), |_, _, _| {}).is_err() {
            self.close(number);
        }
    }

    fn received(&mut self, number: u64, data: &[u8]) -> Result<(), NoAnswer> {
        let Some(connection) = self.connections.get_mut(&number) else { return Ok(()) };
        connection.input.extend_from_slice(data);
        match parse_answer(&connection.input) {
            Parsed::Incomplete => Ok(()),
            Parsed::Malformed => Err(NoAnswer),
            Parsed::Complete(answer) => {
                let due = connection.awaited.take().ok_or(NoAnswer)?;
                connection.input.drain(..answer.length);
                if answer.status == 200 {
                    self.answered += 1;
                    self.latency.record_ns(due.elapsed().as_nanos() as u64);
                } else {
                    self.failed += 1;
                }
                Ok(())
            }
        }
    }

    fn close(&mut self, number: u64) {
        if let Some(connection) = self.connections.remove(&number) {
            connection.stream.close();
            self.failed += u64::from(connection.awaited.is_some());
        }
    }

    fn close_all(&mut self) {
        let numbers: Vec<u64> = self.connections.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.close(number));
    }
}
