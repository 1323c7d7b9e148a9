//! What the machine says about itself and its processes, in `/proc`.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Who may use performance events: the higher, the fewer.
pub(crate) fn paranoid() -> Option<i32> {
    sysctl("perf_event_paranoid")
}

/// The highest sampling frequency, in Hz. The kernel lowers it when sampling takes too much of its time.
pub(crate) fn max_sample_rate() -> Option<u32> {
    sysctl("perf_event_max_sample_rate")
}

/// What a user may lock for performance events on each CPU, beside the limit on locked memory, in KiB.
pub(crate) fn mlock_kb() -> Option<u64> {
    sysctl("perf_event_mlock_kb")
}

fn sysctl<T: std::str::FromStr>(name: &str) -> Option<T> {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
}

/// The user that a process belongs to, as far as inspecting it is concerned.
pub(crate) fn owner(pid: u32) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}")).ok().map(|metadata| metadata.uid())
}

/// The threads of a process; none if it has ended.
pub(crate) fn threads(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
