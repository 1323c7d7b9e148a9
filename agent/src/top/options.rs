//! What can be asked of `loopscope top`.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use clap::Args;

use super::column::Column;
use super::order::Order;
use crate::cli::duration;

/// Shorter, and the table would show its own cost; the eye does not follow anyway.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);

const EXAMPLES: &str = "\
Examples:
  loopscope top
  loopscope top --pid 4711 --interval 500ms
  loopscope top --pid 4711 --tier all
  loopscope top --sort wait99 --filter shop
  loopscope top --once
  loopscope top --json | jq -r '.loops[] | select(.utilization_ratio > 0.9) | .pid'

On a terminal, keys: arrows choose, Enter shows a loop in detail, s sorts, / filters, p pauses, ? tells the rest. \
Where the standard output is no terminal, a plain table is written each interval, with all columns.

Columns:
  SERVICE PID LOOP     the service, its process, its event loop
  UTIL%                share of the time that the loop was busy
  LAG50 LAG99 LAGMAX   how long ready events had to wait for the loop
  PHASE SHARE%         the phase that took most of the busy time, and its share
  ITER/S               iterations a second
  POOL QUEUE WAIT99    the thread pool: threads busy/all, tasks waiting, and
                       how long 99% of them waited at most
  CPU% MEM             of the process; 100 is a whole core
All figures are of the last interval. - is not measured; ~ marks an estimate from readings that are made now and then; \
< tells that they caught nothing longer, and that what they missed was shorter. POOL 0/0 has not run its first task yet.

JSON: each line is an object with time_unix_seconds, interval_seconds and loops, whose fields have their unit in their \
name: utilization_ratio, lag_p99_seconds, phases.timers.time_ratio, resident_memory_bytes and so on; what is not \
measured is null.

Processes that were named by --pid and have all ended end it with status 1, as do those in which no event loop is found.

It reads processes of its own user; of all users as root or with CAP_SYS_PTRACE. Tiers beyond observe place probes in the processes that are shown (choose them with --pid) and need CAP_BPF and CAP_PERFMON; before Linux 6.6, CAP_SYS_ADMIN.";

/// Show what event loops are doing, as a table that is kept up to date
///
/// Shows every event loop on this host that can be measured, of Node.js as it is and of whatever runs on libuv or publishes
/// telemetry: how busy it is, how long events wait for it, in which phase it spends its time, and whether its thread pool
/// keeps up.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TopOptions {
    /// Look at this process only; may be given several times
    #[arg(short, long, value_name = "PID")]
    pub(super) pid: Vec<Pid>,

    /// How deep to measure processes from outside: a list of observe, loop, phases and pool, or all [default: observe]
    #[arg(long, value_name = "LIST")]
    pub(super) tier: Option<Tiers>,

    /// Time between two looks, such as 500ms or 2s
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(super) interval: Duration,

    /// Write one table, of one interval, and end
    #[arg(long, conflicts_with = "iterations")]
    pub(super) once: bool,

    /// Write a line of JSON each interval
    #[arg(long)]
    pub(super) json: bool,

    /// The column to sort by: its title in small letters
    #[arg(short, long, value_name = "COLUMN", value_enum, default_value_t = Column::Util)]
    pub(super) sort: Column,

    /// Sort the other way round
    #[arg(short, long)]
    pub(super) reverse: bool,

    /// Show only loops whose service, process id or name contains this text, in whatever case
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) filter: String,

    /// End after this many intervals
    #[arg(short = 'n', long, value_name = "N", value_parser = intervals)]
    pub(super) iterations: Option<NonZeroU64>,
}

impl TopOptions {
    /// The processes to show; all where none was named.
    pub(super) fn only(&self) -> BTreeSet<Pid> {
        self.pid.iter().copied().collect()
    }

    /// Which rows to show, and in which order.
    pub(super) fn order(&self) -> Order {
        Order { sort: self.sort, is_reversed: self.reverse, filter: self.filter.clone() }
    }

    /// After how many intervals to end.
    pub(super) fn intervals(&self) -> Option<u64> {
        if self.once { Some(1) } else { self.iterations.map(NonZeroU64::get) }
    }
}

fn intervals(text: &str) -> Result<NonZeroU64, String> {
    let not_a_number = |_| format!("{text:?} is no number of intervals; one is the least");
    let number: u64 = text.parse().map_err(not_a_number)?;
    NonZeroU64::new(number).ok_or_else(|| "one interval is the least; without it there is no end".to_owned())
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = duration(text)?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        Ok(interval)
    } else {
        Err("an interval is between 100ms and 1day long".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_interval_is_too_few_and_said_in_words() {
        assert_eq!(intervals("3").map(NonZeroU64::get), Ok(3));
        for text in ["0", "-1", "many", ""] {
            assert!(intervals(text).is_err_and(|message| message.contains("least")), "{text}");
        }
    }

    #[test]
    fn an_interval_is_neither_too_short_nor_too_long() {
        assert_eq!(interval("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(interval("1day"), Ok(INTERVAL_MAX));
        for text in ["99ms", "2days", "0s", "1"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
