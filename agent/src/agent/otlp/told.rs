//! What the operator is told of the export: each change once, however long it lasts.

use std::io;
use std::path::Path;

use formats::otlp::answer::Partial;

use crate::config::{Endpoint, Signal};
use crate::console::{self, shown};

/// What the operator knows already.
#[derive(Debug)]
pub(super) struct Told {
    endpoint: Endpoint,
    signal: Signal,
    /// Why the receiver does not take anything; `None` while it does.
    failing: Option<String>,
    partial: bool,
    full: bool,
    unwritten: bool,
}

impl Told {
    /// Nothing, of this receiver.
    pub(super) fn new(endpoint: Endpoint, signal: Signal) -> Self {
        Self { endpoint, signal, failing: None, partial: false, full: false, unwritten: false }
    }

    /// An attempt failed.
    pub(super) fn failing(&mut self, why: String, is_retried: bool) {
        if self.failing.as_ref() == Some(&why) {
            return;
        }
        let then = if is_retried {
            "it is tried again"
        } else {
            "the batch is dropped, for trying again would not help"
        };
        console::line(format_args!("export by {}: {}; {then}", self.endpoint, shown(&why)));
        self.failing = Some(why);
    }

    /// The receiver took a batch.
    pub(super) fn accepted(&mut self) {
        self.full = false;
        if self.failing.take().is_some() {
            console::line(format_args!(
                "export by {}: the receiver takes {} again",
                self.endpoint,
                self.signal.items()
            ));
        }
    }

    /// The receiver took a part of a batch with so many points, or all of it and has a warning.
    pub(super) fn partial(&mut self, partial: &Partial, points: u64) {
        if !std::mem::replace(&mut self.partial, true) {
            console::line(format_args!(
                "export: the receiver did not take {} {} of a batch of {points} {}: {}; this is told once",
                partial.rejected_points,
                self.signal.rejected(),
                self.signal.items(),
                shown(&partial.message)
            ));
        }
    }

    /// Points were dropped because the queue is full.
    pub(super) fn full(&mut self) {
        if !std::mem::replace(&mut self.full, true) {
            console::line(format_args!(
                "export: the queue is full: the oldest {} are dropped until the receiver takes some",
                self.signal.items()
            ));
        }
    }

    /// A batch was written to this folder, or could not be.
    pub(super) fn kept(&mut self, folder: &Path, written: &io::Result<()>) {
        let was_unwritten = std::mem::replace(&mut self.unwritten, written.is_err());
        if let (Err(error), false) = (written, was_unwritten) {
            console::line(format_args!(
                "export: cannot keep {} in {}: {error}; they wait in memory",
                self.signal.items(),
                folder.display()
            ));
        }
    }
}
