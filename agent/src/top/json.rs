//! The table for programs: one JSON object an interval, on one line.
//!
//! The names of the fields are promised to stay, as the names of metrics are. Units stand in the names; what is not
//! measured is null.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use model::label::{LabelValue, Phase};
use serde::Serialize;

use super::row::{PhaseTime, Row};
use super::wait::{Precision, Wait};

/// An interval.
#[derive(Serialize)]
struct Document<'a> {
    /// When the interval ended, since the UNIX epoch.
    time_unix_seconds: f64,
    interval_seconds: f64,
    loops: Vec<Loop<'a>>,
}

/// An event loop over the interval. Of `process`, `pool` and the like each loop of a process tells the same.
#[derive(Serialize)]
struct Loop<'a> {
    service: &'a str,
    pid: u32,
    r#loop: Option<&'a str>,
    utilization_ratio: Option<f64>,
    lag_p50_seconds: Option<f64>,
    lag_p99_seconds: Option<f64>,
    lag_max_seconds: Option<f64>,
    /// An estimate from readings that were made now and then, where lag is not measured.
    stall_observed_max_seconds: Option<f64>,
    /// What readings may have missed was shorter than this; null where they caught something longer.
    lag_max_below_seconds: Option<f64>,
    away_seconds: Option<f64>,
    busiest_phase: Option<&'static str>,
    /// Of the time in all phases but `poll_wait`.
    busiest_phase_ratio: Option<f64>,
    phases: BTreeMap<&'static str, PhaseFigures>,
    iterations_per_second: Option<f64>,
    slow_iterations: Option<u64>,
    pool_threads_busy: Option<u64>,
    pool_threads: Option<u64>,
    queue_depth: Option<u64>,
    queue_wait_p50_seconds: Option<f64>,
    queue_wait_p99_seconds: Option<f64>,
    /// Estimates from readings that were made now and then, where the wait is not measured.
    queue_wait_observed_p50_seconds: Option<f64>,
    queue_wait_observed_p99_seconds: Option<f64>,
    /// One is a whole core.
    cpu_ratio: Option<f64>,
    resident_memory_bytes: Option<u64>,
    tiers_active: Option<Vec<&'static str>>,
    tiers_missing: Option<Vec<&'static str>>,
    /// Why each of them is missing.
    tiers_missing_reasons: Option<BTreeMap<&'static str, &'a str>>,
    /// Estimated; one is a whole core.
    probe_cost_ratio: Option<f64>,
}

#[derive(Serialize)]
struct PhaseFigures {
    /// Of the interval.
    time_ratio: f64,
    runs_per_second: f64,
    mean_seconds: Option<f64>,
    p99_seconds: Option<f64>,
}

/// The rows of an interval as a line of JSON.
pub(super) fn line(ended: SystemTime, interval_seconds: f64, rows: &[&Row]) -> String {
    let document = Document {
        time_unix_seconds: ended.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()),
        interval_seconds,
        loops: rows.iter().map(|row| Loop::new(row)).collect(),
    };
    serde_json::to_string(&document).expect("text, numbers and lists can always be written") + "\n"
}

impl<'a> Loop<'a> {
    fn new(row: &'a Row) -> Self {
        let (lag_max_seconds, observed) = apart(row.lag.max);
        let below = row.lag.max.filter(|max| matches!(max.precision, Precision::Below { .. }));
        let stall_observed_max_seconds = observed.or(below.and_then(Wait::seen_seconds));
        let reasons = row.missing.iter().map(|(tier, reason)| (tier.as_str(), reason.as_str()));
        let (queue_wait_p50_seconds, queue_wait_observed_p50_seconds) = apart(row.queue_wait_p50_seconds);
        let (queue_wait_p99_seconds, queue_wait_observed_p99_seconds) = apart(row.queue_wait_p99_seconds);
        let busiest = row.busiest_phase();
        Self {
            service: &row.service,
            pid: row.key.pid.get(),
            r#loop: row.key.loop_name.as_deref(),
            utilization_ratio: row.utilization,
            lag_p50_seconds: row.lag.p50_seconds,
            lag_p99_seconds: row.lag.p99_seconds,
            lag_max_seconds,
            stall_observed_max_seconds,
            lag_max_below_seconds: below.map(|below| below.seconds),
            away_seconds: row.away_seconds,
            busiest_phase: busiest.map(|(phase, _)| phase.as_str()),
            busiest_phase_ratio: busiest.map(|(_, share)| share),
            phases: row.phases.iter().map(|time| (phase_name(time.phase), time.into())).collect(),
            iterations_per_second: row.iterations_per_second,
            slow_iterations: row.slow_iterations,
            pool_threads_busy: row.pool.map(|pool| pool.busy),
            pool_threads: row.pool.map(|pool| pool.size),
            queue_depth: row.queue_depth,
            queue_wait_p50_seconds,
            queue_wait_p99_seconds,
            queue_wait_observed_p50_seconds,
            queue_wait_observed_p99_seconds,
            cpu_ratio: row.cpu_ratio,
            resident_memory_bytes: row.resident_bytes,
            tiers_active: row.tiers.map(|tiers| tiers.active.iter().map(|tier| tier.as_str()).collect()),
            tiers_missing: row.tiers.map(|tiers| tiers.missing.iter().map(|tier| tier.as_str()).collect()),
            tiers_missing_reasons: row.tiers.map(|_| reasons.collect()),
            probe_cost_ratio: row.tiers.and_then(|tiers| tiers.cost_ratio),
        }
    }
}

impl From<&PhaseTime> for PhaseFigures {
    fn from(time: &PhaseTime) -> Self {
        Self {
            time_ratio: time.share,
            runs_per_second: time.per_second,
            mean_seconds: time.mean_seconds,
            p99_seconds: time.p99_seconds,
        }
    }
}

fn phase_name(phase: Phase) -> &'static str {
    phase.as_str()
}

/// A measured duration, and an estimated one.
fn apart(wait: Option<Wait>) -> (Option<f64>, Option<f64>) {
    let of = |precision| wait.filter(|wait| wait.precision == precision).map(|wait| wait.seconds);
    (of(Precision::Measured), of(Precision::Estimated))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::top::testing::{expect_golden, rows};

    #[test]
    fn the_fields_stay_as_they_are_promised() {
        let rows = rows();
        let rows: Vec<&Row> = rows.iter().collect();
        let line = line(UNIX_EPOCH + Duration::from_secs(1_800_000_000), 2.0, &rows);
        assert_eq!(line.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        expect_golden("json.json", &(serde_json::to_string_pretty(&json).unwrap() + "\n"));
    }
}
