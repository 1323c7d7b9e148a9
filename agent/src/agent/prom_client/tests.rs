//! What is made of a process of which everything is known, and of one of which little is.

use super::*;
use model::catalogue::prom_client::PROM_CLIENT;

const DOCUMENT: &str = include_str!("../../../../docs/prom-client.md");

fn labels() -> SharedLabels {
    SharedLabels::new([("service", "shop"), ("pid", "17")])
}

fn figures() -> Figures {
    Figures {
        name: "MainThread".to_owned(),
        cpu_ns: 3_500_000_000,
        user_ns: 3_000_000_000,
        system_ns: 500_000_000,
        resident_bytes: 50 << 20,
        virtual_bytes: 1 << 30,
        threads: 11,
        open_fds: Some(20),
        max_fds: Some(1024),
        started_unix_ns: Some(1_700_000_000_000_000_000),
    }
}

/// A main loop and a worker's, as the catalogue names them.
fn measured() -> Snapshot {
    let mut snapshot = Snapshot::default();
    figures().add_to(&mut snapshot, &labels());
    for (name, ms) in [("main", 7), ("worker-1", 900)] {
        let labels = labels().with("loop", name);
        snapshot.push(&catalogue::EVENTLOOP_AWAY, &labels, &[], Value::Gauge(ms * 1_000_000));
        let pause = Value::Histogram(Histogram::from_ns([ms as u64 * 1_000_000]));
        snapshot.push(&catalogue::GC_PAUSE, &labels, &[GcKind::Major.as_str()], pause);
    }
    snapshot
}

/// The value of the only series with these own labels, in the snapshot's units.
fn value(snapshot: &Snapshot, metric: &'static Metric, own: &[(&str, &str)]) -> Option<Value> {
    let has = |series: &&Series| own.iter().all(|&(name, value)| series.label(name) == Some(value));
    let mut found = snapshot.series(metric).iter().filter(has);
    let series = found.next()?;
    assert!(found.next().is_none(), "{} once", metric.name);
    assert_eq!((series.label("service"), series.label("pid")), (Some("shop"), Some("17")));
    assert_eq!(series.label("loop"), None);
    Some(series.value.clone())
}

fn told(process: &NodeProcess<'_>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    process.add_to(&mut snapshot);
    snapshot
}

#[test]
fn of_a_process_of_which_all_is_known_every_name_is_told() {
    let mut handles = [0; HandleType::ALL.len()];
    (handles[HandleType::Tcp as usize], handles[HandleType::Pipe as usize]) = (3, 2);
    handles[HandleType::Timer as usize] = 1;
    let (labels, figures, measured) = (labels(), figures(), measured());
    let process = NodeProcess {
        labels: &labels,
        figures: &figures,
        data_bytes: Some(4096),
        version: Some((24, 21, 0)),
        handles: Some(handles),
        recent_lag: Some(Histogram::from_ns([1_000_000; 99].into_iter().chain([500_000_000]))),
        measured: &measured,
    };
    let told = told(&process);
    for metric in PROM_CLIENT {
        assert!(!told.series(metric).is_empty(), "{}", metric.name);
    }
    let gauge = |metric, own: &[(&str, &str)]| match value(&told, metric, own) {
        Some(Value::Gauge(value)) => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(value(&told, &names::PROCESS_CPU_USER, &[]), Some(Value::Counter(3_000_000_000)));
    assert_eq!(value(&told, &names::PROCESS_CPU_SYSTEM, &[]), Some(Value::Counter(500_000_000)));
    assert_eq!(gauge(&names::PROCESS_HEAP, &[]), 4096);
    assert_eq!(gauge(&names::NODEJS_EVENTLOOP_LAG, &[]), 7_000_000);
    assert_eq!(gauge(&names::NODEJS_ACTIVE_HANDLES, &[("type", "tcp")]), 3);
    assert_eq!(value(&told, &names::NODEJS_ACTIVE_HANDLES, &[("type", "timer")]), None);
    assert_eq!(gauge(&names::NODEJS_ACTIVE_HANDLES_TOTAL, &[]), 5);
    let version = [("version", "v24.21.0"), ("major", "24"), ("minor", "21"), ("patch", "0")];
    assert_eq!(gauge(&names::NODEJS_VERSION_INFO, &version), 1);
    let pause = Value::Histogram(Histogram::from_ns([7_000_000]));
    assert_eq!(
        value(&told, &names::NODEJS_GC_DURATION, &[("kind", "major")]),
        Some(pause),
        "not the worker's"
    );

    let mut shared = Snapshot::default();
    process.add_shared_to(&mut shared);
    assert_eq!(value(&shared, &catalogue::PROCESS_CPU, &[]), Some(Value::Counter(3_500_000_000)));
    assert!(SHARED.iter().all(|metric| shared.series(metric).len() == 1));
    assert!(shared.series(&catalogue::PROCESS_THREADS).is_empty(), "prom-client has no such name");
}

#[test]
fn what_is_not_known_is_absent() {
    let (labels, figures, measured) = (labels(), figures(), Snapshot::default());
    let process = NodeProcess {
        labels: &labels,
        figures: &figures,
        data_bytes: None,
        version: None,
        handles: None,
        recent_lag: Some(Histogram::default()),
        measured: &measured,
    };
    let told = told(&process);
    let names: Vec<_> = told.families().map(|family| family.metric.name).collect();
    assert_eq!(names, ["process_cpu_user_seconds_total", "process_cpu_system_seconds_total"]);
}

#[test]
fn a_distribution_is_told_by_its_figures() {
    let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 0.05;
    let spread = Spread::of(&Histogram::from_ns([1_000_000; 99].into_iter().chain([500_000_000]))).unwrap();
    assert!((0.9e-3..=1e-3).contains(&spread.min) && (0.5..0.55).contains(&spread.max), "{spread:?}");
    assert!((spread.mean - 0.00599).abs() < 1e-9);
    assert!(near(spread.stddev, 0.0496) && near(spread.p50, 1e-3) && near(spread.p99, 1e-3), "{spread:?}");
    let zero = Spread::of(&Histogram::from_ns([0, 0])).unwrap();
    assert_eq!(zero, Spread { min: 0.0, max: 0.0, mean: 0.0, stddev: 0.0, p50: 0.0, p90: 0.0, p99: 0.0 });
    assert_eq!(Spread::of(&Histogram::default()), None);
}

#[test]
fn figures_of_one_bucket_are_in_order() {
    for ns in [1, 999, 1_000_000, 50_123_456, 3_000_000_000] {
        let spread = Spread::of(&Histogram::from_ns([ns; 3])).unwrap();
        assert!(spread.min <= spread.mean && spread.mean <= spread.max, "{spread:?}");
        assert!(spread.min <= spread.p50 && spread.p99 <= spread.max, "{spread:?}");
    }
}

#[test]
fn every_name_is_documented() {
    for metric in PROM_CLIENT.iter().chain(&SHARED) {
        assert!(DOCUMENT.contains(&format!("`{}`", metric.name)), "{}", metric.name);
    }
}
