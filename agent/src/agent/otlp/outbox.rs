//! A sender on a thread of its own, for signals that are made elsewhere: profiles and spans.

use std::sync::Arc;
use std::time::Duration;

use model::label::ExportLoss;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::client::Client;
use super::queue::Queue;
use super::sender::Sender;
use super::thread::{LoopThread, Stopped};
use crate::agent::own_metrics::OwnMetrics;
use crate::config::{Export, Signal};
use crate::console;
use crate::error::Error;

/// Requests that may be handed over before the sender has looked at them. It only puts them into its queue, which is bounded in bytes.
const HANDED_OVER_MAX: usize = 256;

/// Spans are gathered for so long, or until there are so many bytes of them: a file for every look would be mostly empty.
const GATHER: Duration = Duration::from_secs(2);
const GATHER_BYTES: usize = 64 * 1024;

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

/// What sending needs, checked and opened.
pub(in crate::agent) struct Ready {
    client: Client,
    /// `None` where another one still holds its directory.
    queue: Option<Queue>,
}

impl Ready {
    /// Opens what can be opened now. Nothing is started.
    ///
    /// # Errors
    /// Where the certificates or the directory that were named cannot be used.
    pub(in crate::agent) fn new(export: &Export, with_queue: bool, own: &OwnMetrics) -> Result<Self, Error> {
        let client = Client::new(export)?;
        let queue = if with_queue { Some(super::queue(export, own)?) } else { None };
        Ok(Self { client, queue })
    }
}

impl Outbox {
    /// Starts a sender, which begins with what an earlier agent has left.
    ///
    /// # Errors
    /// Where the certificates or the directory that were named cannot be used.
    pub(in crate::agent) fn open(export: Export, own: &Arc<OwnMetrics>) -> Result<(Self, Delivery), Error> {
        let ready = Ready::new(&export, true, own)?;
        Self::start(export, ready, own)
    }

    /// Starts a sender with what was opened.
    ///
    /// # Errors
    /// Where the system refuses a thread, or a directory that it gave before.
    pub(in crate::agent) fn start(
        export: Export,
        ready: Ready,
        own: &Arc<OwnMetrics>,
    ) -> Result<(Self, Delivery), Error> {
        let Ready { client, queue } = ready;
        let signal = export.signal;
        own.exports(signal).begin();
        let queue = match queue {
            Some(queue) => queue,
            None => super::queue(&export, own)?,
        };
        let what = if signal == Signal::Traces { "slow iterations" } else { "profiles" };
        let told = format!("exporting {what} by {export}");
        let gather_max = if signal == Signal::Traces { GATHER_BYTES } else { 0 };
        let (requests, handed_over) = mpsc::channel(HANDED_OVER_MAX);
        let outbox = Self { requests, own: Arc::clone(own), signal };
        let sends = Arc::clone(own);
        let name = format!("export-{}", signal.items());
        let thread = LoopThread::start(name, "cannot start an exporter", move |stopped| {
            send(Sender::new(export, client, queue, sends), gather_max, handed_over, stopped)
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

async fn send(sender: Sender, gather_max: usize, handed_over: mpsc::Receiver<Request>, stopped: Stopped) {
    let gathered = tokio::sync::Mutex::new(Gathered { requests: handed_over, bytes: Vec::new(), items: 0 });
    let take = async {
        let mut gathered = gathered.lock().await;
        let mut due = None;
        loop {
            let next = match due {
                None => gathered.requests.recv().await,
                // `None` when it is time.
                Some(due) => timeout_at(due, gathered.requests.recv()).await.ok().flatten(),
            };
            let is_waited_for = next.is_some_and(|request| gathered.add(request) < gather_max);
            if is_waited_for {
                due = due.or_else(|| Some(Instant::now() + GATHER));
            } else if gathered.items > 0 {
                due = None;
                gathered.hand_on(&sender);
            } else {
                return;
            }
        }
    };
    let rest = async {
        let mut gathered = gathered.lock().await;
        while let Ok(request) = gathered.requests.try_recv() {
            if gathered.add(request) >= gather_max {
                gathered.hand_on(&sender);
            }
        }
        gathered.hand_on(&sender);
    };
    sender.run(take, stopped.wait(), rest).await;
}

/// What was handed over, until it is enough for a batch. Requests of spans behind each other are one: protobuf joins repeated fields.
struct Gathered {
    requests: mpsc::Receiver<Request>,
    bytes: Vec<u8>,
    items: u64,
}

impl Gathered {
    /// Gives how many bytes there are then.
    fn add(&mut self, request: Request) -> usize {
        self.items += request.items;
        match self.bytes.is_empty() {
            true => self.bytes = request.bytes,
            false => self.bytes.extend(request.bytes),
        }
        self.bytes.len()
    }

    fn hand_on(&mut self, sender: &Sender) {
        if self.items > 0 {
            sender.push(std::mem::take(&mut self.bytes), std::mem::take(&mut self.items));
        }
    }
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
