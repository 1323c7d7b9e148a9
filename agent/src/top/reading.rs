//! What a snapshot tells, by process and loop.
//!
//! A snapshot is ordered by metric, as exporters want it; a table wants everything about one loop at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use attach::target::Pid;
use model::catalogue::{Metric, Scope};
use model::histogram::Histogram;
use model::snapshot::{Series, Snapshot, Value};
use model::time::Monotonic;

use super::notes::{Notes, ProcessNotes};

/// The position of a label that a metric does not have.
const NO_LABEL: u8 = u8::MAX;

/// A snapshot and the time at which it was taken.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) at: Monotonic,
    pub(super) processes: BTreeMap<Pid, ProcessReading>,
    /// Which of the processes that were named have ended.
    pub(super) ended: BTreeSet<Pid>,
}

/// What is known of one process.
#[derive(Debug, Default)]
pub(super) struct ProcessReading {
    /// The name of its service.
    pub(super) service: String,
    /// What belongs to the whole process.
    pub(super) values: Values,
    /// What belongs to each of its loops, by the loop's name.
    pub(super) loops: BTreeMap<String, Values>,
    /// What is known of it beside that.
    pub(super) notes: Option<ProcessNotes>,
}

/// The values of one loop or process, by metric and labels.
#[derive(Debug, Default)]
pub(super) struct Values(HashMap<(u16, [u8; 2]), Value>);

impl Reading {
    /// What a snapshot that was taken at this time tells.
    pub(super) fn of(snapshot: &Snapshot, at: Monotonic) -> Self {
        let mut processes: BTreeMap<Pid, ProcessReading> = BTreeMap::new();
        for family in snapshot.families() {
            for series in family.series {
                // Without a process: the agent's own.
                let Some(pid) = series.label("pid").and_then(|pid| pid.parse().ok()) else { continue };
                processes.entry(pid).or_default().add(family.metric, series);
            }
        }
        Self { at, processes, ended: BTreeSet::new() }
    }

    /// The same with what is known beside it.
    pub(super) fn with(mut self, notes: Notes, ended: BTreeSet<Pid>) -> Self {
        for (pid, notes) in notes.0 {
            if let Some(process) = self.processes.get_mut(&pid) {
                process.notes = Some(notes);
            }
        }
        Self { ended, ..self }
    }

    /// How many loops it tells of.
    pub(super) fn loop_count(&self) -> usize {
        self.processes.values().map(|process| process.loops.len()).sum()
    }
}

impl ProcessReading {
    fn add(&mut self, metric: &'static Metric, series: &Series) {
        if self.service.is_empty() {
            series.label("service").unwrap_or_default().clone_into(&mut self.service);
        }
        match (metric.scope, series.label("loop")) {
            (Scope::Loop, Some(name)) => match self.loops.get_mut(name) {
                Some(values) => values.add(metric, series),
                None => self.loops.entry(name.to_owned()).or_default().add(metric, series),
            },
            _ => self.values.add(metric, series),
        }
    }
}

impl Values {
    /// The counter with these labels, by their positions.
    pub(super) fn counter(&self, metric: &Metric, labels: &[u8]) -> Option<u64> {
        match self.get(metric, labels)? {
            Value::Counter(count) => Some(*count),
            _ => None,
        }
    }

    /// The gauge with these labels, by their positions.
    pub(super) fn gauge(&self, metric: &Metric, labels: &[u8]) -> Option<i64> {
        match self.get(metric, labels)? {
            Value::Gauge(reading) => Some(*reading),
            _ => None,
        }
    }

    /// The distribution with these labels, by their positions.
    pub(super) fn histogram(&self, metric: &Metric, labels: &[u8]) -> Option<&Histogram> {
        match self.get(metric, labels)? {
            Value::Histogram(histogram) => Some(histogram),
            _ => None,
        }
    }

    /// Whether there is any series of a metric.
    pub(super) fn has(&self, metric: &Metric) -> bool {
        self.0.keys().any(|(id, _)| *id == metric.id)
    }

    fn get(&self, metric: &Metric, labels: &[u8]) -> Option<&Value> {
        let mut positions = [NO_LABEL; 2];
        positions[..labels.len()].copy_from_slice(labels);
        self.0.get(&(metric.id, positions))
    }

    /// Series with a label of an open set are left out: nothing here shows them.
    fn add(&mut self, metric: &'static Metric, series: &Series) {
        let mut positions = [NO_LABEL; 2];
        for (position, label) in positions.iter_mut().zip(metric.labels) {
            let value = series.label(label.name);
            let Some(at) = label.values.iter().position(|known| Some(*known) == value) else { return };
            *position = at as u8;
        }
        self.0.insert((metric.id, positions), series.value.clone());
    }
}
