//! The figures of one loop over one interval: what a line of the table shows.

use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use model::catalogue::{
    EVENTLOOP_ITERATIONS, EVENTLOOP_PHASE_DURATION, EVENTLOOP_SLOW_ITERATIONS, EVENTLOOP_TIME,
    LOOPSCOPE_PROBE_COST, LOOPSCOPE_TIER_ACTIVE, PROCESS_CPU, PROCESS_RESIDENT_MEMORY, PROCESS_START_TIME,
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_WAIT, THREADPOOL_QUEUE_WAIT_OBSERVED, THREADPOOL_THREADS,
};
use model::label::{LabelValue, LoopState, Phase, TaskKind, ThreadState, Tier};

use super::change::{Change, Watched, active_tiers};
use super::notes::ProcessNotes;
use super::quantile;
use super::reading::{ProcessReading, Reading, Values};
use super::wait::{Lag, Precision, Wait, away_seconds};

const NS_PER_S: f64 = 1e9;

/// Which loop a row is of. A process of which only the whole is known has one row, without a loop.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RowKey {
    pub(super) pid: Pid,
    pub(super) loop_name: Option<String>,
}

/// A loop over an interval. What is not measured is `None`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) key: RowKey,
    pub(super) service: String,
    /// Whether it is the first of its process; the others repeat what belongs to the whole process.
    pub(super) is_first: bool,
    /// The share of the time that the loop was away from the poll.
    pub(super) utilization: Option<f64>,
    pub(super) lag: Lag,
    /// How long the loop has been away from the poll at the end of the interval; zero while it waits there.
    pub(super) away_seconds: Option<f64>,
    /// The phases that are measured, by their order in an iteration.
    pub(super) phases: Vec<PhaseTime>,
    pub(super) iterations_per_second: Option<f64>,
    /// Iterations that were slower than the agent's threshold.
    pub(super) slow_iterations: Option<u64>,
    pub(super) pool: Option<Pool>,
    pub(super) queue_depth: Option<u64>,
    pub(super) queue_wait_p50_seconds: Option<Wait>,
    pub(super) queue_wait_p99_seconds: Option<Wait>,
    /// One is a whole core.
    pub(super) cpu_ratio: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    /// The tiers that measure the process from outside; `None` of a process that publishes telemetry itself.
    pub(super) tiers: Option<TierState>,
    /// Why tiers are missing.
    pub(super) missing: Vec<(Tier, String)>,
}

/// A phase over an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PhaseTime {
    pub(super) phase: Phase,
    /// Of the interval.
    pub(super) share: f64,
    /// How often it had something to run, or waited.
    pub(super) per_second: f64,
    pub(super) mean_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
}

/// The threads of a pool; none where it was not used yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) busy: u64,
    pub(super) size: u64,
}

/// The tiers by which a process is measured from outside, and what they cost it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TierState {
    pub(super) active: Tiers,
    /// Asked for, but not possible, or given up for what it costs.
    pub(super) missing: Tiers,
    /// Estimated CPU time that probes add to the process; one is a whole core.
    pub(super) cost_ratio: Option<f64>,
}

impl Row {
    /// The rows of an interval, by process and loop. Without a beginning there are no rates and no distributions.
    pub(super) fn all(earlier: Option<&Reading>, later: &Reading) -> Vec<Self> {
        let mut rows = Vec::with_capacity(later.loop_count());
        for (&pid, process) in &later.processes {
            let names: Vec<Option<&String>> = match process.loops.is_empty() {
                true => vec![None],
                false => process.loops.keys().map(Some).collect(),
            };
            for (position, name) in names.into_iter().enumerate() {
                let key = RowKey { pid, loop_name: name.cloned() };
                let span = Span::find(earlier, later, process, &key);
                rows.push(Self::new(key, process.service.clone(), position == 0, span));
            }
        }
        rows
    }

