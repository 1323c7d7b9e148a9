//! CPU time and memory of this process.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// CPU time of all threads.
pub(crate) fn cpu_s() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu_s() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// CPU time of children that ended; in hundredths of a second.
pub(crate) fn children_cpu_s() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // Behind the name, which may have anything in it, the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = fields[13..15].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// Runs something, and tells by how many MiB resident memory grew at the most.
pub(crate) fn growth<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let kib = |key: &str| -> f64 {
        let status = fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find(|line| line.starts_with(key)).expect("the key");
        line.split_whitespace().nth(1).expect("a value").parse().expect("a number")
    };
    // The peak begins anew.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = kib("VmRSS");
    let value = run();
    (value, (kib("VmHWM") - before) / 1024.0)
}
