//! The profiler of the moment: none, one, or another one after the configuration was read again.
//!
//! Another one begins when the one before has ended: both could not have the memory for samples that a user may lock. What the one before recorded
//! is sent within the deadline of an agent's end; a few samples are missing in between, of which nobody is told to have any. What can be checked is checked before
//! anything is taken down.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::otlp::Ready;
use super::own_metrics::OwnMetrics;
use super::profiler::{Profiler, Roster};
use crate::config::Profiling;
use crate::console;
use crate::error::Error;

/// Between two looks at a profiler that ends.
const PAUSE: Duration = Duration::from_millis(20);

/// What is profiled now.
pub(super) struct Profiles {
    roster: Roster,
    own: Arc<OwnMetrics>,
    current: RefCell<Option<(Profiling, Profiler)>>,
}

/// What becomes of the profiler.
pub(super) enum Change {
    None,
    End,
    To(Box<(Profiling, Ready)>),
}

impl Profiles {
    /// Nobody is profiled yet.
    pub(super) fn new(roster: Roster, own: &Arc<OwnMetrics>) -> Self {
        Self { roster, own: Arc::clone(own), current: RefCell::new(None) }
    }

    /// Checks what profiling so would need. Nothing is changed yet.
    ///
    /// # Errors
    /// Where the certificates or the directory that are named cannot be used.
    pub(super) fn prepare(&self, profiling: Option<Profiling>) -> Result<Change, Error> {
        let current = self.current.borrow();
        match profiling {
            profiling if profiling.as_ref() == current.as_ref().map(|(before, _)| before) => Ok(Change::None),
            None => Ok(Change::End),
            Some(profiling) => {
                // A directory belongs to one profiler: the same one is opened when the one before has let go of it.
                let before = current.as_ref().map(|(before, _)| &before.export.buffer);
                let is_held = profiling.export.buffer.is_some() && before == Some(&profiling.export.buffer);
                let ready = Ready::new(&profiling.export, !is_held, &self.own)?;
                Ok(Change::To(Box::new((profiling, ready))))
            }
        }
    }

    /// Makes a change that was prepared. While the profiler before ends, others go on.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub(super) async fn make(&self, change: Change) -> Result<(), Error> {
        let next = match change {
            Change::None => return Ok(()),
            Change::End => None,
            Change::To(next) => Some(*next),
        };
        self.stop();
        while self.current.borrow().as_ref().is_some_and(|(_, profiler)| !profiler.has_ended()) {
            sleep(PAUSE).await;
        }
        if let Some((_, profiler)) = self.current.borrow_mut().take() {
            profiler.finish();
        }
        let Some((profiling, ready)) = next else {
            console::line(format_args!("nobody is profiled any more"));
            return Ok(());
        };
        let profiler = Profiler::start(profiling.clone(), ready, self.roster.clone(), &self.own)?;
        *self.current.borrow_mut() = Some((profiling, profiler));
        Ok(())
    }

    /// Tells the profiler, if there is one, to end.
    pub(super) fn stop(&self) {
        if let Some((_, profiler)) = &*self.current.borrow() {
            profiler.stop();
        }
    }

    /// Waits for the profiler's end, if there is one.
    pub(super) fn finish(self) {
        if let Some((_, profiler)) = self.current.into_inner() {
            profiler.finish();
        }
    }
}