    fn new(key: RowKey, service: String, is_first: bool, span: Span<'_>) -> Self {
        let Span { seconds, process, of_loop, notes } = span;
        let rate = |count: u64| seconds.map(|seconds| count as f64 / seconds);
        let ratio = |ns: u64| rate(ns).map(|ns_per_second| ns_per_second / NS_PER_S);
        let (queue_wait_p50_seconds, queue_wait_p99_seconds) = queue_wait(process);
        // What was missed before the interval is not of it.
        let unseen = notes.zip(key.loop_name.as_ref()).and_then(|(notes, name)| notes.unseen_ns.get(name));
        let unseen_seconds = unseen.filter(|_| seconds.is_some()).map(|&ns| ns as f64 / NS_PER_S);
        Self {
            key,
            service,
            is_first,
            utilization: of_loop.and_then(|of_loop| utilization(of_loop, seconds?)),
            lag: of_loop.map(|of_loop| Lag::new(of_loop, unseen_seconds)).unwrap_or_default(),
            away_seconds: of_loop.and_then(away_seconds),
            phases: of_loop.zip(seconds).map_or_else(Vec::new, |(change, seconds)| phases(change, seconds)),
            iterations_per_second: of_loop
                .and_then(|of_loop| rate(of_loop.growth(&EVENTLOOP_ITERATIONS, &[])?)),
            slow_iterations: of_loop.and_then(|of_loop| of_loop.growth(&EVENTLOOP_SLOW_ITERATIONS, &[])),
            pool: Pool::new(process),
            queue_depth: process.amount(&THREADPOOL_QUEUE_DEPTH, &[]),
            queue_wait_p50_seconds,
            queue_wait_p99_seconds,
            cpu_ratio: process.growth(&PROCESS_CPU, &[]).and_then(ratio),
            resident_bytes: process.amount(&PROCESS_RESIDENT_MEMORY, &[]),
            tiers: TierState::new(process, ratio),
            missing: notes.map_or_else(Vec::new, |notes| notes.missing.clone()),
        }
    }

    /// The name of its loop; nothing where only the process is known.
    pub(super) fn loop_name(&self) -> &str {
        self.key.loop_name.as_deref().unwrap_or_default()
    }

    /// The phase, other than waiting, that took most of the active time, and its share of that.
    pub(super) fn busiest_phase(&self) -> Option<(Phase, f64)> {
        let active = || self.phases.iter().filter(|time| time.phase != Phase::PollWait);
        let sum: f64 = active().map(|time| time.share).sum();
        let busiest = active().max_by(|a, b| a.share.total_cmp(&b.share))?;
        (busiest.share > 0.0).then(|| (busiest.phase, busiest.share / sum))
    }
}

/// A loop and its process at both ends of an interval.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    /// How long the interval is; `None` where it has no beginning.
    pub(super) seconds: Option<f64>,
    pub(super) process: Change<'a>,
    pub(super) of_loop: Option<Change<'a>>,
    /// What is known of the process beside its series.
    pub(super) notes: Option<&'a ProcessNotes>,
}

impl<'a> Span<'a> {
    /// A loop that the later reading tells of.
    pub(super) fn of(earlier: Option<&'a Reading>, later: &'a Reading, key: &RowKey) -> Option<Self> {
        Some(Self::find(earlier, later, later.processes.get(&key.pid)?, key))
    }

    fn find(
        earlier: Option<&'a Reading>,
        later: &'a Reading,
        process: &'a ProcessReading,
        key: &RowKey,
    ) -> Self {
        let before = earlier.and_then(|earlier| earlier.processes.get(&key.pid));
        // Another process may have been given the same id.
        let started = |process: &ProcessReading| process.values.gauge(&PROCESS_START_TIME, &[]);
        let before = before.filter(|before| started(before) == started(process));
        let watched = Watched::of(before.map(|before| &before.values));
        let loop_values = |process: &'a ProcessReading| -> Option<&'a Values> {
            process.loops.get(key.loop_name.as_ref()?)
        };
        Self {
            seconds: earlier
                .map(|earlier| later.at.since_ns(earlier.at) as f64 / NS_PER_S)
                .filter(|&seconds| seconds > 0.0),
            process: Change {
                earlier: before.map(|before| &before.values),
                later: &process.values,
                before: watched,
            },
            of_loop: loop_values(process).map(|later| Change {
                earlier: before.and_then(loop_values),
                later,
                before: watched,
            }),
            notes: process.notes.as_ref(),
        }
    }
}

impl Pool {
    fn new(process: Change<'_>) -> Option<Self> {
        let threads = |state: ThreadState| process.amount(&THREADPOOL_THREADS, &[state.position()]);
        let (busy, idle) = (threads(ThreadState::Busy)?, threads(ThreadState::Idle)?);
        Some(Self { busy, size: busy + idle })
    }

