//! What a loop or process did between two readings.
//!
//! Counters and distributions are differences, so they tell of the interval alone. Three things may happen to a series
//! within it. It was there and only grew: the difference. It was begun anew and counts less than before: all that it
//! counts is of the interval. It was not there before: where its metric had other series already, this one has just
//! got its first value and began at zero; otherwise nobody knows what of it is of the interval, and it is `None`.

use model::catalogue::Metric;
use model::histogram::Histogram;

use super::reading::Values;

/// The values of a loop or process at the beginning and at the end of an interval.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    /// `None` where the loop or process was not known then.
    pub(super) earlier: Option<&'a Values>,
    pub(super) later: &'a Values,
}

impl Change<'_> {
    /// How much a counter grew. Labels are given by their positions.
    pub(super) fn growth(&self, metric: &Metric, labels: &[u8]) -> Option<u64> {
        let later = self.later.counter(metric, labels)?;
        let earlier = self.known_before(metric)?.counter(metric, labels).unwrap_or(0);
        Some(later.checked_sub(earlier).unwrap_or(later))
    }

    /// What was recorded into a distribution.
    pub(super) fn distribution(&self, metric: &Metric, labels: &[u8]) -> Option<Histogram> {
        let later = self.later.histogram(metric, labels)?;
        match self.known_before(metric)?.histogram(metric, labels) {
            Some(earlier) => Some(later.since(earlier).unwrap_or_else(|| later.clone())),
            None => Some(later.clone()),
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

    fn known_before(&self, metric: &Metric) -> Option<&Values> {
        self.earlier.filter(|values| values.has(metric))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::catalogue::{EVENTLOOP_ITERATIONS, THREADPOOL_RUN, THREADPOOL_TASKS};
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
        let reading = Reading::of(&snapshot, Monotonic::default(), &BTreeSet::new());
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

    fn expect(
        earlier: Option<&[(TaskKind, u64)]>,
        later: &[(TaskKind, u64)],
        kind: TaskKind,
        grown: Option<u64>,
    ) {
        let (earlier, later) = (earlier.map(tasks), tasks(later));
        let change =
            Change { earlier: earlier.as_ref().map(|reading| &reading.values), later: &later.values };
        assert_eq!(change.growth(&THREADPOOL_TASKS, &[kind.position(), Outcome::Done.position()]), grown);
        let recorded = change.distribution(&THREADPOOL_RUN, &[kind.position()]);
        assert_eq!(recorded.map(|histogram| histogram.count()), grown);
    }

    #[test]
    fn a_series_that_was_there_before_tells_by_how_much_it_grew() {
        expect(Some(&[(TaskKind::Fs, 5)]), &[(TaskKind::Fs, 9)], TaskKind::Fs, Some(4));
    }

    #[test]
    fn a_series_that_was_begun_anew_counts_from_there() {
        expect(Some(&[(TaskKind::Fs, 5)]), &[(TaskKind::Fs, 3)], TaskKind::Fs, Some(3));
    }

    #[test]
    fn a_new_series_of_a_known_metric_began_at_zero() {
        let later = [(TaskKind::Fs, 5), (TaskKind::Dns, 2)];
        expect(Some(&[(TaskKind::Fs, 5)]), &later, TaskKind::Dns, Some(2));
    }

    #[test]
    fn of_what_was_not_known_before_nothing_is_said() {
        expect(None, &[(TaskKind::Fs, 5)], TaskKind::Fs, None);
        expect(Some(&[]), &[(TaskKind::Fs, 5)], TaskKind::Fs, None);
        expect(Some(&[(TaskKind::Fs, 5)]), &[(TaskKind::Fs, 5)], TaskKind::Dns, None);
    }
}
