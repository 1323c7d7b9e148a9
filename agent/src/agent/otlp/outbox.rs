//! A sender on a thread of its own, for signals that are made elsewhere: profiles and spans.

use std::sync::Arc;

use model::label::ExportLoss;
use tokio::sync::mpsc;

use super::client::Client;
use super::sender::Sender;
use super::thread::{LoopThread, Stopped};
use crate::agent::own_metrics::OwnMetrics;
use crate::config::{Export, Signal};
use crate::console;
use crate::error::Error;

/// Requests that may be handed over before the sender has looked at them. It only puts them into its queue, which is bounded in bytes.
const HANDED_OVER_MAX: usize = 256;

/// Where requests are handed over. It never blocks.
#[derive(Clone)]
pub(in crate::agent) struct Outbox {
    requests: mpsc::Sender<Request>,
    own: Arc<OwnMetrics>,
    signal: Signal,
}

struct Request {
    bytes: Vec<u8>,
    items: u64,
}

/// The sender of what is handed over.
pub(in crate::agent) struct Delivery {
    thread: LoopThread<()>,
    /// What is sent, and where to.
    told: String,
}

impl Outbox {
    /// Checks what sending so needs. Nothing is started.
    ///
    /// # Errors
    /// Where the certificates that were named cannot be used.
    pub(in crate::agent) fn check(export: &Export) -> Result<(), Error> {
        Client::new(export).map(drop)
    }

    /// Starts a sender, which begins with what an earlier agent has left.
    ///
    /// # Errors
    /// Where the certificates or the directory that were named cannot be used.
    pub(in crate::agent) fn open(export: Export, own: &Arc<OwnMetrics>) -> Result<(Self, Delivery), Error> {
        let client = Client::new(&export)?;
        let signal = export.signal;
        own.exports(signal).begin();
        let queue = super::queue(&export, own)?;
        let what = if signal == Signal::Traces { "slow iterations" } else { "profiles" };
        let told = format!("exporting {what} by {export}");
        let (requests, handed_over) = mpsc::channel(HANDED_OVER_MAX);
        let outbox = Self { requests, own: Arc::clone(own), signal };
        let sends = Arc::clone(own);
        let name = format!("export-{}", signal.items());
        let thread = LoopThread::start(name, "cannot start an exporter", move |stopped| {
            send(Sender::new(export, client, queue, sends), handed_over, stopped)
        })?;
        Ok((outbox, Delivery { thread, told }))
    }

    /// Hands a request over, which is made of so many samples or spans.
    pub(in crate::agent) fn put(&self, bytes: Vec<u8>, items: u64) {
        if self.requests.try_send(Request { bytes, items }).is_err() {
            self.own.exports(self.signal).dropped(ExportLoss::QueueFull, items);
        }
    }
}

async fn send(sender: Sender, handed_over: mpsc::Receiver<Request>, stopped: Stopped) {
    let handed_over = tokio::sync::Mutex::new(handed_over);
    let take = async {
        let mut handed_over = handed_over.lock().await;
        while let Some(request) = handed_over.recv().await {
            sender.push(request.bytes, request.items);
        }
    };
    let rest = async {
        let mut handed_over = handed_over.lock().await;
        while let Ok(request) = handed_over.try_recv() {
            sender.push(request.bytes, request.items);
        }
    };
    sender.run(take, stopped.wait(), rest).await;
}

impl Delivery {
    /// Says what is sent, and where to.
    pub(in crate::agent) fn tell(&self) {
        console::line(format_args!("{}", self.told));
    }

    /// Tells it to end: to send what waits, within a deadline.
    pub(in crate::agent) fn stop(&self) {
        self.thread.stop();
    }

    /// Whether it has, because it was told to or because nobody can hand anything over any more.
    pub(in crate::agent) fn has_ended(&self) -> bool {
        self.thread.has_ended()
    }

    /// Waits for its end.
    pub(in crate::agent) fn finish(self) {
        self.thread.finish();
    }
}
