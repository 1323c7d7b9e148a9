//! The three metrics formats: golden files, other people's parsers, and any values.

use std::collections::BTreeMap;
use std::process::Command;

use loopscope_formats::prometheus::{self, Format, negotiate, protobuf};
use model::catalogue::{EVENTLOOP_LAG, EVENTLOOP_TIME, LOOPSCOPE_TARGETS, MANAGED_HEAP_BYTES, Unit};
use model::histogram::{Bucket, Histogram};
use model::snapshot::{SharedLabels, Snapshot, Value};
use proptest::prelude::*;
use prost::Message;

use crate::prometheus_wire::MetricFamily;
use crate::{golden, outside, snapshots};

fn encoded(format: Format, snapshot: &Snapshot) -> Vec<u8> {
    let mut body = Vec::new();
    prometheus::encode(format, snapshot, &mut body).unwrap();
    body
}

fn encoded_text(format: Format, snapshot: &Snapshot) -> String {
    String::from_utf8(encoded(format, snapshot)).unwrap()
}

fn families(mut body: &[u8]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    while !body.is_empty() {
        families.push(MetricFamily::decode_length_delimited(&mut body).unwrap());
    }
    families
}

fn lags(ns: &[u64]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    let value = Value::Histogram(Histogram::from_ns(ns.iter().copied()));
    snapshot.push(&EVENTLOOP_LAG, &SharedLabels::new([("service", "shop")]), &[], value);
    snapshot
}

fn small() -> Snapshot {
    let shared = SharedLabels::new([("service", "shop"), ("pid", "17"), ("loop", "0")]);
    let mut snapshot =
        lags(&[0, 10_000, 15_258, 15_259, 2_000_000, 900_000_000, 1_000_000_000, 40_000_000_000]);
    snapshot.push(&EVENTLOOP_TIME, &shared, &["active"], Value::Counter(1_500_000_001));
    snapshot.push(&EVENTLOOP_TIME, &shared, &["idle"], Value::Counter(u64::MAX));
    let space = shared.with("space", "a \"b\" \\ c\nd");
    snapshot.push(&MANAGED_HEAP_BYTES, &space, &["used"], Value::Gauge(-1));
    snapshot.push(&LOOPSCOPE_TARGETS, &SharedLabels::default(), &["measured"], Value::Gauge(2));
    snapshot
}

#[test]
fn text_is_as_blessed() {
    golden::expect("metrics.txt", &encoded_text(Format::Text, &small()));
}

#[test]
fn openmetrics_is_as_blessed() {
    golden::expect("metrics.openmetrics.txt", &encoded_text(Format::OpenMetrics, &small()));
}

#[test]
fn protobuf_is_as_blessed() {
    golden::expect(
        "metrics.protobuf.txt",
        &format!("{:#?}\n", families(&encoded(Format::Protobuf, &small()))),
    );
}

#[test]
fn an_empty_snapshot_gives_an_empty_scrape() {
    assert_eq!(encoded_text(Format::Text, &Snapshot::default()), "");
    assert_eq!(encoded_text(Format::OpenMetrics, &Snapshot::default()), "# EOF\n");
    assert_eq!(encoded(Format::Protobuf, &Snapshot::default()), b"");
}

#[test]
fn promtool_has_nothing_to_say_about_the_whole_catalogue() {
    let Some(promtool) = outside::program("promtool", "Debian's package `prometheus`") else { return };
    let body = encoded(Format::Text, &snapshots::whole_catalogue());
    let said = outside::run(Command::new(promtool).args(["check", "metrics"]), &body);
    assert!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}");
}

/// A sample's name and labels.
type Key = (String, BTreeMap<String, String>);

#[derive(serde::Deserialize)]
struct PythonSample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

#[test]
fn the_python_client_reads_every_series_of_both_texts() {
    let snapshot = snapshots::whole_catalogue();
    for (format, parser) in [(Format::Text, "text"), (Format::OpenMetrics, "openmetrics")] {
        let Some(mut script) = outside::python_script("read_prometheus.py") else { return };
        let printed = outside::output_of(script.arg(parser), &encoded(format, &snapshot));
        let read = printed.lines().map(|line| serde_json::from_str::<PythonSample>(line).unwrap());
        let read: BTreeMap<Key, f64> = read
            .filter(|sample| !sample.name.ends_with("_bucket"))
            .map(|sample| ((sample.name, sample.labels), sample.value))
            .collect();
        assert_eq!(read, samples(&snapshot));
    }
}

/// What a reader should find, buckets aside.
fn samples(snapshot: &Snapshot) -> BTreeMap<Key, f64> {
    let mut samples = BTreeMap::new();
    for family in snapshot.families() {
        let scale = if family.metric.unit == Unit::Seconds { 1e9 } else { 1.0 };
        for series in family.series {
            let mut add = |suffix: &str, value: f64| {
                let labels = series.labels().map(|(name, value)| (name.to_owned(), value.to_owned()));
                samples.insert((format!("{}{suffix}", family.metric.name), labels.collect()), value);
            };
            match &series.value {
                Value::Counter(count) => add("", *count as f64 / scale),
                Value::Gauge(reading) => add("", *reading as f64 / scale),
                Value::Histogram(histogram) => {
                    add("_count", histogram.count() as f64);
                    add("_sum", histogram.sum_ns() as f64 / scale);
                }
            }
        }
    }
    samples
}

