//! The exporter's thread: collecting at every interval, and sending what waits, side by side on one thread.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use model::label::{ExportLoss, ExportOutcome};
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::answer::Answer;
use super::backoff::{self, Backoff};
use super::batch::Batcher;
use super::client::Client;
use super::queue::Queue;
use super::told::Told;
use crate::agent::own_metrics::OwnMetrics;
use crate::agent::worker::{NoAnswer, Worker};
use crate::config::Export;
use crate::{clock, console};

/// How long to wait when too many scrapes are under way.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// The exporter, on its thread.
pub(super) struct Exporting {
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

impl Exporting {
    /// Nothing has been exported yet but what the batcher knows of.
    pub(super) fn new(
        export: Export,
        client: Client,
        queue: Queue,
        batcher: Batcher,
        worker: Worker,
        own: Arc<OwnMetrics>,
    ) -> Self {
        Self {
            batcher: RefCell::new(batcher),
            queue: RefCell::new(queue),
            told: RefCell::new(Told::new(export.endpoint.clone())),
            export,
            client,
            worker,
            own,
            woken: Notify::new(),
            is_ending: Cell::new(false),
        }
    }

    /// Exports until it is told to stop, and then what is left; gives what it knows of the sums.
    pub(super) async fn run(self, stopped: watch::Receiver<bool>) -> Batcher {
        self.export_all(stopped).await;
        self.batcher.into_inner()
    }

    async fn export_all(&self, mut stopped: watch::Receiver<bool>) {
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
        let batches = self.batcher.borrow_mut().batches(&reading, clock::now());
        for batch in batches {
            let payload = self.client.payload(batch.request);
            let (dropped, written) = self.queue.borrow_mut().push(payload, batch.points);
            if let Some(folder) = &self.export.buffer {
                self.told.borrow_mut().kept(folder, &written);
            }
            if dropped > 0 {
                self.own.points_dropped(ExportLoss::QueueFull, dropped);
                self.told.borrow_mut().full();
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
                    self.told.borrow_mut().failing(why, true);
                    self.queue.borrow_mut().put_back(id);
                    self.pause(backoff.next(after), after.is_some()).await;
                    continue;
                }
                Answer::Accepted(None) => {
                    self.own.export_took(ExportOutcome::Accepted, took_ns);
                    self.told.borrow_mut().accepted();
                }
                Answer::Accepted(Some(partial)) => {
                    let outcome = if partial.rejected_points > 0 {
                        ExportOutcome::Partial
                    } else {
                        ExportOutcome::Accepted
                    };
                    self.own.export_took(outcome, took_ns);
                    self.own.points_dropped(ExportLoss::Partial, partial.rejected_points);
                    self.told.borrow_mut().accepted();
                    self.told.borrow_mut().partial(&partial, points);
                }
                Answer::Refused { why } => {
                    self.own.export_took(ExportOutcome::Refused, took_ns);
                    self.own.points_dropped(ExportLoss::Refused, points);
                    self.told.borrow_mut().failing(why, false);
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
}
