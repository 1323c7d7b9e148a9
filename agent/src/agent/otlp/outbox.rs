//! A sender on a thread of its own, for signals that are made elsewhere: profiles and spans.

use std::sync::Arc;
use std::thread::JoinHandle;

use model::label::ExportLoss;
use tokio::sync::{mpsc, watch};

use super::client::Client;
use super::queue::Queue;
use super::sender::Sender;
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
    stopping: watch::Sender<bool>,
    thread: JoinHandle<()>,
    /// What is sent, and where to.
    told: String,
}

impl Outbox {
    /// Starts a sender.
    ///
    /// # Errors
    /// Where the certificates that were named cannot be used.
    pub(in crate::agent) fn open(export: Export, own: &Arc<OwnMetrics>) -> Result<(Self, Delivery), Error> {
        let system = |source| Error::System { doing: "cannot start an exporter", source };
        let client = Client::new(&export)?;
        let signal = export.signal;
        own.exports(signal).begin();
        let queue = Queue::new(export.queue_bytes);
        let what = if signal == Signal::Traces { "slow iterations" } else { "profiles" };
        let told = format!("exporting {what} by {export}");
        let (requests, handed_over) = mpsc::channel(HANDED_OVER_MAX);
        let (stopping, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let outbox = Self { requests, own: Arc::clone(own), signal };
        let sends = Arc::clone(own);
        let thread = std::thread::Builder::new()
            .name(format!("export-{}", signal.items()))
            .spawn(move || {
                let sender = Sender::new(export, client, queue, sends);
                runtime.block_on(send(&sender, handed_over, stopped));
                // A look-up of a name that hangs has a thread that nobody waits for.
                runtime.shutdown_background();
            })
            .map_err(system)?;
        Ok((outbox, Delivery { stopping, thread, told }))
    }

    /// Hands a request over, which is made of so many samples or spans.
    pub(in crate::agent) fn put(&self, bytes: Vec<u8>, items: u64) {
        if self.requests.try_send(Request { bytes, items }).is_err() {
            self.own.exports(self.signal).dropped(ExportLoss::QueueFull, items);
        }
    }
}

async fn send(sender: &Sender, handed_over: mpsc::Receiver<Request>, mut stopped: watch::Receiver<bool>) {
    let handed_over = tokio::sync::Mutex::new(handed_over);
    let take = async {
        let mut handed_over = handed_over.lock().await;
        while let Some(request) = handed_over.recv().await {
            sender.push(request.bytes, request.items);
        }
    };
    let stopped = async { drop(stopped.wait_for(|&stopping| stopping).await) };
    let rest = async {
        let mut handed_over = handed_over.lock().await;
        while let Ok(request) = handed_over.try_recv() {
            sender.push(request.bytes, request.items);
        }
    };
    sender.run(take, stopped, rest).await;
}

impl Delivery {
    /// Says what is sent, and where to.
    pub(in crate::agent) fn tell(&self) {
        console::line(format_args!("{}", self.told));
    }

    /// Tells it to end: to send what waits, within a deadline.
    pub(in crate::agent) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Waits for its end.
    pub(in crate::agent) fn finish(self) {
        self.stop();
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}
