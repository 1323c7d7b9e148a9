//! The exporter of the moment: none, one, or another one after the configuration was read again.
//!
//! Another one takes over where the one before ended: that collects a last time, sends what waits within the deadline of an agent's end, and
//! hands on what it knows of the sums, so no difference is told twice and none is missing. What it could not send is counted as lost, as
//! at an agent's end. What can be checked is checked before anything is taken down.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::otlp::{self, Exporter, Prepared};
use super::own_metrics::OwnMetrics;
use super::worker::Worker;
use crate::config::Export;
use crate::console;
use crate::error::Error;

/// Between two looks at an exporter that ends.
const PAUSE: Duration = Duration::from_millis(20);

/// What is exported now.
pub(super) struct Exports {
    worker: Worker,
    own: Arc<OwnMetrics>,
    current: RefCell<Option<Current>>,
}

struct Current {
    export: Export,
    exporter: Exporter,
}

/// What becomes of the exporter.
pub(super) enum Change {
    None,
    End,
    To(Box<Prepared>),
}

impl Exports {
    /// Nothing is exported yet.
    pub(super) fn new(worker: Worker, own: &Arc<OwnMetrics>) -> Self {
        Self { worker, own: Arc::clone(own), current: RefCell::new(None) }
    }

    /// Checks and opens what exporting so would need. Nothing is changed or told yet.
    ///
    /// # Errors
    /// Where the certificates or the directory that are named cannot be used.
    pub(super) fn prepare(&self, export: Option<Export>) -> Result<Change, Error> {
        let current = self.current.borrow();
        let before = current.as_ref().map(|current| &current.export);
        match export {
            export if export.as_ref() == before => Ok(Change::None),
            None => Ok(Change::End),
            Some(export) => {
                // A directory belongs to one exporter: the same one is opened when the one before has let go of it.
                let is_held = export.buffer.is_some() && before.is_some_and(|it| it.buffer == export.buffer);
                Prepared::new(export, !is_held, &self.own).map(|prepared| Change::To(Box::new(prepared)))
            }
        }
    }

    /// Makes a change that was prepared. While the exporter before ends, others go on.
    ///
    /// # Errors
    /// Where the system refuses a thread, or a directory that it gave before.
    pub(super) async fn make(&self, change: Change) -> Result<(), Error> {
        let prepared = match change {
            Change::None => return Ok(()),
            Change::End => None,
            Change::To(prepared) => Some(*prepared),
        };
        self.stop();
        while self.current.borrow().as_ref().is_some_and(|current| !current.exporter.has_ended()) {
            sleep(PAUSE).await;
        }
        let before =
            self.current.borrow_mut().take().map(|Current { export, exporter }| (export, exporter.finish()));
        let Some(prepared) = prepared else {
            console::line(format_args!("metrics are no longer exported"));
            return Ok(());
        };
        let export = prepared.export().clone();
        // Other sums are told as differences: what is known of them does not help.
        let known = before.filter(|(before, _)| before.preference == export.preference);
        let exporter = prepared.start(self.worker.clone(), known.map(|(_, known)| known))?;
        *self.current.borrow_mut() = Some(Current { export, exporter });
        Ok(())
    }

    /// Tells the exporter, if there is one, to end.
    pub(super) fn stop(&self) {
        if let Some(current) = &*self.current.borrow() {
            current.exporter.stop();
        }
    }

    /// Waits for the exporter's end, if there is one.
    pub(super) fn finish(self) {
        if let Some(current) = self.current.into_inner() {
            let _: otlp::Batcher = current.exporter.finish();
        }
    }
}
