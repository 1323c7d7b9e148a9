//! Workers of a runtime that was built without our hooks: told from tokio's own counters, ten times a second.
//!
//! tokio counts how often a worker has parked and come back; an odd count is a parked worker. A count that is even and the
//! same in two samples is a worker that was away all the while. How long in all, tokio's account of its busy time tells
//! once the worker parks. Stretches between two samples are missed, and so there is no lag of each iteration.

use model::catalogue::{EVENTLOOP_ITERATIONS, EVENTLOOP_STALL_OBSERVED};
use model::instrument::{Counter, Histogram};
use model::segment::Scope;
use model::time::Monotonic;
use tokio::runtime::RuntimeMetrics;

use crate::workers::{LoopTime, raise};

/// One worker.
pub(crate) struct ObservedWorker {
    time: LoopTime,
    stalls: Histogram,
    iterations: Counter,
    watch: Watch,
}

/// What tokio counts of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    busy_ns: u64,
    /// How often it parked, and how often it came back.
    turns: u64,
}

/// What follows from one sample after the other.
#[derive(Debug)]
struct Watch {
    began: Monotonic,
    /// Busy time before that.
    busy_before_ns: u64,
    last: (Monotonic, Counts),
    /// Since when the worker has been seen away, and its busy time then.
    away: Option<(Monotonic, u64)>,
}

/// The conclusions of one sample.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    active_ns: u64,
    idle_ns: u64,
    away_ns: u64,
    /// A stretch that has ended, and was long enough to be seen.
    stall_ns: Option<u64>,
}

impl ObservedWorker {
    pub(crate) fn new(scope: &Scope, metrics: &RuntimeMetrics, worker: usize, now: Monotonic) -> Self {
        Self {
            time: LoopTime::new(scope),
            stalls: scope.histogram(&EVENTLOOP_STALL_OBSERVED, &[]),
            iterations: scope.counter(&EVENTLOOP_ITERATIONS, &[]),
            watch: Watch::new(Counts::read(metrics, worker), now),
        }
    }

    pub(crate) fn sample(&mut self, metrics: &RuntimeMetrics, worker: usize, now: Monotonic) {
        let seen = self.watch.sample(Counts::read(metrics, worker), now);
        self.time.totals(seen.active_ns, seen.idle_ns);
        self.time.away(seen.away_ns);
        if let Some(ns) = seen.stall_ns {
            self.stalls.record_ns(ns);
        }
        raise(&self.iterations, metrics.worker_park_count(worker));
    }
}

impl Counts {
    fn read(metrics: &RuntimeMetrics, worker: usize) -> Self {
        Self {
            busy_ns: metrics.worker_total_busy_duration(worker).as_nanos() as u64,
            turns: metrics.worker_park_unpark_count(worker),
        }
    }

    fn is_parked(self) -> bool {
        !self.turns.is_multiple_of(2)
    }
}

impl Watch {
    fn new(counts: Counts, now: Monotonic) -> Self {
        let away = (!counts.is_parked()).then_some((now, counts.busy_ns));
        Self { began: now, busy_before_ns: counts.busy_ns, last: (now, counts), away }
    }

    fn sample(&mut self, counts: Counts, now: Monotonic) -> Seen {
        let (last_time, last) = self.last;
        let mut stall_ns = None;
        if counts.turns != last.turns {
            // It was seen twice in the stretch that has ended, or it was not long enough.
            if let Some((since, busy_ns)) = self.away.filter(|(since, _)| *since < last_time) {
                let interval_ns = now.since_ns(last_time);
                // tokio's account holds what came after, too; the stretch ended between the last two samples.
                let longest_ns = now.since_ns(since) + interval_ns;
                let shortest_ns = last_time.since_ns(since);
                stall_ns =
                    Some((counts.busy_ns - busy_ns.min(counts.busy_ns)).clamp(shortest_ns, longest_ns));
            }
            self.away = (!counts.is_parked()).then_some((now, counts.busy_ns));
        }
        let away_ns = self.away.map_or(0, |(since, _)| now.since_ns(since));
        let told_ns = counts.busy_ns.saturating_sub(self.busy_before_ns);
        // Of a stretch that has not ended tokio has told only what it did before.
        let since_told = self.away.map_or(0, |(_, busy_ns)| counts.busy_ns.saturating_sub(busy_ns));
        let active_ns = told_ns + away_ns.saturating_sub(since_told);
        let idle_ns = now.since_ns(self.began).saturating_sub(active_ns);
        self.last = (now, counts);
        Seen { active_ns, idle_ns, away_ns, stall_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_ns(ms * MS)
    }

    fn counts(turns: u64, busy_ms: u64) -> Counts {
        Counts { turns, busy_ns: busy_ms * MS }
    }

    fn watch_of_a_parked_worker() -> Watch {
        Watch::new(counts(1, 5), at(1000))
    }

    #[test]
    fn a_parked_worker_is_idle() {
        let seen = watch_of_a_parked_worker().sample(counts(1, 5), at(1100));
        assert_eq!(seen, Seen { active_ns: 0, idle_ns: 100 * MS, away_ns: 0, stall_ns: None });
    }

    #[test]
    fn short_stretches_are_active_time_and_no_stall() {
        let seen = watch_of_a_parked_worker().sample(counts(41, 35), at(1100));
        assert_eq!(seen, Seen { active_ns: 30 * MS, idle_ns: 70 * MS, away_ns: 0, stall_ns: None });
    }

    #[test]
    fn a_stretch_is_seen_while_it_lasts_and_told_when_it_has_ended() {
        let mut watch = watch_of_a_parked_worker();
        assert_eq!(watch.sample(counts(2, 5), at(1100)).away_ns, 0);
        let seen = watch.sample(counts(2, 5), at(1200));
        assert_eq!((seen.away_ns, seen.active_ns, seen.stall_ns), (100 * MS, 100 * MS, None));
        // It began at 1050 and ended at 1250.
        let seen = watch.sample(counts(3, 205), at(1300));
        assert_eq!(
            seen,
            Seen { active_ns: 200 * MS, idle_ns: 100 * MS, away_ns: 0, stall_ns: Some(200 * MS) }
        );
        assert_eq!(watch.sample(counts(3, 205), at(1400)).stall_ns, None);
    }

    #[test]
    fn a_worker_seen_away_twice_in_different_stretches_has_not_stalled() {
        let mut watch = watch_of_a_parked_worker();
        watch.sample(counts(2, 5), at(1100));
        let seen = watch.sample(counts(4, 20), at(1200));
        assert_eq!((seen.stall_ns, seen.away_ns, seen.active_ns), (None, 0, 15 * MS));
    }
}
