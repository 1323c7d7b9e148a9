//! Events on all threads of a process that runs.
//!
//! Between looking for threads and opening events on them, some start others, which may or may not inherit events: on
//! all CPUs, on some or on none. So we look again, and give events to those that are new, whether or not they
//! have inherited any; [`Inheritance`] sees to it that they do not count twice.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

use super::inheritance::Inheritance;
use super::sampling::Sampling;
use super::system;
use crate::Error;
use crate::sys::perf_event;
use crate::sys::ring::Ring;

/// In each round only threads can be missed that were started by threads which were missed before, within the time of the
/// round. What a process with such habits starts later has inherited all, so it need not be looked for for ever.
const ROUNDS_MAX: usize = 5;

/// The events on the threads of a process.
pub(crate) struct Threads {
    pub(crate) events: Vec<OwnedFd>,
    /// The threads that were found.
    pub(crate) found: HashSet<u32>,
    pub(crate) inheritance: Inheritance,
}

impl Threads {
    /// Opens events on all threads of process `pid`.
    pub(crate) fn open(pid: u32, sampling: &Sampling, rings: &[Ring]) -> Result<Self, Error> {
        let mut threads =
            Self { events: Vec::new(), found: HashSet::new(), inheritance: Inheritance::default() };
        for round in 0..ROUNDS_MAX {
            let mut new = system::threads(pid);
            new.retain(|tid| threads.found.insert(*tid));
            if new.is_empty() {
                break;
            }
            for tid in new {
                let before = threads.events.len();
                sampling.open((pid, tid), rings, &mut threads.events)?;
                if round > 0 {
                    threads.remember(tid, before)?;
                }
            }
        }
        if threads.events.is_empty() { Err(Error::ProcessEnded { pid }) } else { Ok(threads) }
    }

    /// Remembers the events from position `from` on as those that count for thread `tid`.
    fn remember(&mut self, tid: u32, from: usize) -> Result<(), Error> {
        for event in &self.events[from..] {
            let id = perf_event::id(event.as_fd())
                .map_err(|source| Error::System { doing: "identifying a performance event", source })?;
            self.inheritance.opened(tid, id);
        }
        Ok(())
    }
}
