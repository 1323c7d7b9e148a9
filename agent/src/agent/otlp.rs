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
mod queue;
mod resource;
mod series;
mod tls;
mod told;

use std::sync::Arc;
use std::thread::JoinHandle;

use model::label::ExportLoss;
use tokio::sync::watch;

use super::own_metrics::OwnMetrics;
use super::worker::Worker;
use crate::config::Export;
use crate::console;
use crate::error::Error;
use buffer::Buffer;
use client::Client;
use exporting::Exporting;
use queue::Queue;
pub(crate) use tls::config as tls_config;

/// An exporter that runs.
pub(super) struct Exporter {
    stopping: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

/// An exporter that has everything that it needs.
pub(super) struct Prepared(Exporting);

impl Prepared {
    /// Checks and opens all that exporting needs. Nothing is exported or told yet.
    ///
    /// # Errors
    /// Where the certificates or the directory that were named cannot be used.
    pub(super) fn new(export: Export, worker: Worker, own: &Arc<OwnMetrics>) -> Result<Self, Error> {
        let client = Client::new(&export)?;
        own.exporting();
        let queue = queue(&export, own)?;
        Ok(Self(Exporting::new(export, client, queue, worker, Arc::clone(own))))
    }

    /// Starts the thread.
    pub(super) fn start(self) -> Result<Exporter, Error> {
        let Self(exporting) = self;
        let system = |source| Error::System { doing: "cannot start the exporter", source };
        let (stopping, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        console::line(format_args!("exporting metrics by {}", exporting.export()));
        let thread = std::thread::Builder::new()
            .name("export".into())
            .spawn(move || {
                runtime.block_on(exporting.run(stopped));
                // A look-up of a name that hangs has a thread that nobody waits for.
                runtime.shutdown_background();
            })
            .map_err(system)?;
        Ok(Exporter { stopping, thread })
    }
}

impl Exporter {
    /// Tells it to end: to export what there is now and what waits, within a deadline.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits for its end.
    pub(super) fn finish(self) {
        self.stop();
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
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
        own.points_dropped(ExportLoss::QueueFull, queue.keep_on_disk(buffer, found, export.buffer_bytes));
        own.export_queue_is(queue.bytes());
    }
    Ok(queue)
}
