//! An immutable reading of many instruments: the only thing that exporters read.
//!
//! A snapshot holds families in the catalogue's order, those of prom-client's names behind them, and in each the series in the order in which they were added.
//! The labels that all series of a target share are kept once.

mod exemplar;

use std::sync::Arc;

use crate::catalogue::prom_client::PROM_CLIENT;
use crate::catalogue::{CATALOGUE, Kind, Metric};
use crate::histogram::Histogram;
pub use exemplar::{Exemplar, Trace};

/// A reading of one series. Durations are in nanoseconds; [`crate::catalogue::Unit`] tells which values are durations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A sum that only grows.
    Counter(u64),
    /// A reading that goes up and down.
    Gauge(i64),
    /// A distribution of durations.
    Histogram(Histogram),
}

impl Value {
    /// The kind of metric that has such values.
    pub fn kind(&self) -> Kind {
        match self {
            Value::Counter(_) => Kind::Counter,
            Value::Gauge(_) => Kind::Gauge,
            Value::Histogram(_) => Kind::Histogram,
        }
    }
}

/// Labels that many series share: those of a target, or of one loop of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedLabels(Arc<[(&'static str, Box<str>)]>);

impl SharedLabels {
    /// These labels, in this order.
    pub fn new<V: Into<Box<str>>>(labels: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        Self(labels.into_iter().map(|(name, value)| (name, value.into())).collect())
    }

    /// These labels and one more.
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        Self(self.0.iter().cloned().chain([(name, value.into())]).collect())
    }

    /// The labels, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, &**value))
    }
}

/// One series of a family: its labels and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    shared: SharedLabels,
    own: [Option<(&'static str, &'static str)>; 2],
    /// The reading.
    pub value: Value,
    /// One of the measurements that a distribution holds, where one is known by itself.
    pub exemplar: Option<Box<Exemplar>>,
}

impl Series {
    /// All labels: the target's first, then the metric's own.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.shared.iter().chain(self.own.iter().flatten().copied())
    }

    /// The value of one label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

/// All series of one metric.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    /// What the series measure.
    pub metric: &'static Metric,
    /// At least one.
    pub series: &'a [Series],
}

/// A reading of many instruments.
///
/// ```
/// use loopscope_model::catalogue::EVENTLOOP_CALLBACKS;
/// use loopscope_model::label::{LabelValue, Phase};
/// use loopscope_model::snapshot::{SharedLabels, Snapshot, Value};
///
/// let target = SharedLabels::new([("service", "shop"), ("pid", "17")]);
/// let mut snapshot = Snapshot::default();
/// snapshot.push(&EVENTLOOP_CALLBACKS, &target, &[Phase::Timers.as_str()], Value::Counter(3));
/// let series = &snapshot.families().next().unwrap().series[0];
/// assert_eq!(series.label("phase"), Some("timers"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By [position](position_of).
    families: Vec<Vec<Series>>,
}

impl Snapshot {
    /// Adds a series. `own` holds the values of the metric's closed labels, in the order of [`Metric::labels`]; an open
    /// label's value belongs into `shared`.
    ///
    /// # Panics
    /// If the value's kind is not the metric's, or `own` does not fit the metric's labels.
    pub fn push(
        &mut self,
        metric: &'static Metric,
        shared: &SharedLabels,
        own: &[&'static str],
        value: Value,
    ) {
        assert_eq!(value.kind(), metric.kind, "the kind of {}", metric.name);
        let closed = || metric.labels.iter().filter(|label| label.is_closed());
        assert_eq!(own.len(), closed().count(), "the labels of {}", metric.name);
        let mut pairs = [None; 2];
        for (pair, (label, value)) in pairs.iter_mut().zip(closed().zip(own)) {
            *pair = Some((label.name, *value));
        }
        let position = position_of(metric).expect("a metric exists only if a list has it");
        self.families.resize_with(self.families.len().max(position + 1), Vec::new);
        self.families[position].push(Series { shared: shared.clone(), own: pairs, value, exemplar: None });
    }

    /// Gives series of a metric their exemplars.
    pub fn add_exemplars(
        &mut self,
        metric: &'static Metric,
        mut of: impl FnMut(&Series) -> Option<Exemplar>,
    ) {
        let position = position_of(metric).expect("a metric exists only if a list has it");
        for series in self.families.get_mut(position).into_iter().flatten() {
            series.exemplar = of(series).map(Box::new);
        }
    }

    /// Adds all series of `other`.
    pub fn append(&mut self, other: Snapshot) {
        self.families.resize_with(self.families.len().max(other.families.len()), Vec::new);
        for (ours, theirs) in self.families.iter_mut().zip(other.families) {
            if ours.is_empty() {
                *ours = theirs;
            } else {
                ours.extend(theirs);
            }
        }
    }

    /// The families that have series, in the catalogue's order, and then in that of prom-client's names.
    pub fn families(&self) -> impl Iterator<Item = Family<'_>> {
        let with_metric = CATALOGUE.iter().chain(PROM_CLIENT).zip(&self.families);
        with_metric.filter(|(_, series)| !series.is_empty()).map(|(metric, series)| Family { metric, series })
    }

    /// The series of one metric.
    pub fn series(&self, metric: &'static Metric) -> &[Series] {
        self.families().find(|family| family.metric.id == metric.id).map_or(&[], |family| family.series)
    }
}

/// A metric's position in the catalogue or, behind it, among prom-client's names.
fn position_of(metric: &Metric) -> Option<usize> {
    let in_list = |list: &[&Metric]| list.binary_search_by_key(&metric.id, |listed| listed.id).ok();
    in_list(CATALOGUE).or_else(|| Some(CATALOGUE.len() + in_list(PROM_CLIENT)?))
}
