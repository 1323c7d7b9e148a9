//! Finding every process that is of a kind, again and again, at little cost.
//!
//! A full look at a process reads its list of mappings, which takes from 50 µs to some milliseconds. A scan instead
//! reads one number of every process: the size of its address space (`/proc/PID/statm`, a few µs). What a process is of
//! interest for (a telemetry segment, a library) is mapped memory, so a process is looked at when it is new, when that
//! size has changed since the last look, and once a minute in any case. A process whose size changes all the time is
//! looked at less and less often, down to every 30 s.

use std::collections::{BTreeMap, HashMap};
use std::io;

use model::time::Monotonic;

use super::{Pid, pids};

const LOOK_WAIT_FIRST_NS: u64 = 500_000_000;
const LOOK_WAIT_MAX_NS: u64 = 30_000_000_000;
const LOOK_AT_LEAST_EVERY_NS: u64 = 60_000_000_000;

/// What is looked for in processes.
pub trait Find {
    /// What is kept of a process in which it was found.
    type Found;
    /// Why it was not found.
    type Failure;

    /// Looks at a process.
    ///
    /// # Errors
    /// Whatever [`Find::miss`] makes sense of.
    fn find(&mut self, pid: Pid) -> Result<Self::Found, Self::Failure>;

    /// Whether it is still there: the process may have ended, or executed another program.
    fn holds(&self, found: &Self::Found) -> bool;

    /// What a failure means for later looks.
    fn miss(failure: &Self::Failure) -> Miss;
}

/// Why something was not found in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// It is not there: not a failure, most processes are of no interest.
    Absent,
    /// The process has ended.
    Vanished,
    /// The process may not be looked at, so nobody knows.
    Hidden,
    /// It is there and cannot be read.
    Unreadable,
}

/// The processes in which something was found, kept up to date by [`Discovery::scan`].
#[derive(Debug)]
pub struct Discovery<F: Find> {
    find: F,
    targets: BTreeMap<Pid, F::Found>,
    others: HashMap<Pid, Look>,
}

impl<F: Find + Default> Default for Discovery<F> {
    fn default() -> Self {
        Self::new(F::default())
    }
}

/// What one scan found.
#[derive(Debug)]
pub struct Scan<F: Find> {
    /// Processes in which it is found and was not, or that were not known, before.
    pub appeared: Vec<Pid>,
    /// Processes in which it no longer is, and what was kept of them: they have ended, or executed another program.
    pub disappeared: Vec<(Pid, F::Found)>,
    /// Failures that are new: a process that fails in the same way at every look is reported once.
    pub failures: Vec<F::Failure>,
}

/// The last look at a process in which nothing was found.
#[derive(Debug)]
struct Look {
    at: Monotonic,
    /// How long to wait after it before a change is reason for another.
    wait_ns: u64,
    virtual_pages: u64,
    result: Miss,
}

impl<F: Find> Discovery<F> {
    /// Nothing found yet.
    pub fn new(find: F) -> Self {
        Self { find, targets: BTreeMap::new(), others: HashMap::new() }
    }

    /// What was found, by ascending id of the process.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = &F::Found> {
        self.targets.values()
    }

    /// What was found, to be changed.
    pub fn targets_mut(&mut self) -> impl ExactSizeIterator<Item = (Pid, &mut F::Found)> {
        self.targets.iter_mut().map(|(pid, found)| (*pid, found))
    }

    /// What looks.
    pub fn find(&self) -> &F {
        &self.find
    }

    /// What looks.
    pub fn find_mut(&mut self) -> &mut F {
        &mut self.find
    }

    /// How many processes have it in a form that cannot be read.
    pub fn unreadable(&self) -> usize {
        self.count(Miss::Unreadable)
    }

    /// How many processes may not be looked at, so that it is not known whether they have it.
    pub fn hidden(&self) -> usize {
        self.count(Miss::Hidden)
    }

    fn count(&self, result: Miss) -> usize {
        self.others.values().filter(|look| look.result == result).count()
    }

    /// Brings the list of targets up to date.
    ///
    /// # Errors
    /// Where `/proc` cannot be listed. The targets are then those of the scan before.
    pub fn scan(&mut self, now: Monotonic) -> io::Result<Scan<F>> {
        let mut scan = Scan { appeared: Vec::new(), disappeared: Vec::new(), failures: Vec::new() };
        let mut pids: Vec<Pid> = pids()?.collect();
        pids.sort_unstable();
        let gone = self.targets.iter().filter(|(_, found)| !self.find.holds(found)).map(|(pid, _)| *pid);
        for pid in gone.collect::<Vec<_>>() {
            scan.disappeared.extend(self.targets.remove(&pid).map(|found| (pid, found)));
        }
        self.others.retain(|pid, _| pids.binary_search(pid).is_ok());
        for pid in pids {
            if !self.targets.contains_key(&pid) {
                self.look_if_due(pid, now, &mut scan);
            }
        }
        Ok(scan)
    }

    /// Forgets a target that turned out to have ended, until the next scan.
    pub fn forget(&mut self, pid: Pid) -> Option<F::Found> {
        self.targets.remove(&pid)
    }

    /// Looks at every process again that is no target, at the next scan: what is looked for has changed.
    pub fn look_again(&mut self) {
        for look in self.others.values_mut() {
            look.wait_ns = 0;
            look.virtual_pages = u64::MAX;
        }
    }

    fn look_if_due(&mut self, pid: Pid, now: Monotonic, scan: &mut Scan<F>) {
        // A process that has ended since the listing is no failure, and kernel threads have no address space.
        let Some(virtual_pages) = virtual_pages(pid).filter(|&pages| pages > 0) else {
            self.others.remove(&pid);
            return;
        };
        let before = self.others.get(&pid);
        if !before.is_none_or(|look| look.is_stale(virtual_pages, now)) {
            return;
        }
        let failure = match self.find.find(pid) {
            Ok(found) => {
                self.targets.insert(pid, found);
                self.others.remove(&pid);
                scan.appeared.push(pid);
                return;
            }
            Err(failure) => failure,
        };
        let result = F::miss(&failure);
        if result == Miss::Vanished {
            return;
        }
        let longer = |look: &Look| (look.wait_ns * 2).clamp(LOOK_WAIT_FIRST_NS, LOOK_WAIT_MAX_NS);
        let wait_ns = before.map_or(LOOK_WAIT_FIRST_NS, longer);
        if result != Miss::Absent && before.is_none_or(|look| look.result != result) {
            scan.failures.push(failure);
        }
        self.others.insert(pid, Look { at: now, wait_ns, virtual_pages, result });
    }
}

impl Look {
    fn is_stale(&self, virtual_pages: u64, now: Monotonic) -> bool {
        let since_ns = now.since_ns(self.at);
        let changed = virtual_pages != self.virtual_pages || self.result == Miss::Unreadable;
        changed && since_ns >= self.wait_ns || since_ns >= LOOK_AT_LEAST_EVERY_NS
    }
}

/// The size of a process's address space, which every process may read of every other.
fn virtual_pages(pid: Pid) -> Option<u64> {
    let statm = std::fs::read(format!("/proc/{pid}/statm")).ok()?;
    std::str::from_utf8(&statm).ok()?.split(' ').next()?.parse().ok()
}
