//! The `process_*` metrics: what the kernel tells of any process, in the units that snapshots use.

use std::sync::{Mutex, PoisonError};

use model::catalogue;
use model::snapshot::{SharedLabels, Snapshot, Value};
use model::time::Monotonic;

use super::{Host, Process, ProcessError};
use crate::sys::process::now;

/// Limits are read again after so long at the latest.
const LIMITS_KEPT_S: u64 = 60;

/// Figures of a process at one moment. What the kernel does not tell is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The name of the process.
    pub name: String,
    /// CPU time of all its threads, those that have ended included, in nanoseconds; exact to a clock tick.
    pub cpu_ns: u64,
    /// The part of it in user mode.
    pub user_ns: u64,
    /// The part of it in the kernel.
    pub system_ns: u64,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Address space in use.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// The most file descriptors that the process may open (its soft limit); as it was at most a minute ago.
    pub max_fds: Option<u64>,
    /// When it started, in nanoseconds since the UNIX epoch; exact to a second.
    pub started_unix_ns: Option<u64>,
}

impl Figures {
    /// Reads the figures of a process.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where the process has ended. What only the owner may read is left out, not an error.
    pub fn read(process: &Process, host: &Host) -> Result<Self, ProcessError> {
        let stat = process.stat()?;
        Ok(Self {
            cpu_ns: host.ticks_ns(stat.user_ticks + stat.system_ticks),
            user_ns: host.ticks_ns(stat.user_ticks),
            system_ns: host.ticks_ns(stat.system_ticks),
            resident_bytes: host.pages_bytes(stat.resident_pages),
            virtual_bytes: stat.virtual_bytes,
            threads: stat.threads,
            open_fds: open_fds(process),
            max_fds: process.limits.max_fds(process),
            started_unix_ns: *process.started_unix_ns.get_or_init(|| host.unix_ns(stat.start_ticks)),
            name: stat.name,
        })
    }

    /// Adds the figures to a snapshot.
    pub fn add_to(&self, snapshot: &mut Snapshot, target: &SharedLabels) {
        snapshot.push(&catalogue::PROCESS_CPU, target, &[], Value::Counter(self.cpu_ns));
        let gauges = [
            (&catalogue::PROCESS_RESIDENT_MEMORY, Some(self.resident_bytes)),
            (&catalogue::PROCESS_VIRTUAL_MEMORY, Some(self.virtual_bytes)),
            (&catalogue::PROCESS_OPEN_FDS, self.open_fds),
            (&catalogue::PROCESS_MAX_FDS, self.max_fds),
            (&catalogue::PROCESS_THREADS, Some(self.threads)),
            (&catalogue::PROCESS_START_TIME, self.started_unix_ns),
        ];
        for (metric, value) in gauges {
            if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
                snapshot.push(metric, target, &[], Value::Gauge(value));
            }
        }
    }
}

/// The limits of a process, which the kernel writes out as a long table and which change hardly ever: so they are kept for a while.
#[derive(Debug, Default)]
pub(super) struct Limits(Mutex<Option<Kept>>);

#[derive(Clone, Copy, Debug)]
struct Kept {
    max_fds: Option<u64>,
    until: Monotonic,
}

impl Limits {
    fn max_fds(&self, process: &Process) -> Option<u64> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        if let Some(kept) = kept.filter(|kept| now < kept.until) {
            return kept.max_fds;
        }
        let max_fds = process.read("limits").ok().and_then(|limits| max_fds(&limits));
        // Not all that were found at the same time are due at the same time again.
        let seconds = LIMITS_KEPT_S / 2 + u64::from(process.pid().get()) % (LIMITS_KEPT_S / 2);
        *kept = Some(Kept { max_fds, until: now.plus_ns(seconds * 1_000_000_000) });
        max_fds
    }
}

/// The size of a process's data segment (`VmData`), in bytes; `None` where the kernel does not tell it.
///
/// Not among the [`Figures`]: it says little, for it counts what is reserved and not what is used, and costs a file of its own.
pub fn data_bytes(process: &Process) -> Option<u64> {
    vm_data(&process.read("status").ok()?)
}

/// From a line such as `VmData:     115940 kB`.
fn vm_data(status: &[u8]) -> Option<u64> {
    let status = String::from_utf8_lossy(status);
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Since Linux 6.2 the directory's size is the number of descriptors; before, it is zero and the entries are counted.
fn open_fds(process: &Process) -> Option<u64> {
    let size = process.metadata("fd").ok()?.st_size as u64;
    if size > 0 {
        return Some(size);
    }
    let entries = rustix::fs::Dir::new(process.open_file("fd").ok()?).ok()?;
    let names = entries.filter_map(Result::ok);
    Some(names.filter(|entry| !entry.file_name().to_bytes().starts_with(b".")).count() as u64)
}

/// The soft limit from a line such as `Max open files            1024                 524288               files`.
fn max_fds(limits: &[u8]) -> Option<u64> {
    let limits = std::str::from_utf8(limits).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Pid;

    #[test]
    fn an_open_file_raises_the_count_by_one_and_closing_it_lowers_it() {
        let process = Process::open(Pid::new(std::process::id())).unwrap();
        // Other tests of this process open files, too: wait until a difference of one is seen both ways.
        let seen = (0..1000).any(|_| {
            let before = open_fds(&process).unwrap();
            let file = std::fs::File::open("/proc/self/stat").unwrap();
            let during = open_fds(&process).unwrap();
            drop(file);
            let after = open_fds(&process).unwrap();
            during == before + 1 && after == before
        });
        assert!(seen);
    }

    #[test]
    fn the_soft_limit_is_read_and_an_unlimited_one_is_unknown() {
        let limits = b"Max cpu time  unlimited unlimited seconds\nMax open files            1024                 524288               files\n";
        assert_eq!(max_fds(limits), Some(1024));
        assert_eq!(max_fds(b"Max open files  unlimited unlimited files\n"), None);
        assert_eq!(max_fds(b""), None);
    }

    #[test]
    fn the_data_segment_is_told_in_kilobytes() {
        assert_eq!(vm_data(b"VmPeak:\t  9 kB\nVmData:\t  115940 kB\n"), Some(115_940 * 1024));
        for status in [&b""[..], b"VmData:\t x kB", b"VmData:\t 12", b"VmData:\t 99999999999999999999 kB"] {
            assert_eq!(vm_data(status), None);
        }
        assert!(data_bytes(&Process::open(Pid::new(std::process::id())).unwrap()).unwrap() > 0);
    }

    #[test]
    fn a_process_has_used_memory_and_started_in_the_past() {
        let process = Process::open(Pid::new(std::process::id())).unwrap();
        let figures = Figures::read(&process, &Host::read()).unwrap();
        assert!(figures.resident_bytes > 100_000 && figures.virtual_bytes > figures.resident_bytes);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let started = figures.started_unix_ns.unwrap();
        assert!(started < now + 2_000_000_000 && now - started.min(now) < 86_400_000_000_000);
        assert!(figures.max_fds.unwrap() >= figures.open_fds.unwrap());
    }
}
