//! Exporting over OTLP, on a thread of its own: encoding, compressing and waiting for a receiver hold up neither the measuring
//! nor the serving.
//!
//! At each interval the measuring thread is asked for a [reading](super::worker::Reading), in the bounded way of a scrape. It is
//! [encoded](batch) right away, and the batches go into a [queue](queue) that is bounded in bytes, in memory or on [disk](buffer). One batch at a time is
//! [sent](client), the oldest first, until the receiver has taken or [refused](answer) it; in between, waits [grow](backoff).
//!
//! **A newer batch does not replace an older one that waits,** though with cumulative sums it could: an outage would leave a gap in
//! gauges, and one wide step in all distributions. Only when the queue is full does the oldest go; cumulative sums lose nothing
//! even then, for every later batch has them.
//!
//! Each attempt has a connection of its own. At one request a minute a connection that is kept would mostly be one that somebody on the way
//! has closed, and a new one finds the receiver's present address and shows the present certificate.

mod answer;
mod backoff;
mod batch;
mod buffer;
mod client;
mod exporting;
mod outbox;
mod queue;
mod resource;
mod sender;
mod series;
mod thread;
mod timeline;
mod told;

use std::sync::Arc;

use model::label::ExportLoss;

use super::own_metrics::OwnMetrics;
use super::worker::Worker;
use crate::config::Export;
use crate::console;
use crate::error::Error;
pub(super) use batch::Batcher;
use buffer::Buffer;
use client::Client;
use exporting::Exporting;
pub(super) use outbox::{Delivery, Outbox, Ready};
use queue::Queue;
pub(super) use resource::{ProcessKey, Resources};
use sender::Sender;
use thread::LoopThread;

/// An exporter that runs.
pub(super) struct Exporter(LoopThread<Batcher>);

/// What an exporter needs, checked and opened.
pub(super) struct Prepared {
    export: Export,
    client: Client,
    /// `None` where another exporter holds its directory.
    queue: Option<Queue>,
    own: Arc<OwnMetrics>,
}

impl Prepared {
    /// Checks all that exporting needs, and opens the queue if it is free. Nothing is exported or told yet.
    ///
    /// # Errors
    /// Where the certificates or the directory that were named cannot be used.
    pub(super) fn new(export: Export, is_free: bool, own: &Arc<OwnMetrics>) -> Result<Self, Error> {
        let client = Client::new(&export)?;
        let queue = is_free.then(|| queue(&export, own)).transpose()?;
        Ok(Self { export, client, queue, own: Arc::clone(own) })
    }

    /// Where to, and how.
    pub(super) fn export(&self) -> &Export {
        &self.export
    }

    /// Starts the thread; `known` is what the exporter before knew of the sums.
    ///
    /// # Errors
    /// Where the directory cannot be opened now, or the system refuses.
    pub(super) fn start(self, worker: Worker, known: Option<Batcher>) -> Result<Exporter, Error> {
        let Self { export, client, queue: opened, own } = self;
        let queue = opened.map_or_else(|| queue(&export, &own), Ok)?;
        own.exports(export.signal).begin();
        let batcher = known.unwrap_or_else(|| Batcher::new(export.preference));
        console::line(format_args!("exporting metrics by {export}"));
        let thread = LoopThread::start("export".into(), "cannot start the exporter", move |stopped| {
            let sender = Sender::new(export, client, queue, own);
            Exporting::new(sender, batcher, worker).run(stopped)
        });
        thread.map(Exporter)
    }
}

impl Exporter {
    /// Tells it to end: to export what there is now and what waits, within a deadline.
    pub(super) fn stop(&self) {
        self.0.stop();
    }

    /// Whether it has.
    pub(super) fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Waits for its end; gives what it knows of the sums.
    pub(super) fn finish(self) -> Batcher {
        self.0.finish()
    }
}

/// The queue, with what an earlier agent has left.
fn queue(export: &Export, own: &OwnMetrics) -> Result<Queue, Error> {
    let mut queue = Queue::new(export.queue_bytes);
    if let Some(folder) = &export.buffer {
        let opened = Buffer::open(folder);
        let (buffer, found, torn) =
            opened.map_err(|message| Error::Export { of: "`buffer` in [otlp]".into(), message })?;
        if torn > 0 {
            console::line(format_args!(
                "export: {torn} files in {} were not whole: they are removed",
                folder.display()
            ));
        }
        let own = own.exports(export.signal);
        own.dropped(ExportLoss::QueueFull, queue.keep_on_disk(buffer, found, export.buffer_bytes));
        own.queue_is(queue.bytes());
    }
    Ok(queue)
}
