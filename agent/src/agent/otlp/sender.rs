//! Sending what waits, one batch after the other, until the receiver has taken or refused it. Whatever the signal.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use model::label::{ExportLoss, ExportOutcome};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::backoff::{self, Backoff};
use super::client::Client;
use super::queue::Queue;
use super::told::Told;
use crate::agent::own_metrics::{ExportMetrics, OwnMetrics};
use crate::config::Export;
use crate::{clock, console};

/// Sends one signal to one receiver, on one thread.
pub(super) struct Sender {
    export: Export,
    client: Client,
    own: Arc<OwnMetrics>,
    queue: RefCell<Queue>,
    /// Something came into the queue, or there is no time left to wait.
    woken: Notify,
    /// The agent ends: waits are short.
    is_ending: Cell<bool>,
    told: RefCell<Told>,
}

impl Sender {
    /// Nothing has been sent yet.
    pub(super) fn new(export: Export, client: Client, queue: Queue, own: Arc<OwnMetrics>) -> Self {
        Self {
            told: RefCell::new(Told::new(export.endpoint.clone(), export.signal)),
            queue: RefCell::new(queue),
            export,
            client,
            own,
            woken: Notify::new(),
            is_ending: Cell::new(false),
        }
    }

    /// Where to, and how.
    pub(super) fn export(&self) -> &Export {
        &self.export
    }

    fn own(&self) -> &ExportMetrics {
        self.own.exports(self.export.signal)
    }

    /// Puts a request with so many points, or whatever it is made of, into the queue.
    pub(super) fn push(&self, request: Vec<u8>, points: u64) {
        let payload = self.client.payload(request);
        let (dropped, written) = self.queue.borrow_mut().push(payload, points);
        if let Some(folder) = &self.export.buffer {
            self.told.borrow_mut().kept(folder, &written);
        }
        if dropped > 0 {
            self.own().dropped(ExportLoss::QueueFull, dropped);
            self.told.borrow_mut().full();
        }
        self.own().queue_is(self.queue.borrow().bytes());
        self.woken.notify_one();
    }

    /// Sends while `collect` goes on, until `stopped`; then what `last` still brings and what waits, within the deadline.
    pub(super) async fn run(
        &self,
        collect: impl Future<Output = ()>,
        stopped: impl Future<Output = ()>,
        last: impl Future<Output = ()>,
    ) {
        let mut sending = pin!(self.send_all());
        tokio::select! {
            () = &mut sending => {}
            () = collect => {}
            () = stopped => {}
        }
        // An attempt that is under way goes on.
        let flush = async {
            let collecting = async {
                last.await;
                self.is_ending.set(true);
                self.woken.notify_one();
            };
            tokio::join!(collecting, &mut sending)
        };
        if timeout(self.export.flush, flush).await.is_err() {
            self.give_up();
        }
    }

    /// There is no time left.
    fn give_up(&self) {
        let items = self.export.signal.items();
        let (lost, kept) = (self.queue.borrow().points(true), self.queue.borrow().points(false));
        if let (Some(folder), true) = (&self.export.buffer, kept > 0) {
            console::line(format_args!(
                "export: {kept} {items} wait in {} for the next start",
                folder.display()
            ));
        }
        if lost > 0 {
            self.own().dropped(ExportLoss::Shutdown, lost);
            console::line(format_args!(
                "export: {lost} {items} could not be handed over within {}: they are lost",
                humantime::format_duration(self.export.flush)
            ));
        }
    }

    /// Sends whatever comes into the queue, until the agent ends and all is sent.
    async fn send_all(&self) {
        let mut backoff = Backoff::default();
        loop {
            let next = self.queue.borrow_mut().next();
            let (id, payload) = match next {
                Some(Ok(next)) => next,
                Some(Err(points)) => {
                    self.own().dropped(ExportLoss::Corrupt, points);
                    let items = self.export.signal.items();
                    console::line(format_args!(
                        "export: {points} {items} that waited on disk cannot be read"
                    ));
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
                    self.own().took(ExportOutcome::Retried, took_ns);
                    self.told.borrow_mut().failing(why, true);
                    self.queue.borrow_mut().put_back(id);
                    self.pause(backoff.next(after), after.is_some()).await;
                    continue;
                }
                Answer::Accepted(None) => {
                    self.own().took(ExportOutcome::Accepted, took_ns);
                    self.own().delivered(points);
                    self.told.borrow_mut().accepted();
                }
                Answer::Accepted(Some(partial)) => {
                    let outcome = if partial.rejected_points > 0 {
                        ExportOutcome::Partial
                    } else {
                        ExportOutcome::Accepted
                    };
                    self.own().took(outcome, took_ns);
                    self.own().rejected(points, partial.rejected_points);
                    self.told.borrow_mut().accepted();
                    self.told.borrow_mut().partial(&partial, points);
                }
                Answer::Refused { why } => {
                    self.own().took(ExportOutcome::Refused, took_ns);
                    self.own().dropped(ExportLoss::Refused, points);
                    self.told.borrow_mut().failing(why, false);
                }
            }
            backoff = Backoff::default();
            self.queue.borrow_mut().remove(id);
            self.own().queue_is(self.queue.borrow().bytes());
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
