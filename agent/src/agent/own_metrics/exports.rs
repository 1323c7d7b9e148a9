//! What became of the exports of one signal.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::catalogue::{self, Metric};
use model::instrument::{Counter, Histogram};
use model::label::{ExportLoss, ExportOutcome, LabelValue};
use model::snapshot::{SharedLabels, Snapshot, Value};

use super::{counter, histogram};

/// Instruments of one signal.
pub(crate) struct ExportMetrics {
    metrics: Metrics,
    /// Whether anything is exported; what does not happen is not told.
    is_on: AtomicBool,
    attempts: Vec<Counter>,
    duration: Histogram,
    queue_bytes: AtomicU64,
    delivered: Counter,
    rejected: Counter,
    dropped: Vec<Counter>,
}

/// How the instruments of a signal are called.
#[derive(Clone, Copy)]
pub(super) struct Metrics {
    attempts: &'static Metric,
    duration: Option<&'static Metric>,
    queue_bytes: &'static Metric,
    delivered: Option<&'static Metric>,
    /// What counts what a receiver rejects in a unit of its own.
    rejected: Option<&'static Metric>,
    dropped: &'static Metric,
}

/// Those of metrics.
pub(super) const OF_METRICS: Metrics = Metrics {
    attempts: &catalogue::LOOPSCOPE_OTLP_EXPORTS,
    duration: Some(&catalogue::LOOPSCOPE_OTLP_EXPORT_DURATION),
    queue_bytes: &catalogue::LOOPSCOPE_OTLP_QUEUE_BYTES,
    delivered: None,
    rejected: None,
    dropped: &catalogue::LOOPSCOPE_OTLP_DROPPED_POINTS,
};

/// Those of profiles, wherever they go.
pub(super) const OF_PROFILES: Metrics = Metrics {
    attempts: &catalogue::LOOPSCOPE_PROFILE_EXPORTS,
    duration: None,
    queue_bytes: &catalogue::LOOPSCOPE_PROFILE_QUEUE_BYTES,
    delivered: Some(&catalogue::LOOPSCOPE_PROFILE_EXPORTED_SAMPLES),
    rejected: Some(&catalogue::LOOPSCOPE_PROFILE_REJECTED_PROFILES),
    dropped: &catalogue::LOOPSCOPE_PROFILE_DROPPED_SAMPLES,
};

/// Those of spans.
pub(super) const OF_TRACES: Metrics = Metrics {
    attempts: &catalogue::LOOPSCOPE_TRACE_EXPORTS,
    duration: None,
    queue_bytes: &catalogue::LOOPSCOPE_TRACE_QUEUE_BYTES,
    delivered: Some(&catalogue::LOOPSCOPE_TRACE_EXPORTED_SPANS),
    rejected: None,
    dropped: &catalogue::LOOPSCOPE_TRACE_DROPPED_SPANS,
};

impl ExportMetrics {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            is_on: AtomicBool::new(false),
            attempts: ExportOutcome::ALL.iter().map(|_| counter()).collect(),
            duration: histogram(),
            queue_bytes: AtomicU64::new(0),
            delivered: counter(),
            rejected: counter(),
            dropped: ExportLoss::ALL.iter().map(|_| counter()).collect(),
        }
    }

    /// From now on something is exported.
    pub(crate) fn begin(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// An attempt to export took this long, and this came of it.
    pub(crate) fn took(&self, outcome: ExportOutcome, ns: u64) {
        self.attempts[outcome as usize].add(1);
        self.duration.record_ns(ns);
    }

    /// This much waits to be exported.
    pub(crate) fn queue_is(&self, bytes: usize) {
        self.queue_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// The receiver took so much.
    pub(crate) fn delivered(&self, items: u64) {
        self.delivered.add(items);
    }

    /// The receiver took a batch of so many items, but said that it rejected so much of it. Where it counts something else than items, how
    /// many of these were in that is not known.
    pub(crate) fn rejected(&self, items: u64, rejected: u64) {
        if self.metrics.rejected.is_some() {
            self.rejected.add(rejected);
            self.delivered(items);
        } else {
            self.dropped(ExportLoss::Partial, rejected);
            self.delivered(items.saturating_sub(rejected));
        }
    }

    /// So much was lost on its way to the receiver.
    pub(crate) fn dropped(&self, cause: ExportLoss, items: u64) {
        self.dropped[cause as usize].add(items);
    }

    pub(super) fn add_to(&self, snapshot: &mut Snapshot, none: &SharedLabels) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        for (outcome, attempts) in ExportOutcome::ALL.iter().zip(&self.attempts) {
            let attempts = Value::Counter(attempts.get());
            snapshot.push(self.metrics.attempts, none, &[outcome.as_str()], attempts);
        }
        if let Some(metric) = self.metrics.duration {
            snapshot.push(metric, none, &[], Value::Histogram(self.duration.get()));
        }
        let queue = Value::Gauge(self.queue_bytes.load(Ordering::Relaxed) as i64);
        snapshot.push(self.metrics.queue_bytes, none, &[], queue);
        if let Some(metric) = self.metrics.delivered {
            snapshot.push(metric, none, &[], Value::Counter(self.delivered.get()));
        }
        if let Some(metric) = self.metrics.rejected {
            snapshot.push(metric, none, &[], Value::Counter(self.rejected.get()));
        }
        for (cause, items) in ExportLoss::ALL.iter().zip(&self.dropped) {
            snapshot.push(self.metrics.dropped, none, &[cause.as_str()], Value::Counter(items.get()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Profiles that a receiver rejected were once counted as so many samples.
    #[test]
    fn what_a_receiver_rejects_is_counted_in_its_own_unit() {
        let count = |metrics| {
            let exports = ExportMetrics::new(metrics);
            exports.begin();
            exports.rejected(100, 2);
            let mut snapshot = Snapshot::default();
            exports.add_to(&mut snapshot, &SharedLabels::default());
            let sum = |metric: &'static Metric| {
                snapshot.series(metric).iter().map(|series| match series.value {
                    Value::Counter(count) => count,
                    _ => 0,
                })
            };
            let delivered = metrics.delivered.map(|metric| sum(metric).sum::<u64>());
            (delivered, sum(metrics.dropped).sum::<u64>(), metrics.rejected.map(|it| sum(it).sum::<u64>()))
        };
        assert_eq!(count(OF_PROFILES), (Some(100), 0, Some(2)));
        assert_eq!(count(OF_TRACES), (Some(98), 2, None));
        assert_eq!(count(OF_METRICS), (None, 2, None));
    }
}
