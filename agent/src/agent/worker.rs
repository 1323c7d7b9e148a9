//! The thread that measures.
//!
//! It takes scrapes from a bounded queue, one at a time, so the memory for answers is bounded, too; what is exported is asked
//! for in the same way. Between them it tends the targets: it looks for new ones, and takes the readings that are due.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use formats::prometheus;
use model::label::ScrapeFormat;
use model::snapshot::Snapshot;
use model::time::Monotonic;
use tokio::sync::oneshot;

use super::Links;
use super::body::{Body, Maker};
use super::names::Names;
use super::own_metrics::OwnMetrics;
use super::targets::{ProcessNote, Targets};
use crate::clock;
use crate::config::Settings;
use crate::error::Error;

/// Scrapes that may wait while one is under way. A host has one or two Prometheus servers; more than this is a mistake.
const SCRAPES_WAITING_MAX: usize = 4;

/// A scrape tells the longest iteration of so much time.
const EXEMPLARS_OF_NS: u64 = 60_000_000_000;

/// The side of the measuring thread that others hold. The thread ends when all are dropped.
#[derive(Clone)]
pub(super) struct Worker {
    queue: SyncSender<Asked>,
    ready: Arc<AtomicBool>,
    /// Beside the queue, so that scrapes can not keep them out; newer ones take the place of older.
    new_settings: NewSettings,
}

type NewSettings = Arc<Mutex<Option<Settings>>>;

/// What the thread is woken for.
enum Asked {
    /// Nothing but to look for new settings.
    Nothing,
    Scrape(Scrape),
    Reading(oneshot::Sender<Reading>),
}

/// Everything that is measured, for one who encodes it.
#[derive(Debug)]
pub(super) struct Reading {
    /// The series.
    pub(super) snapshot: Snapshot,
    /// What they do not tell of the processes.
    pub(super) notes: Vec<ProcessNote>,
}

struct Scrape {
    asked: Monotonic,
    names: Names,
    format: ScrapeFormat,
    gzip: bool,
    answer: oneshot::Sender<Body>,
}

/// Why a scrape has no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// Too many are under way.
    Busy,
    /// The measuring thread has ended, which only a defect can cause.
    Ended,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(own: Arc<OwnMetrics>, links: Links, settings: Settings) -> Result<Self, Error> {
        let (queue, scrapes) = sync_channel(SCRAPES_WAITING_MAX);
        let ready = Arc::new(AtomicBool::new(false));
        let reports_ready = Arc::clone(&ready);
        let new_settings = NewSettings::default();
        let looks_for = Arc::clone(&new_settings);
        std::thread::Builder::new()
            .name("measure".into())
            .spawn(move || {
                let targets = Targets::new(Arc::clone(&own), links, settings);
                measure(&scrapes, targets, &own, &reports_ready, &looks_for);
            })
            .map_err(|source| Error::System { doing: "cannot start a thread", source })?;
        Ok(Self { queue, ready, new_settings })
    }

    /// Goes on by other settings, soon.
    pub(super) fn reconfigure(&self, settings: Settings) {
        *self.new_settings.lock().unwrap_or_else(PoisonError::into_inner) = Some(settings);
        // Where the queue is full, the thread is awake.
        let _ = self.queue.try_send(Asked::Nothing);
    }

    /// Whether the host's processes have been searched for targets.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Reads all targets and gives the encoded answer, a long one while it is still being encoded.
    pub(super) async fn scrape(
        &self,
        names: Names,
        format: ScrapeFormat,
        gzip: bool,
    ) -> Result<Body, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        let scrape = Scrape { asked: clock::monotonic(), names, format, gzip, answer };
        self.ask(Asked::Scrape(scrape))?;
        answered.await.map_err(|_| NoAnswer::Ended)
    }

    /// Reads all targets, by the catalogue's names, and gives what was read.
    pub(super) async fn read(&self) -> Result<Reading, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.ask(Asked::Reading(answer))?;
        answered.await.map_err(|_| NoAnswer::Ended)
    }

    fn ask(&self, asked: Asked) -> Result<(), NoAnswer> {
        self.queue.try_send(asked).map_err(|error| match error {
            TrySendError::Full(_) => NoAnswer::Busy,
            TrySendError::Disconnected(_) => NoAnswer::Ended,
        })
    }
}

fn measure(
    asked: &Receiver<Asked>,
    mut targets: Targets,
    own: &OwnMetrics,
    ready: &AtomicBool,
    new_settings: &Mutex<Option<Settings>>,
) {
    let mut last_export = clock::monotonic();
    loop {
        let settings = new_settings.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(settings) = settings {
            targets.reconfigure(settings);
        }
        let next = targets.tend();
        ready.store(targets.is_ready(), Ordering::Relaxed);
        let wait = Duration::from_nanos(next.since_ns(clock::monotonic()));
        match asked.recv_timeout(wait) {
            Ok(Asked::Nothing) => {}
            // Whoever asked may have gone away while the scrape waited.
            Ok(Asked::Scrape(scrape)) if scrape.answer.is_closed() => {}
            Ok(Asked::Scrape(scrape)) => {
                let (format, asked) = (scrape.format, scrape.asked);
                if let Ok(answer) = encode(&mut targets, scrape) {
                    own.scrape_took(format, clock::monotonic().since_ns(asked));
                    answer.finish();
                }
            }
            Ok(Asked::Reading(answer)) if answer.is_closed() => {}
            Ok(Asked::Reading(answer)) => {
                let since = std::mem::replace(&mut last_export, clock::monotonic());
                let snapshot = targets.read(Names::Loopscope, since);
                let _ = answer.send(Reading { snapshot, notes: targets.notes() });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Reads and encodes everything; fails where nobody waits for it any more.
fn encode(targets: &mut Targets, scrape: Scrape) -> io::Result<Maker> {
    // A server that scrapes within a minute gets each of the longest, and knows what it has got already.
    let since = clock::monotonic().as_ns().saturating_sub(EXEMPLARS_OF_NS);
    let snapshot = targets.read(scrape.names, Monotonic::from_ns(since));
    let mut out = Maker::new(scrape.answer);
    if scrape.gzip {
        let mut out = GzEncoder::new(out, Compression::fast());
        prometheus::encode(scrape.format, &snapshot, &mut out)?;
        out.finish()
    } else {
        prometheus::encode(scrape.format, &snapshot, &mut out)?;
        Ok(out)
    }
}
