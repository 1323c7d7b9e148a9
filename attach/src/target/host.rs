//! What is the same for all processes of a host.

use std::{fs, io};

use super::Pid;

const NS_PER_S: u64 = 1_000_000_000;

/// The host's units: `/proc` counts in clock ticks, in pages, and in time since the boot. They stay the same, but for the time of the boot, which
/// moves when the clock is set.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    ticks_per_s: u64,
    page_bytes: u64,
    boot_unix_ns: Option<u64>,
}

impl Host {
    /// Reads the units of this host.
    ///
    /// The time of the boot is exact to the second, as the kernel gives it. Computing it from two clocks would be
    /// finer and different each time, and a start time that moves looks like a restart.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let boot_s = stat.lines().find_map(|line| line.strip_prefix("btime "));
        let boot_s: Option<u64> = boot_s.and_then(|text| text.trim().parse().ok());
        Self {
            ticks_per_s: rustix::param::clock_ticks_per_second().max(1),
            page_bytes: rustix::param::page_size() as u64,
            boot_unix_ns: boot_s.and_then(|s| s.checked_mul(NS_PER_S)),
        }
    }

    /// Clock ticks as nanoseconds.
    pub fn ticks_ns(&self, ticks: u64) -> u64 {
        (u128::from(ticks) * u128::from(NS_PER_S) / u128::from(self.ticks_per_s)) as u64
    }

    /// Pages as bytes.
    pub fn pages_bytes(&self, pages: u64) -> u64 {
        pages.saturating_mul(self.page_bytes)
    }

    /// A time given in ticks since the boot, as nanoseconds since the UNIX epoch, or `None` where the kernel does not
    /// tell when it booted.
    pub fn unix_ns(&self, ticks_since_boot: u64) -> Option<u64> {
        Some(self.boot_unix_ns? + self.ticks_ns(ticks_since_boot))
    }
}

/// The ids of all processes that this program can see, in no particular order.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn pids() -> io::Result<impl Iterator<Item = Pid>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_among_all() {
        let own = Pid::new(std::process::id());
        assert!(pids().unwrap().any(|pid| pid == own));
    }
}
