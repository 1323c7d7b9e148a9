//! What the continuous profiler did.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::catalogue;
use model::instrument::Counter;
use model::label::{LabelValue, LossCause};
use model::snapshot::{SharedLabels, Snapshot, Value};

use super::counter;

/// The profiler's instruments.
pub(crate) struct ProfilingMetrics {
    is_on: AtomicBool,
    processes: AtomicU64,
    samples: Counter,
    lost: Vec<Counter>,
}

impl ProfilingMetrics {
    pub(super) fn new() -> Self {
        Self {
            is_on: AtomicBool::new(false),
            processes: AtomicU64::new(0),
            samples: counter(),
            lost: LossCause::ALL.iter().map(|_| counter()).collect(),
        }
    }

    /// From now on there is a profiler.
    pub(crate) fn begin(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// So many processes are sampled.
    pub(crate) fn processes_are(&self, count: usize) {
        self.processes.store(count as u64, Ordering::Relaxed);
    }

    /// So many samples were taken.
    pub(crate) fn taken(&self, samples: u64) {
        self.samples.add(samples);
    }

    /// So many samples were lost before they were part of a profile.
    pub(crate) fn lost(&self, cause: LossCause, samples: u64) {
        self.lost[cause as usize].add(samples);
    }

    pub(super) fn add_to(&self, snapshot: &mut Snapshot, none: &SharedLabels) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let processes = Value::Gauge(self.processes.load(Ordering::Relaxed) as i64);
        snapshot.push(&catalogue::LOOPSCOPE_PROFILED_PROCESSES, none, &[], processes);
        snapshot.push(&catalogue::LOOPSCOPE_SAMPLES, none, &[], Value::Counter(self.samples.get()));
        for (cause, lost) in LossCause::ALL.iter().zip(&self.lost) {
            let lost = Value::Counter(lost.get());
            snapshot.push(&catalogue::LOOPSCOPE_SAMPLES_LOST, none, &[cause.as_str()], lost);
        }
    }
}
