//! What a loop or process did between two readings.
//!
//! Counters and distributions are differences, so they tell of the interval alone. Three things may happen to a series
//! within it. It was there and only grew: the difference. It was begun anew and counts less than before: all that it
//! counts is of the interval. It was not there before: if it would have been seen, it has just got its first value and
//! began at zero; otherwise nobody knows what of it is of the interval, and it is `None`.

use attach::libuv::tiers::Tiers;
use model::catalogue::{
    EVENTLOOP_ITERATIONS, EVENTLOOP_LAG, EVENTLOOP_PHASE_DURATION, EVENTLOOP_SLOW_ITERATIONS,
    EVENTLOOP_STALL_OBSERVED, EVENTLOOP_TIME, EVENTLOOP_TIMER_LATENESS, GC_PAUSE, LOOPSCOPE_TIER_ACTIVE,
    Metric, THREADPOOL_COMPLETION_DELAY, THREADPOOL_QUEUE_WAIT, THREADPOOL_QUEUE_WAIT_OBSERVED,
    THREADPOOL_RUN, THREADPOOL_TASKS,
};
use model::histogram::Histogram;
use model::label::{LabelValue, Tier};

use super::reading::Values;

/// The values of a loop or process at the beginning and at the end of an interval.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    /// `None` where the loop or process was not known then.
    pub(super) earlier: Option<&'a Values>,
    pub(super) later: &'a Values,
    pub(super) before: Watched,
}

/// How much of a process was to be seen at the beginning of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watched {
    /// Nothing: it was not known.
    Not,
    /// What these tiers measure from outside.
    From(Tiers),
    /// Everything that it had: it publishes that itself.
    Whole,
}

impl Watched {
    /// How a process was watched when this was read.
    pub(super) fn of(process: Option<&Values>) -> Self {
        match process {
            None => Self::Not,
            Some(process) if process.has(&LOOPSCOPE_TIER_ACTIVE) => Self::From(active_tiers(process)),
            Some(_) => Self::Whole,
        }
    }
}

/// The tiers that measure a process from outside.
pub(super) fn active_tiers(process: &Values) -> Tiers {
    let is_active = |tier: &Tier| {
        process.gauge(&LOOPSCOPE_TIER_ACTIVE, &[tier.position()]).is_some_and(|active| active > 0)
    };
    Tier::ALL.iter().copied().filter(is_active).fold(Tiers::NONE, Tiers::with)
}

impl Change<'_> {
    /// How much a counter grew. Labels are given by their positions.
    pub(super) fn growth(&self, metric: &Metric, labels: &[u8]) -> Option<u64> {
        let later = self.later.counter(metric, labels)?;
        let earlier = match self.earlier.and_then(|values| values.counter(metric, labels)) {
            Some(earlier) => earlier,
            None => self.began_at_zero(metric).then_some(0)?,
        };
        Some(later.checked_sub(earlier).unwrap_or(later))
    }

    /// What was recorded into a distribution.
    pub(super) fn distribution(&self, metric: &Metric, labels: &[u8]) -> Option<Histogram> {
        let later = self.later.histogram(metric, labels)?;
        match self.earlier.and_then(|values| values.histogram(metric, labels)) {
            Some(earlier) => Some(later.since(earlier).unwrap_or_else(|| later.clone())),
            None => self.began_at_zero(metric).then(|| later.clone()),
        }
    }

    /// What was recorded into the distributions of all these labels together.
    pub(super) fn distributions(
        &self,
        metric: &Metric,
        labels: impl Iterator<Item = u8>,
    ) -> Option<Histogram> {
        let each = labels.filter_map(|label| self.distribution(metric, &[label]));
        each.reduce(|mut sum, one| {
            sum.merge(&one);
            sum
        })
    }

    /// A reading at the end of the interval.
    pub(super) fn gauge(&self, metric: &Metric, labels: &[u8]) -> Option<i64> {
        self.later.gauge(metric, labels)
    }

    /// A count or duration at the end of the interval; none is negative but by mistake.
    pub(super) fn amount(&self, metric: &Metric, labels: &[u8]) -> Option<u64> {
        self.gauge(metric, labels).and_then(|reading| u64::try_from(reading).ok())
    }

    /// Whether a series that was not there at the beginning has begun since.
    fn began_at_zero(&self, metric: &Metric) -> bool {
        match self.before {
            Watched::Not => false,
            Watched::Whole => true,
            Watched::From(tiers) => {
                tier_of(metric).is_some_and(|tier| tiers.has(tier))
                    || self.earlier.is_some_and(|values| values.has(metric))
            }
        }
    }
}

/// The tier whose series of a metric begins with what it first measures. What libuv counts itself is told from the first look
/// on, and only where it does not, by the tier loop.
fn tier_of(metric: &Metric) -> Option<Tier> {
    let tier_of_id = [
        (&EVENTLOOP_STALL_OBSERVED, Tier::Observe),
        (&THREADPOOL_QUEUE_WAIT_OBSERVED, Tier::Observe),
        (&EVENTLOOP_LAG, Tier::Loop),
        (&EVENTLOOP_ITERATIONS, Tier::Loop),
        (&EVENTLOOP_TIME, Tier::Loop),
        (&EVENTLOOP_TIMER_LATENESS, Tier::Loop),
        (&EVENTLOOP_SLOW_ITERATIONS, Tier::Loop),
        (&GC_PAUSE, Tier::Loop),
        (&EVENTLOOP_PHASE_DURATION, Tier::Phases),
        (&THREADPOOL_QUEUE_WAIT, Tier::Pool),
        (&THREADPOOL_RUN, Tier::Pool),
        (&THREADPOOL_TASKS, Tier::Pool),
        (&THREADPOOL_COMPLETION_DELAY, Tier::Pool),
    ];
    tier_of_id.into_iter().find(|(of_tier, _)| of_tier.id == metric.id).map(|(_, tier)| tier)
}