    /// Whether it has not started, which its first task makes it do.
    pub(super) fn is_unused(self) -> bool {
        self.size == 0
    }
}

impl TierState {
    fn new(process: Change<'_>, ratio: impl Fn(u64) -> Option<f64>) -> Option<Self> {
        let active = active_tiers(process.later);
        let mut missing = Tiers::NONE;
        let mut cost_ns = None;
        for &tier in Tier::ALL {
            if process.gauge(&LOOPSCOPE_TIER_ACTIVE, &[tier.position()]) == Some(0) {
                missing = missing.with(tier);
            }
            if let Some(ns) = process.growth(&LOOPSCOPE_PROBE_COST, &[tier.position()]) {
                cost_ns = Some(cost_ns.unwrap_or(0) + ns);
            }
        }
        let is_known = !active.is_empty() || !missing.is_empty();
        is_known.then(|| Self { active, missing, cost_ratio: cost_ns.and_then(ratio) })
    }
}

/// Active and idle time are counted when a stretch of it ends. A stretch away from the poll that goes on at the end of
/// the interval is added, as far as nothing else accounts for the time; without that, a loop that is stuck would look
/// as busy as it was before.
fn utilization(of_loop: Change<'_>, interval_seconds: f64) -> Option<f64> {
    let time = |state: LoopState| {
        of_loop.growth(&EVENTLOOP_TIME, &[state.position()]).map(|ns| ns as f64 / NS_PER_S)
    };
    let (active, idle) = (time(LoopState::Active)?, time(LoopState::Idle)?);
    let untold = (interval_seconds - active - idle).max(0.0);
    let away = away_seconds(of_loop);
    let active = active + away.unwrap_or(0.0).min(untold);
    match active + idle {
        // It waits all the time, or, where that is not measured, it may as well be stuck.
        0.0 => away.map(|_| 0.0),
        sum => Some(active / sum),
    }
}

fn phases(of_loop: Change<'_>, interval_seconds: f64) -> Vec<PhaseTime> {
    let time = |&phase: &Phase| {
        let recorded = of_loop.distribution(&EVENTLOOP_PHASE_DURATION, &[phase.position()])?;
        let (seconds, count) = (recorded.sum_ns() as f64 / NS_PER_S, recorded.count() as f64);
        Some(PhaseTime {
            phase,
            share: seconds / interval_seconds,
            per_second: count / interval_seconds,
            mean_seconds: (count > 0.0).then(|| seconds / count),
            p99_seconds: quantile::seconds(&recorded, 0.99),
        })
    };
    Phase::ALL.iter().filter_map(time).collect()
}

/// The median and the 99th percentile of how long tasks waited for a thread of the pool.
fn queue_wait(process: Change<'_>) -> (Option<Wait>, Option<Wait>) {
    // Where probes no longer stand, what they measured before stands still.
    let kinds = TaskKind::ALL.iter().map(|kind| kind.position());
    let measured = process.distributions(&THREADPOOL_QUEUE_WAIT, kinds).filter(|waits| waits.count() > 0);
    let is_measured = measured.is_some();
    let waits = measured.or_else(|| process.distribution(&THREADPOOL_QUEUE_WAIT_OBSERVED, &[]));
    let quantile = |q| {
        let seconds = quantile::seconds(waits.as_ref()?, q)?;
        let precision = if is_measured { Precision::Measured } else { Precision::Estimated };
        Some(Wait { seconds, precision })
    };
    (quantile(0.5), quantile(0.99))
}

#[cfg(test)]
mod tests {
    use model::catalogue::EVENTLOOP_AWAY;

    use super::*;
    use crate::top::testing::{Host, host, row};

    fn expect_near(actual: Option<f64>, expected: f64) {
        let actual = actual.expect("it is measured");
        assert!((actual / expected - 1.0).abs() < 0.05, "{actual}, not {expected}");
    }

