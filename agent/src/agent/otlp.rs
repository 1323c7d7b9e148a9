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
mod queue;
mod resource;
mod series;
mod tls;

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use model::label::{ExportLoss, ExportOutcome};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::own_metrics::OwnMetrics;
use super::worker::{NoAnswer, Worker};
use crate::config::Export;
use crate::error::Error;
use crate::{clock, console};
use answer::Answer;
use backoff::Backoff;
use batch::Batcher;
use buffer::Buffer;
use client::Client;
use queue::Queue;

/// How long to wait when too many scrapes are under way.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// An exporter that runs.
pub(super) struct Exporter {
    stopping: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Exporter {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the certificates or the directory that were named cannot be used.
    pub(super) fn start(export: Export, worker: Worker, own: &Arc<OwnMetrics>) -> Result<Self, Error> {
        let system = |source| Error::System { doing: "cannot start the exporter", source };
        let client = Client::new(&export)?;
        let own = Arc::clone(own);
        own.exporting();
        let queue = queue(&export, &own)?;
        let (stopping, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let thread = std::thread::Builder::new()
            .name("export".into())
            .spawn(move || {
                runtime.block_on(Exporting::new(export, client, queue, worker, own).run(stopped));
                // A look-up of a name that hangs has a thread that nobody waits for.
                runtime.shutdown_background();
            })
            .map_err(system)?;
        Ok(Self { stopping, thread })
    }

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

/// The exporter, on its thread.
struct Exporting {
    export: Export,
    client: Client,
    worker: Worker,
    own: Arc<OwnMetrics>,
    batcher: RefCell<Batcher>,
    queue: RefCell<Queue>,
    /// Something came into the queue, or there is no time left to wait.
    woken: Notify,
    /// The agent ends: waits are short.
    is_ending: Cell<bool>,
    told: RefCell<Told>,
}

/// What the operator knows already.
#[derive(Default)]
struct Told {
    /// Why the receiver does not take anything; `None` while it does.
    failing: Option<String>,
    partial: bool,
    full: bool,
    unwritten: bool,
}

impl Exporting {
    fn new(export: Export, client: Client, queue: Queue, worker: Worker, own: Arc<OwnMetrics>) -> Self {
        Self {
            batcher: RefCell::new(Batcher::new(export.preference)),
            queue: RefCell::new(queue),
            export,
            client,
            worker,
            own,
            woken: Notify::new(),
            is_ending: Cell::new(false),
            told: RefCell::default(),
        }
    }

    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut sending = pin!(self.send_all());
        tokio::select! {
            () = &mut sending => {}
            () = self.collect_all() => {}
            // The agent may also be gone without a word.
            _ = stopped.wait_for(|&stopping| stopping) => {}
        }
        // An attempt that is under way goes on.
        let flush = async {
            let collecting = async {
                self.collect().await;
                self.is_ending.set(true);
                self.woken.notify_one();
            };
            tokio::join!(collecting, &mut sending)
        };
        if timeout(self.export.flush, flush).await.is_err() {
            let (lost, kept) = (self.queue.borrow().points(true), self.queue.borrow().points(false));
            if let (Some(folder), true) = (&self.export.buffer, kept > 0) {
                console::line(format_args!(
                    "export: {kept} points wait in {} for the next start",
                    folder.display()
                ));
            }
            if lost > 0 {
                self.own.points_dropped(ExportLoss::Shutdown, lost);
                console::line(format_args!(
                    "export: {lost} points could not be handed over within {}: they are lost",
                    humantime::format_duration(self.export.flush)
                ));
            }
        }
    }

    /// Collects at every interval, beginning now.
    async fn collect_all(&self) {
        let mut ticks = interval(self.export.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.collect().await;
        }
    }

    /// Collects once.
    async fn collect(&self) {
        let reading = loop {
            match self.worker.read().await {
                Ok(reading) => break reading,
                Err(NoAnswer::Busy) => sleep(BUSY_PAUSE).await,
                Err(NoAnswer::Ended) => return,
            }
        };
        let batches = self.batcher.borrow_mut().batches(&reading, SystemTime::now());
        for batch in batches {
            let payload = self.client.payload(batch.request);
            let (dropped, written) = self.queue.borrow_mut().push(payload, batch.points);
            let was_unwritten = std::mem::replace(&mut self.told.borrow_mut().unwritten, written.is_err());
            if let (Err(error), false, Some(folder)) = (written, was_unwritten, &self.export.buffer) {
                console::line(format_args!(
                    "export: cannot keep points in {}: {error}; they wait in memory",
                    folder.display()
                ));
            }
            if dropped > 0 {
                self.own.points_dropped(ExportLoss::QueueFull, dropped);
                if !std::mem::replace(&mut self.told.borrow_mut().full, true) {
                    console::line(format_args!(
                        "export: the queue is full: the oldest points are dropped until the receiver takes some"
                    ));
                }
            }
        }
        self.own.export_queue_is(self.queue.borrow().bytes());
        self.woken.notify_one();
    }

    /// Sends whatever comes into the queue, until the agent ends and all is sent.
    async fn send_all(&self) {
        let mut backoff = Backoff::default();
        loop {
            let next = self.queue.borrow_mut().next();
            let (id, payload) = match next {
                Some(Ok(next)) => next,
                Some(Err(points)) => {
                    self.own.points_dropped(ExportLoss::Corrupt, points);
                    console::line(format_args!("export: {points} points that waited on disk cannot be read"));
                    continue;
                }
                None if self.is_ending.get() => return,
                None => {
                    self.woken.notified().await;
                    continue;
                }
            };
            let began = clock::monotonic();
            let answer = self.client.send(payload).await;
            let took_ns = clock::monotonic().since_ns(began);
            let points = self.queue.borrow().points_of(id);
            match answer {
                Answer::Retry { after, why } => {
                    self.own.export_took(ExportOutcome::Retried, took_ns);
                    self.tell_failing(why, true);
                    self.queue.borrow_mut().put_back(id);
                    self.pause(backoff.next(after), after.is_some()).await;
                    continue;
                }
                Answer::Accepted(None) => {
                    self.own.export_took(ExportOutcome::Accepted, took_ns);
                    self.tell_accepted();
                }
                Answer::Accepted(Some(partial)) => {
                    let outcome = if partial.rejected_points > 0 {
                        ExportOutcome::Partial
                    } else {
                        ExportOutcome::Accepted
                    };
                    self.own.export_took(outcome, took_ns);
                    self.own.points_dropped(ExportLoss::Partial, partial.rejected_points);
                    self.tell_accepted();
                    if !std::mem::replace(&mut self.told.borrow_mut().partial, true) {
                        console::line(format_args!(
                            "export: the receiver did not take {} of {points} points: {}; this is told once",
                            partial.rejected_points,
                            shown(&partial.message)
                        ));
                    }
                }
                Answer::Refused { why } => {
                    self.own.export_took(ExportOutcome::Refused, took_ns);
                    self.own.points_dropped(ExportLoss::Refused, points);
                    self.tell_failing(why, false);
                }
            }
            backoff = Backoff::default();
            self.queue.borrow_mut().remove(id);
            self.own.export_queue_is(self.queue.borrow().bytes());
        }
    }

    /// Waits before the next attempt. When the agent ends, a wait that the receiver did not ask for is cut short.
    async fn pause(&self, wait: Duration, is_asked: bool) {
        let mut waiting = pin!(sleep(if self.is_ending.get() && !is_asked { backoff::ENDING } else { wait }));
        loop {
            tokio::select! {
                () = &mut waiting => return,
                () = self.woken.notified() => {
                    if self.is_ending.get() && !is_asked {
                        return;
                    }
                }
            }
        }
    }

    fn tell_failing(&self, why: String, is_retried: bool) {
        let mut told = self.told.borrow_mut();
        if told.failing.as_ref() != Some(&why) {
            let then = if is_retried {
                "it is tried again"
            } else {
                "the batch is dropped, for trying again would not help"
            };
            console::line(format_args!("export to {}: {}; {then}", self.export.endpoint, shown(&why)));
            told.failing = Some(why);
        }
    }

    fn tell_accepted(&self) {
        let mut told = self.told.borrow_mut();
        told.full = false;
        if told.failing.take().is_some() {
            console::line(format_args!(
                "export to {}: the receiver takes points again",
                self.export.endpoint
            ));
        }
    }
}

/// What a receiver says, so that it fits into a line.
fn shown(text: &str) -> String {
    const LENGTH_MAX: usize = 300;
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = clean.take(LENGTH_MAX).collect();
    line.trim().to_owned()
}
