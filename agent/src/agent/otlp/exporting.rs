//! The exporter's thread: collecting at every interval, and sending what waits, side by side on one thread.

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::batch::Batcher;
use super::sender::Sender;
use super::thread::Stopped;
use crate::agent::worker::{NoAnswer, Worker};
use crate::clock;
use crate::config::Export;

/// How long to wait when too many scrapes are under way.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

/// The exporter of metrics, on its thread.
pub(super) struct Exporting {
    worker: Worker,
    batcher: RefCell<Batcher>,
    sender: Sender,
}

impl Exporting {
    /// Nothing has been exported yet but what the batcher knows of.
    pub(super) fn new(sender: Sender, batcher: Batcher, worker: Worker) -> Self {
        Self { batcher: RefCell::new(batcher), worker, sender }
    }

    fn export(&self) -> &Export {
        self.sender.export()
    }

    /// Exports until it is told to stop, and then what is left; gives what it knows of the sums.
    pub(super) async fn run(self, stopped: Stopped) -> Batcher {
        self.sender.run(self.collect_all(), stopped.wait(), self.collect()).await;
        self.batcher.into_inner()
    }

    /// Collects at every interval, beginning now.
    async fn collect_all(&self) {
        let mut ticks = interval(self.export().interval);
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
            self.sender.push(batch.request, batch.points);
        }
    }
}
