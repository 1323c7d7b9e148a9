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
    dropped: Vec<Counter>,
}

/// How the instruments of a signal are called.
#[derive(Clone, Copy)]
pub(super) struct Metrics {
    attempts: &'static Metric,
    duration: Option<&'static Metric>,
    queue_bytes: &'static Metric,
    delivered: Option<&'static Metric>,
    dropped: &'static Metric,
}

/// Those of metrics.
pub(super) const OF_METRICS: Metrics = Metrics {
    attempts: &catalogue::LOOPSCOPE_OTLP_EXPORTS,
    duration: Some(&catalogue::LOOPSCOPE_OTLP_EXPORT_DURATION),
    queue_bytes: &catalogue::LOOPSCOPE_OTLP_QUEUE_BYTES,
    delivered: None,
    dropped: &catalogue::LOOPSCOPE_OTLP_DROPPED_POINTS,
};

/// Those of profiles, wherever they go.
pub(super) const OF_PROFILES: Metrics = Metrics {
    attempts: &catalogue::LOOPSCOPE_PROFILE_EXPORTS,
    duration: None,
    queue_bytes: &catalogue::LOOPSCOPE_PROFILE_QUEUE_BYTES,
    delivered: Some(&catalogue::LOOPSCOPE_PROFILE_EXPORTED_SAMPLES),
    dropped: &catalogue::LOOPSCOPE_PROFILE_DROPPED_SAMPLES,
};

/// Those of spans.
pub(super) const OF_TRACES: Metrics = Metrics {
    attempts: &catalogue::LOOPSCOPE_TRACE_EXPORTS,
    duration: None,
    queue_bytes: &catalogue::LOOPSCOPE_TRACE_QUEUE_BYTES,
    delivered: Some(&catalogue::LOOPSCOPE_TRACE_EXPORTED_SPANS),
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
        for (cause, items) in ExportLoss::ALL.iter().zip(&self.dropped) {
            snapshot.push(self.metrics.dropped, none, &[cause.as_str()], Value::Counter(items.get()));
        }
    }
}
