//! Finding every process that publishes telemetry, again and again, at little cost.
//!
//! A full look at a process reads its list of mappings, which takes from 50 µs to some milliseconds. A scan instead
//! reads one number of every process: the size of its address space (`/proc/PID/statm`, a few µs). Publishing maps
//! memory, so a process is looked at when it is new, when that size has changed since the last look, and once a
//! minute in any case. A process whose size changes all the time is looked at less and less often, down to every 30 s.

use std::collections::{BTreeMap, HashMap};
use std::io;

use model::time::Monotonic;

use super::{Telemetry, TelemetryError};
use crate::target::{Pid, ProcessError, pids};

const LOOK_WAIT_FIRST_NS: u64 = 500_000_000;
const LOOK_WAIT_MAX_NS: u64 = 30_000_000_000;
const LOOK_AT_LEAST_EVERY_NS: u64 = 60_000_000_000;

/// The processes that publish telemetry, kept up to date by [`Discovery::scan`].
#[derive(Debug, Default)]
pub struct Discovery {
    targets: BTreeMap<Pid, Telemetry>,
    others: HashMap<Pid, Look>,
}

/// What one scan found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Processes that publish telemetry and did not, or were not known, before.
    pub appeared: Vec<Pid>,
    /// Processes that no longer do: they have ended, or executed another program.
    pub disappeared: Vec<Pid>,
    /// Failures that are new: a process that fails in the same way at every look is reported once.
    pub failures: Vec<TelemetryError>,
}

/// The last look at a process that publishes nothing that can be read.
#[derive(Debug)]
struct Look {
    at: Monotonic,
    /// How long to wait after it before a change is reason for another.
    wait_ns: u64,
    virtual_pages: u64,
    result: LookResult,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LookResult {
    NotPublished,
    /// Its mappings may not be read, so nobody knows whether it publishes.
    Hidden,
    /// It publishes something that cannot be read.
    Unreadable,
}

impl Discovery {
    /// The processes that publish telemetry, by ascending id.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = &Telemetry> {
        self.targets.values()
    }

    /// How many processes publish something that cannot be read.
    pub fn unreadable(&self) -> usize {
        self.count(LookResult::Unreadable)
    }

    /// How many processes may not be looked at, so that it is not known whether they publish.
    pub fn hidden(&self) -> usize {
        self.count(LookResult::Hidden)
    }

    fn count(&self, result: LookResult) -> usize {
        self.others.values().filter(|look| look.result == result).count()
    }

    /// Brings the list of targets up to date.
    ///
    /// # Errors
    /// Where `/proc` cannot be listed. The targets are then those of the scan before.
    pub fn scan(&mut self, now: Monotonic) -> io::Result<Scan> {
        let mut scan = Scan::default();
        let mut pids: Vec<Pid> = pids()?.collect();
        pids.sort_unstable();
        self.targets.retain(|pid, telemetry| {
            let published = telemetry.is_published();
            if !published {
                scan.disappeared.push(*pid);
            }
            published
        });
        self.others.retain(|pid, _| pids.binary_search(pid).is_ok());
        for pid in pids {
            if !self.targets.contains_key(&pid) {
                self.look_if_due(pid, now, &mut scan);
            }
        }
        Ok(scan)
    }

    /// Forgets a target that turned out to have ended, until the next scan.
    pub fn forget(&mut self, pid: Pid) {
        self.targets.remove(&pid);
    }

    fn look_if_due(&mut self, pid: Pid, now: Monotonic, scan: &mut Scan) {
        // A process that has ended since the listing is no failure, and kernel threads have no address space.
        let Some(virtual_pages) = virtual_pages(pid).filter(|&pages| pages > 0) else {
            self.others.remove(&pid);
            return;
        };
        let before = self.others.get(&pid);
        if !before.is_none_or(|look| look.is_stale(virtual_pages, now)) {
            return;
        }
        let error = match Telemetry::open(pid) {
            Ok(telemetry) => {
                self.targets.insert(pid, telemetry);
                self.others.remove(&pid);
                scan.appeared.push(pid);
                return;
            }
            Err(error) => error,
        };
        let result = match &error {
            TelemetryError::NotPublished { .. } => LookResult::NotPublished,
            TelemetryError::Process(ProcessError::Vanished { .. }) => return,
            TelemetryError::Process(_) => LookResult::Hidden,
            _ => LookResult::Unreadable,
        };
        let wait_ns = before.map_or(LOOK_WAIT_FIRST_NS, |look| (look.wait_ns * 2).min(LOOK_WAIT_MAX_NS));
        if result != LookResult::NotPublished && before.is_none_or(|look| look.result != result) {
            scan.failures.push(error);
        }
        self.others.insert(pid, Look { at: now, wait_ns, virtual_pages, result });
    }
}

impl Look {
    fn is_stale(&self, virtual_pages: u64, now: Monotonic) -> bool {
        let since_ns = now.since_ns(self.at);
        let changed = virtual_pages != self.virtual_pages || self.result == LookResult::Unreadable;
        changed && since_ns >= self.wait_ns || since_ns >= LOOK_AT_LEAST_EVERY_NS
    }
}

/// The size of a process's address space, which every process may read of every other.
fn virtual_pages(pid: Pid) -> Option<u64> {
    let statm = std::fs::read(format!("/proc/{pid}/statm")).ok()?;
    std::str::from_utf8(&statm).ok()?.split(' ').next()?.parse().ok()
}
