//! The load: requests at a fixed rate, whether or not the service keeps up.
//!
//! A request has the time at which it is due, and its latency counts from then: what waits behind a blocked loop is
//! part of what a client would feel. (A client that waits for each answer before it sends the next request would not
//! see most of it.)

mod client;

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use model::histogram::Histogram;
use runtime::{Async, AsyncSender, EventLoop, RunMode};

use crate::error::Error;
use client::Client;

/// The load, on a thread of its own.
pub(super) struct Load {
    thread: JoinHandle<Report>,
    stopper: AsyncSender,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// Requests that were sent.
    pub(super) sent: u64,
    /// Of these, those that were answered with success.
    pub(super) answered: u64,
    /// Requests that were answered with a failure, not answered, or never sent because too many were waiting.
    pub(super) failed: u64,
    /// From the time a request was due to its answer.
    pub(super) latency: Histogram,
}

/// Tells that the load has ended, however it did.
struct TellDone(AsyncSender);

impl Drop for TellDone {
    fn drop(&mut self) {
        self.0.send();
    }
}

impl Load {
    /// Starts to send requests, that many each second. `done` is sent when the load has ended.
    pub(super) fn start(address: SocketAddr, rate: u32, done: AsyncSender) -> Result<Self, Error> {
        let (started, starting) = channel();
        let run = move || {
            let _tells = TellDone(done);
            match prepare(address, rate) {
                Ok((event_loop, client, stopper)) => {
                    // Nobody waits for it if the demo has failed meanwhile; it is then over anyway.
                    let _ = started.send(Ok(stopper));
                    event_loop.run(RunMode::Default);
                    client.report()
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                    Report::default()
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("load".into())
            .spawn(run)
            .map_err(|source| Error::System { doing: "cannot start a thread", source })?;
        let stopper = starting.recv().expect("the thread tells how it started").map_err(Error::Runtime)?;
        Ok(Self { thread, stopper })
    }

    /// Stops the load when it is sent: it waits for the answers that are due, then ends.
    pub(super) fn stopper(&self) -> AsyncSender {
        self.stopper.clone()
    }

    /// What became of the requests, once the load has ended.
    pub(super) fn report(self) -> Report {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn prepare(address: SocketAddr, rate: u32) -> Result<(EventLoop, Client, AsyncSender), runtime::Error> {
    let event_loop = EventLoop::builder().name("load").instruments(false).build()?;
    let client = Client::start(&event_loop, address, rate)?;
    let stop = Async::new(&event_loop, {
        let client = client.clone();
        move |event_loop, stop| {
            client.stop(event_loop);
            stop.close();
        }
    });
    let stopper = stop.sender();
    Ok((event_loop, client, stopper))
}