    #[test]
    fn the_figures_are_of_the_interval_alone() {
        let shop = row(4711, "main");
        expect_near(shop.utilization, 0.25);
        expect_near(shop.lag.p50_seconds, 41e-6);
        expect_near(shop.lag.p99_seconds, 300e-6);
        expect_near(shop.lag.max.map(|max| max.seconds), 3e-3);
        expect_near(shop.iterations_per_second, 480.5);
        expect_near(shop.cpu_ratio, 0.32);
        expect_near(shop.queue_wait_p99_seconds.map(|wait| wait.seconds), 900e-6);
        assert_eq!((shop.pool, shop.queue_depth), (Some(Pool { busy: 1, size: 4 }), Some(0)));
        let (phase, share) = shop.busiest_phase().unwrap();
        assert_eq!(phase, Phase::PollCallbacks);
        expect_near(Some(share), 0.96);
    }

    #[test]
    fn each_interval_of_a_steady_host_is_the_same() {
        assert_eq!(Row::all(Some(&host(1)), &host(2)), Row::all(Some(&host(5)), &host(6)));
    }

    #[test]
    fn without_a_beginning_there_are_readings_but_no_rates() {
        let rows = Row::all(None, &host(3));
        let shop = rows.iter().find(|row| row.service == "shop").unwrap();
        assert_eq!((shop.utilization, shop.lag, shop.iterations_per_second), (None, Lag::default(), None));
        assert_eq!((shop.cpu_ratio, shop.phases.len()), (None, 0));
        assert!(shop.pool.is_some() && shop.resident_bytes.is_some());
    }

    #[test]
    fn what_only_readings_from_outside_tell_is_an_estimate() {
        let node = row(812, "main");
        assert_eq!((node.lag.p50_seconds, node.lag.p99_seconds, node.utilization), (None, None, None));
        let (max, wait) = (node.lag.max.unwrap(), node.queue_wait_p99_seconds.unwrap());
        assert_eq!((max.precision, wait.precision), (Precision::Estimated, Precision::Estimated));
        expect_near(Some(max.seconds), 0.21);
        expect_near(Some(wait.seconds), 0.1);
        assert!(node.tiers.unwrap().active.has(Tier::Observe));
    }

    #[test]
    fn a_stall_that_goes_on_counts_as_busy_and_as_lag() {
        // Away for 0.7 of the 2 seconds, which its counters do not tell of yet.
        let checkout = row(9020, "main");
        expect_near(checkout.utilization, 0.5);
        let max = checkout.lag.max.unwrap();
        assert_eq!(max.precision, Precision::Measured);
        expect_near(Some(max.seconds), 0.7);
    }

    #[test]
    fn a_loop_that_did_nothing_is_idle_if_it_is_known_to_wait_and_unknown_otherwise() {
        let reading = |n: u64, away_ns: Option<i64>| {
            let mut host = Host::default();
            let mut process = host.process("node", 1);
            let mut main = process.of_loop("main");
            main.counter(&EVENTLOOP_TIME, &["active"], 7).counter(&EVENTLOOP_TIME, &["idle"], 9);
            away_ns.map(|away_ns| main.gauge(&EVENTLOOP_AWAY, &[], away_ns));
            host.reading(n)
        };
        let utilization = |away| Row::all(Some(&reading(1, away)), &reading(2, away))[0].utilization;
        assert_eq!(utilization(Some(0)), Some(0.0));
        assert_eq!(utilization(Some(60_000_000_000)), Some(1.0));
        assert_eq!(utilization(None), None);
    }

    #[test]
    fn another_process_under_the_same_id_is_not_compared_with() {
        let reading = |n: u64, started| {
            let mut host = Host::default();
            let mut process = host.process("node", 1);
            process.gauge(&PROCESS_START_TIME, &[], started).counter(&PROCESS_CPU, &[], n * 1_000_000_000);
            process.of_loop("main").counter(&EVENTLOOP_ITERATIONS, &[], n);
            host.reading(n)
        };
        let rows = Row::all(Some(&reading(1, 100)), &reading(2, 200));
        assert_eq!((rows[0].cpu_ratio, rows[0].iterations_per_second), (None, None));
    }

    #[test]
    fn tiers_tell_what_is_missing_and_what_probes_cost() {
        let tiers = row(9020, "main").tiers.unwrap();
        assert_eq!(
            (tiers.active.to_string().as_str(), tiers.missing.to_string().as_str()),
            ("observe,loop,phases", "pool")
        );
        expect_near(tiers.cost_ratio, 0.004);
        assert_eq!(row(4711, "main").tiers, None);
    }
}
