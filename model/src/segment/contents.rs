//! What was read of a segment: scopes, their readings, and the series that these become.

use super::layout::ScopeKind;
use crate::catalogue::Metric;
use crate::snapshot::{SharedLabels, Snapshot, Value};

/// One metric of one scope, with its value at the time of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What was measured.
    pub metric: &'static Metric,
    /// The values of the metric's labels, in their order.
    pub labels: Vec<&'static str>,
    /// The value.
    pub value: Value,
}

/// A scope and its readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeReading {
    /// What the scope is about.
    pub kind: ScopeKind,
    /// Tells the scopes of a kind apart.
    pub index: u64,
    /// The thread that the scope belongs to, in the writer's pid namespace; zero for none.
    pub thread_id: u64,
    /// The name that the program gave it; may be empty.
    pub name: String,
    /// Which closing of all was its own; `None` while it is open.
    pub closing: Option<u64>,
    /// Its readings, each metric and set of labels once.
    pub readings: Vec<Reading>,
}

impl ScopeReading {
    /// Whether it was still open when another one closed; of two open ones, it is.
    fn closed_after(&self, other: &Self) -> bool {
        let closing = |of: &Self| of.closing.unwrap_or(u64::MAX);
        closing(self) >= closing(other)
    }
}

/// Everything that a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The scopes, in their order.
    pub scopes: Vec<ScopeReading>,
    /// Directory entries that this reader's catalogue does not know: written by a newer version.
    pub unknown_entries: u64,
    /// Instruments that found no room in the segment, so that nobody can read them.
    pub dropped_instruments: u64,
}

impl Contents {
    /// Adds all readings to a snapshot, each series once. `target` holds the labels of the process; readings of a loop
    /// also get `loop`: its name, or its index where it has none. Of loops with the same name all but the first also
    /// get their index. Those of a runtime get `runtime` in the same way. What several scopes of the process measure (two pools) adds up.
    pub fn add_to(self, snapshot: &mut Snapshot, target: &SharedLabels) {
        let labels: Vec<_> = self.scopes.iter().map(|scope| self.labels_of(scope, target)).collect();
        let mut of_process = Vec::new();
        for (scope, labels) in self.scopes.into_iter().zip(labels) {
            for reading in scope.readings {
                match scope.kind {
                    ScopeKind::Loop | ScopeKind::Runtime => {
                        snapshot.push(reading.metric, &labels, &reading.labels, reading.value)
                    }
                    ScopeKind::Process => add_reading(&mut of_process, reading),
                }
            }
        }
        for reading in of_process {
            snapshot.push(reading.metric, target, &reading.labels, reading.value);
        }
    }

    /// The loops that know their threads: the thread, in the writer's pid namespace, and the value of `loop` in the loop's series.
    pub fn loops(&self) -> Vec<(u64, String)> {
        let loops = self.scopes.iter().filter(|it| it.kind == ScopeKind::Loop && it.thread_id != 0);
        loops.map(|scope| (scope.thread_id, self.loop_name(scope))).collect()
    }

    /// The thread of a loop, and its name: of one that has closed, the one that its series had last.
    pub(super) fn loop_of(&self, index: u64) -> Option<(u64, String)> {
        let mut scopes = self.scopes.iter();
        let scope = scopes.find(|scope| scope.kind == ScopeKind::Loop && scope.index == index)?;
        Some((scope.thread_id, self.loop_name(scope)))
    }

    fn loop_name(&self, scope: &ScopeReading) -> String {
        let labels = self.labels_of(scope, &SharedLabels::default());
        let name = labels.iter().find(|(name, _)| *name == "loop").map(|(_, value)| value.to_owned());
        name.unwrap_or_default()
    }

    fn labels_of(&self, scope: &ScopeReading, target: &SharedLabels) -> SharedLabels {
        let is_namesake = |other: &ScopeReading| {
            other.kind == scope.kind && other.name == scope.name && other.closed_after(scope)
        };
        let is_first = || !self.scopes.iter().any(|other| is_namesake(other) && other.index < scope.index);
        let label = match scope.kind {
            ScopeKind::Process => return target.clone(),
            ScopeKind::Loop => "loop",
            ScopeKind::Runtime => "runtime",
        };
        match scope.name.as_str() {
            "" => target.with(label, &scope.index.to_string()),
            name if is_first() => target.with(label, name),
            name => target.with(label, &format!("{name}-{}", scope.index)),
        }
    }
}

/// Adds a reading to those of its scope; two of one series, which only a strange writer publishes, become their sum.
pub(super) fn add_reading(readings: &mut Vec<Reading>, new: Reading) {
    let same = readings.iter_mut().find(|old| old.metric.id == new.metric.id && old.labels == new.labels);
    let Some(old) = same else { return readings.push(new) };
    match (&mut old.value, &new.value) {
        (Value::Counter(old), Value::Counter(new)) => *old = old.wrapping_add(*new),
        (Value::Gauge(old), Value::Gauge(new)) => *old = old.wrapping_add(*new),
        (Value::Histogram(old), Value::Histogram(new)) => old.merge(new),
        _ => unreachable!("a metric has one kind"),
    }
}
