//! Whom to profile: the measuring thread knows it, the profiler asks for it.

use std::sync::{Arc, Mutex, PoisonError};

/// A process that is to be profiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::agent) struct Wanted {
    pub(in crate::agent) pid: u32,
    /// When it started; `None` where nobody can tell.
    pub(in crate::agent) started_unix_ns: Option<u64>,
    pub(in crate::agent) service: String,
    /// The threads of its loops, each with the loop's name as its series have it.
    pub(in crate::agent) loops: Vec<(u32, String)>,
}

/// The processes that are to be profiled now.
#[derive(Clone, Debug, Default)]
pub(in crate::agent) struct Roster(Arc<Mutex<Vec<Wanted>>>);

impl Roster {
    /// These, and no others.
    pub(in crate::agent) fn replace(&self, wanted: Vec<Wanted>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }

    /// Those that were named last.
    pub(super) fn get(&self) -> Vec<Wanted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