#[cfg(test)]
mod tests {
    use model::label::{LabelValue, Outcome, TaskKind};
    use model::snapshot::{SharedLabels, Snapshot, Value};
    use model::time::Monotonic;

    use super::*;
    use crate::top::reading::{ProcessReading, Reading};

    fn process(fill: impl FnOnce(&mut Snapshot, &SharedLabels)) -> ProcessReading {
        let mut snapshot = Snapshot::default();
        let labels = SharedLabels::new([("service", "shop"), ("pid", "17")]);
        snapshot.push(&EVENTLOOP_ITERATIONS, &labels.with("loop", "main"), &[], Value::Counter(1));
        fill(&mut snapshot, &labels);
        let reading = Reading::of(&snapshot, Monotonic::default());
        reading.processes.into_values().next().unwrap()
    }

    fn tasks(counts: &[(TaskKind, u64)]) -> ProcessReading {
        process(|snapshot, labels| {
            for (kind, count) in counts {
                let own = [kind.as_str(), Outcome::Done.as_str()];
                snapshot.push(&THREADPOOL_TASKS, labels, &own, Value::Counter(*count));
                let run = Value::Histogram(Histogram::from_ns((0..*count).map(|n| 1000 * (n + 1))));
                snapshot.push(&THREADPOOL_RUN, labels, &[kind.as_str()], run);
            }
        })
    }

    const OUTSIDE: Watched = Watched::From(Tiers::NONE);

    fn expect(
        earlier: Option<&[(TaskKind, u64)]>,
        before: Watched,
        later: &[(TaskKind, u64)],
        kind: TaskKind,
        grown: Option<u64>,
    ) {
        let (earlier, later) = (earlier.map(tasks), tasks(later));
        let earlier = earlier.as_ref().map(|reading| &reading.values);
        let change = Change { earlier, later: &later.values, before };
        let labels = [kind.position(), Outcome::Done.position()];
        assert_eq!(change.growth(&THREADPOOL_TASKS, &labels), grown);
        let recorded = change.distribution(&THREADPOOL_RUN, &[kind.position()]);
        assert_eq!(recorded.map(|histogram| histogram.count()), grown);
    }

    #[test]
    fn a_series_that_was_there_before_tells_by_how_much_it_grew() {
        expect(Some(&[(TaskKind::Fs, 5)]), OUTSIDE, &[(TaskKind::Fs, 9)], TaskKind::Fs, Some(4));
    }

    #[test]
    fn a_series_that_was_begun_anew_counts_from_there() {
        expect(Some(&[(TaskKind::Fs, 5)]), OUTSIDE, &[(TaskKind::Fs, 3)], TaskKind::Fs, Some(3));
    }

    #[test]
    fn a_new_series_of_a_known_metric_began_at_zero() {
        let later = [(TaskKind::Fs, 5), (TaskKind::Dns, 2)];
        expect(Some(&[(TaskKind::Fs, 5)]), OUTSIDE, &later, TaskKind::Dns, Some(2));
    }

    #[test]
    fn a_new_series_of_a_tier_that_was_active_began_at_zero() {
        let pool = Watched::From(Tiers::only(Tier::Pool));
        expect(Some(&[]), pool, &[(TaskKind::Fs, 5)], TaskKind::Fs, Some(5));
        expect(None, pool, &[(TaskKind::Fs, 5)], TaskKind::Fs, Some(5));
        expect(Some(&[]), Watched::From(Tiers::only(Tier::Loop)), &[(TaskKind::Fs, 5)], TaskKind::Fs, None);
    }

    #[test]
    fn iterations_that_only_probes_count_are_told_from_the_first_interval_on() {
        let later = process(|_, _| {});
        let iterations = |before| {
            let of_loop = Change { earlier: None, later: &later.loops["main"], before };
            of_loop.growth(&EVENTLOOP_ITERATIONS, &[])
        };
        assert_eq!(iterations(Watched::From(Tiers::only(Tier::Loop))), Some(1));
        assert_eq!(iterations(Watched::From(Tiers::only(Tier::Observe))), None);
    }

    #[test]
    fn a_new_series_of_a_process_that_publishes_everything_began_at_zero() {
        expect(None, Watched::Whole, &[(TaskKind::Fs, 5)], TaskKind::Fs, Some(5));
    }

    #[test]
    fn of_what_was_not_known_before_nothing_is_said() {
        expect(None, Watched::Not, &[(TaskKind::Fs, 5)], TaskKind::Fs, None);
        expect(Some(&[]), OUTSIDE, &[(TaskKind::Fs, 5)], TaskKind::Fs, None);
        expect(Some(&[(TaskKind::Fs, 5)]), OUTSIDE, &[(TaskKind::Fs, 5)], TaskKind::Dns, None);
    }
}
