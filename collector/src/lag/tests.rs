use formats::decode::Limits;
use formats::otlp::{Attribute, Number, Point, ResourceMetrics, Stream, Temporality};
use model::histogram::Histogram;
use serde_json::Value;

use super::*;
use crate::api::Parameters;

const MS: u64 = 1_000_000;

fn open(folder: &tempfile::TempDir) -> Lag {
    Lag::open(&Options::new(folder.path())).unwrap()
}

/// The beginning of a step some minutes ago, in milliseconds.
fn began_ms() -> i64 {
    (crate::times::now_ms() / STEP_MS - 60) * STEP_MS
}

/// What the loop `main` of a process had in a time, of which all before counts as well where it is cumulative.
fn request(temporality: Temporality, pid: i64, (began_ms, ended_ms): (i64, i64), lags: &[u64]) -> Vec<u8> {
    let resource =
        [("service.name", Attribute::Text("shop".into())), ("process.pid", Attribute::Integer(pid))];
    let mut metrics = ResourceMetrics::new(resource.into());
    for (metric, value) in [
        (&catalogue::EVENTLOOP_ITERATIONS, Number::Integer(1)),
        (&catalogue::EVENTLOOP_LAG, Number::Histogram(Histogram::from_ns(lags.iter().copied()))),
    ] {
        let point = Point {
            attributes: vec![("loop", "main".to_owned())],
            start_unix_ns: began_ms as u64 * MS,
            time_unix_ns: ended_ms as u64 * MS,
            value,
            exemplar: None,
        };
        metrics.push(Stream::of(metric), temporality, point);
    }
    let mut request = Vec::new();
    metrics.encode("0", &mut request);
    request
}

fn ask(lag: &Lag, query: &str, began_ms: i64) -> Value {
    let (from, until) = (began_ms / 1000, began_ms / 1000 + 60);
    let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let parameters = Parameters::new(&format!("query={query}&from={from}&until={until}&step=10"));
    serde_json::from_slice(&lag.answer(&parameters).unwrap().body).unwrap()
}

/// What is told of the one series, rounded to a tenth of a millisecond.
fn told(answer: &Value, key: &str) -> Vec<Option<f64>> {
    let series = answer["series"].as_array().unwrap();
    assert_eq!(series.len(), 1, "{answer}");
    let values = series[0][key].as_array().unwrap();
    values.iter().map(|value| value.as_f64().map(|value| (value * 1e4).round() / 10.0)).collect()
}

fn take(lag: &Lag, request: &[u8]) -> Result<Taken, IngestError> {
    lag.keep(read(request, &Limits::default())?)
}

#[test]
fn differences_are_told_in_the_steps_that_they_cover_and_nothing_else_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let lag = open(&folder);
    let began = began_ms();
    // Ten seconds, then thirty.
    let first = request(Temporality::Delta, 1, (began, began + 10_000), &[MS, MS, 90 * MS]);
    let second = request(Temporality::Delta, 1, (began + 10_000, began + 40_000), &[2 * MS]);
    for request in [&first, &second] {
        let taken = take(&lag, request).unwrap();
        assert_eq!(taken, Taken { kept: 1, left_out: 1 });
    }
    let answer =
        ask(&lag, r#"process_cpu:cpu:nanoseconds:cpu:nanoseconds{service="shop",phase="timers"}"#, began);
    assert_eq!(answer["unit"], "seconds");
    assert_eq!(answer["step"], 10.0);
    assert_eq!(answer["start"], began as f64 / 1e3);
    assert_eq!(answer["series"][0]["labels"], serde_json::json!({"loop": "main"}));
    // Within the width of a bucket.
    let max = told(&answer, "max");
    assert!((90.0..98.2).contains(&max[0].unwrap()), "{max:?}");
    assert!(max[1..4].iter().all(|max| (2.0..2.2).contains(&max.unwrap())), "{max:?}");
    assert_eq!(max[4..], [None, None]);
    let p50 = told(&answer, "p50");
    assert!((0.9..1.1).contains(&p50[0].unwrap()), "{p50:?}");
    assert_eq!(ask(&lag, r#"{service="other"}"#, began)["series"], serde_json::json!([]));
}

#[test]
fn sums_become_what_was_added_whatever_is_sent_twice_or_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let lag = open(&folder);
    let began = began_ms();
    let long_ago = began - 3_600_000;
    let came = |started, ended: i64, lags: &[u64]| {
        take(&lag, &request(Temporality::Cumulative, 1, (started, ended), lags)).unwrap();
    };
    // Of the hour before nothing is known but that it was.
    came(long_ago, began, &[900 * MS]);
    came(long_ago, began + 10_000, &[900 * MS, 5 * MS]);
    came(long_ago, began + 10_000, &[900 * MS, 5 * MS]);
    came(long_ago, began + 20_000, &[900 * MS, 5 * MS]);
    // Another process of the same name and number.
    came(began + 20_000, began + 30_000, &[70 * MS]);
    let max = told(&ask(&lag, "", began), "max");
    assert!((5.0..5.5).contains(&max[0].unwrap()), "{max:?}");
    assert_eq!(max[1], None, "nothing was added");
    assert!((70.0..76.4).contains(&max[2].unwrap()), "{max:?}");
    assert_eq!(max[3..], [None; 3]);
}

#[test]
fn loops_of_one_name_add_up_and_may_be_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let lag = open(&folder);
    let began = began_ms();
    for (pid, lags) in [(1, &[MS; 3][..]), (2, &[100 * MS])] {
        let request = request(Temporality::Delta, pid, (began, began + 10_000), lags);
        take(&lag, &request).unwrap();
    }
    let answer = ask(&lag, "", began);
    assert!(told(&answer, "p50")[0].unwrap() < 1.1, "{answer}");
    assert!(told(&answer, "p99")[0].unwrap() > 90.0, "{answer}");
    let one = ask(&lag, r#"{pid="2"}"#, began);
    assert!(told(&one, "p50")[0].unwrap() > 90.0, "{one}");
}

#[test]
fn what_was_kept_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let began = began_ms();
    let request = request(Temporality::Delta, 1, (began, began + 10_000), &[0, 0, 40 * MS]);
    take(&open(&folder), &request).unwrap();
    let lag = open(&folder);
    assert_eq!(told(&ask(&lag, "", began), "p50")[0], Some(0.0));
    lag.store.flush().unwrap();
    assert!(told(&ask(&lag, "", began), "max")[0].unwrap() >= 40.0);
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let lag = open(&folder);
    let began = began_ms();
    let mut request = request(Temporality::Delta, 1, (began, began + 10_000), &[MS]);
    request.truncate(request.len() - 1);
    assert!(matches!(take(&lag, &request), Err(IngestError::Decode(_))));
    assert_eq!(ask(&lag, "", began)["series"], serde_json::json!([]));
}