#[test]
fn an_empty_histogram_is_still_a_native_one() {
    let families = families(&encoded(Format::Protobuf, &lags(&[])));
    let histogram = families[0].metric[0].histogram.as_ref().unwrap();
    // Prometheus takes a histogram for native if it has a span or a zero bucket with a width or a count.
    assert!(histogram.zero_threshold.unwrap() > 0.0);
    assert_eq!((histogram.sample_count, histogram.zero_count), (Some(0), Some(0)));
}

#[test]
fn classic_buckets_can_be_left_out_of_the_protocol_buffers() {
    let mut body = Vec::new();
    protobuf::encode(&lags(&[1, 2, 3]), protobuf::Buckets::Native, &mut body).unwrap();
    let families = families(&body);
    let histogram = families[0].metric[0].histogram.as_ref().unwrap();
    assert!(histogram.bucket.is_empty() && !histogram.positive_span.is_empty());
}

/// The buckets that spans and differences tell of.
fn native_buckets(histogram: &crate::prometheus_wire::Histogram) -> Vec<Bucket> {
    let mut deltas = histogram.positive_delta.iter();
    let (mut index, mut count) = (0, 0);
    let mut buckets = Vec::new();
    for span in &histogram.positive_span {
        index += span.offset.unwrap();
        for _ in 0..span.length.unwrap() {
            count += deltas.next().unwrap();
            buckets.push(Bucket { index: index as i16, count: count as u64 });
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}

proptest! {
    #[test]
    fn a_native_histogram_holds_the_same_buckets(ns in prop::collection::vec(0..1u64 << 40, 0..200)) {
        let expected = Histogram::from_ns(ns.iter().copied());
        let families = families(&encoded(Format::Protobuf, &lags(&ns)));
        let histogram = families[0].metric[0].histogram.as_ref().unwrap();
        prop_assert_eq!(histogram.schema, Some(3));
        prop_assert_eq!(native_buckets(histogram), expected.buckets());
        prop_assert_eq!(histogram.zero_count, Some(expected.zero_count()));
        prop_assert_eq!(histogram.sample_count, Some(expected.count()));
    }

    #[test]
    fn classic_buckets_count_exactly_the_durations_up_to_their_bound(ns in prop::collection::vec(0..1u64 << 36, 0..200)) {
        let families = families(&encoded(Format::Protobuf, &lags(&ns)));
        let histogram = families[0].metric[0].histogram.as_ref().unwrap();
        for bucket in &histogram.bucket {
            let bound_ns = (bucket.upper_bound.unwrap() * 1e9).floor() as u64;
            let at_most = ns.iter().filter(|&&ns| ns <= bound_ns).count() as u64;
            prop_assert_eq!(bucket.cumulative_count, Some(at_most));
        }
    }

    #[test]
    fn no_label_value_breaks_out_of_its_quotes(value: String) {
        let mut snapshot = Snapshot::default();
        snapshot.push(&LOOPSCOPE_TARGETS, &SharedLabels::new([("service", value.as_str())]), &["measured"], Value::Gauge(1));
        for format in [Format::Text, Format::OpenMetrics] {
            let text = encoded_text(format, &snapshot);
            let line = text.split('\n').find(|line| line.starts_with("loopscope_targets")).unwrap();
            let quoted = line
                .strip_prefix("loopscope_targets{service=\"")
                .and_then(|rest| rest.strip_suffix("\",state=\"measured\"} 1"));
            prop_assert_eq!(unescaped(quoted.unwrap()), value.as_str());
        }
    }
}

/// A label's value from between its quotes.
fn unescaped(quoted: &str) -> String {
    let mut characters = quoted.chars();
    let mut value = String::new();
    while let Some(character) = characters.next() {
        value.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(escaped @ ('\\' | '"')) => escaped,
                other => panic!("\\{other:?}"),
            },
            '"' => panic!("a quote within quotes"),
            character => character,
        });
    }
    value
}

#[test]
fn the_best_acceptable_format_is_chosen() {
    let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let native = format!("{protobuf};q=0.6,{prometheus_3}");
    let cases = [
        (prometheus_2, Format::OpenMetrics),
        (prometheus_3, Format::OpenMetrics),
        (&format!("{protobuf},{prometheus_2};q=0.2"), Format::Protobuf),
        (&native.replace("1.0.0;escaping=allow-utf-8;q=0.6", "1.0.0;q=0.55"), Format::Protobuf),
        ("application/openmetrics-text; version=0.0.1", Format::OpenMetrics),
        ("Application/OpenMetrics-Text; Version=\"1.0.0\"", Format::OpenMetrics),
        ("application/openmetrics-text; version=2.0.0", Format::Text),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", Format::Text),
        ("text/plain;q=0.9, application/openmetrics-text;q=0.5", Format::Text),
        ("application/vnd.google.protobuf;proto=other;encoding=delimited", Format::Text),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            Format::Text,
        ),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Text),
        ("*/*", Format::Text),
        ("image/png", Format::Text),
        ("", Format::Text),
        (";;,,=;q=nan, q", Format::Text),
    ];
    for (accept, format) in cases {
        assert_eq!(negotiate(accept), format, "{accept}");
    }
}

#[test]
fn every_format_names_itself() {
    for format in Format::ALL {
        assert_eq!(negotiate(prometheus::content_type(*format)), *format);
    }
}
