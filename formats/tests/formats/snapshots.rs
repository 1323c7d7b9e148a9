//! Snapshots built in code, for the tests of the metrics formats.

use model::catalogue::{CATALOGUE, Kind, Metric, Unit};
use model::histogram::Histogram;
use model::label::Label;
use model::snapshot::{SharedLabels, Snapshot, Value};

/// Every metric with every value of its closed labels, for two targets.
pub(crate) fn whole_catalogue() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (number, metric) in CATALOGUE.iter().enumerate() {
        for (service, pid) in [("shop", "17"), ("a \"quoted\" \\ one\nwith lines", "18")] {
            let target = SharedLabels::new([("service", service), ("pid", pid), ("loop", "0")]);
            push_all(&mut snapshot, metric, &target, number as u64);
        }
    }
    snapshot
}

/// One series of this metric for every combination of its labels' values.
fn push_all(snapshot: &mut Snapshot, metric: &'static Metric, target: &SharedLabels, number: u64) {
    let (closed, open): (Vec<&Label>, Vec<&Label>) =
        metric.labels.iter().partition(|label| label.is_closed());
    let shared = open.iter().fold(target.clone(), |shared, label| shared.with(label.name, "old space"));
    let mut combinations: Vec<Vec<&'static str>> = vec![vec![]];
    for label in closed {
        let with = |known: &Vec<&'static str>| {
            let known = known.clone();
            label.values.iter().map(move |value| known.iter().copied().chain([*value]).collect())
        };
        combinations = combinations.iter().flat_map(with).collect();
    }
    for (position, own) in combinations.iter().enumerate() {
        let value = value(metric, number + position as u64);
        snapshot.push(metric, &shared, own, value);
    }
}

fn value(metric: &Metric, number: u64) -> Value {
    let scale = if metric.unit == Unit::Seconds { 1_234_567_891 } else { 1 };
    match metric.kind {
        Kind::Counter => Value::Counter(number * scale),
        Kind::Gauge => Value::Gauge((number * scale) as i64),
        Kind::Histogram => {
            Value::Histogram(Histogram::from_ns((0..number).map(|step| step * step * step * 1_000_003)))
        }
    }
}
