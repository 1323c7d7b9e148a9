//! Continuous profiling: all targets are sampled at a low rate, and every ten seconds a profile of each goes out.
//!
//! A thread of its own [records](recording): it follows the [roster](roster) that the measuring thread keeps, so that targets come and go,
//! and hands what it [encodes](encoding) to a sender on another thread. What it remembers of programs and their symbols it remembers once, not for
//! each profile.

mod encoding;
mod recording;
mod roster;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::otlp::{Delivery, Outbox, Ready};
use super::own_metrics::OwnMetrics;
use crate::config::Profiling;
use crate::error::Error;
pub(super) use roster::{Roster, Wanted};

/// A profiler that runs.
pub(super) struct Profiler {
    stopping: Arc<AtomicBool>,
    recording: JoinHandle<()>,
    delivery: Delivery,
}

impl Profiler {
    /// Starts it. That processes may not be sampled is no error: it is told, and the agent measures them all the same.
    ///
    /// # Errors
    /// Where the system refuses a thread, or a directory that it gave before.
    pub(super) fn start(
        profiling: Profiling,
        ready: Ready,
        roster: Roster,
        own: &Arc<OwnMetrics>,
    ) -> Result<Self, Error> {
        let (outbox, delivery) = Outbox::start(profiling.export.clone(), ready, own)?;
        delivery.tell();
        own.profiling().begin();
        let stopping = Arc::new(AtomicBool::new(false));
        let (own, stopped) = (Arc::clone(own), Arc::clone(&stopping));
        let recording = std::thread::Builder::new()
            .name("profile".into())
            .spawn(move || recording::run(&profiling, &roster, outbox, &own, &stopped))
            .map_err(|source| Error::System { doing: "cannot start the profiler", source })?;
        Ok(Self { stopping, recording, delivery })
    }

    /// Tells it to end: to send what was recorded so far.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether it has, and what was recorded is sent as far as it can be.
    pub(super) fn has_ended(&self) -> bool {
        self.recording.is_finished() && self.delivery.has_ended()
    }

    /// Waits for its end.
    pub(super) fn finish(self) {
        self.stop();
        if let Err(panic) = self.recording.join() {
            std::panic::resume_unwind(panic);
        }
        self.delivery.finish();
    }
}
