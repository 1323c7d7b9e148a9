//! Pyroscope's push and query API: the requests of Grafana's data source, byte for byte as its client writes them, and the SDK for
//! Node.js in a real process.

use std::env;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use prost::Message;
use serde_json::json;
use tests::requirement;

use crate::server::Server;

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// What connect-go sends.
const PROTO: &[(&str, &str)] = &[
    ("content-type", "application/proto"),
    ("connect-protocol-version", "1"),
    ("accept-encoding", "gzip"),
    ("user-agent", "connect-go/1.19.1 (go1.25.7)"),
];

#[derive(Clone, PartialEq, Message)]
struct Times {
    #[prost(int64, tag = "1")]
    start: i64,
    #[prost(int64, tag = "2")]
    end: i64,
}

#[derive(Clone, PartialEq, Message)]
struct LabelValues {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "2")]
    matchers: Vec<String>,
    #[prost(int64, tag = "3")]
    start: i64,
    #[prost(int64, tag = "4")]
    end: i64,
}

#[derive(Clone, PartialEq, Message)]
struct LabelNames {
    #[prost(string, repeated, tag = "1")]
    matchers: Vec<String>,
    #[prost(int64, tag = "2")]
    start: i64,
    #[prost(int64, tag = "3")]
    end: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Names {
    #[prost(string, repeated, tag = "1")]
    names: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Select {
    #[prost(string, tag = "1")]
    profile_type: String,
    #[prost(string, tag = "2")]
    label_selector: String,
    #[prost(int64, tag = "3")]
    start: i64,
    #[prost(int64, tag = "4")]
    end: i64,
    #[prost(int64, optional, tag = "5")]
    max_nodes: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct SelectSeries {
    #[prost(string, tag = "1")]
    profile_type: String,
    #[prost(string, tag = "2")]
    label_selector: String,
    #[prost(int64, tag = "3")]
    start: i64,
    #[prost(int64, tag = "4")]
    end: i64,
    #[prost(string, repeated, tag = "5")]
    group_by: Vec<String>,
    #[prost(double, tag = "6")]
    step: f64,
    #[prost(int64, optional, tag = "9")]
    limit: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Merged {
    #[prost(message, optional, tag = "1")]
    flamegraph: Option<FlameGraph>,
}

#[derive(Clone, PartialEq, Message)]
struct FlameGraph {
    #[prost(string, repeated, tag = "1")]
    names: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    levels: Vec<Level>,
    #[prost(int64, tag = "3")]
    total: i64,
    #[prost(int64, tag = "4")]
    max_self: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Level {
    #[prost(int64, repeated, tag = "1")]
    values: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct AllSeries {
    #[prost(message, repeated, tag = "1")]
    series: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    points: Vec<Point>,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Point {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

fn call<A: Message + Default>(server: &Server, method: &str, request: &impl Message) -> A {
    let target = format!("/querier.v1.QuerierService/{method}");
    let answer = server.post(&target, PROTO, &request.encode_to_vec()).expect(200);
    assert!(answer.head.contains("content-type: application/proto"), "{}", answer.head);
    A::decode(answer.body.as_slice()).unwrap()
}

fn now_ms() -> i64 {
    loopscope_collector::times::now_ms()
}

/// A collector with three profiles; and a time right after them.
fn server() -> (tempfile::TempDir, Server, i64) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    for (name, body) in [
        ("shop%7Bphase=timers%7D", "main;a;b 10\nmain;a;c 5\nmain;d 1\n"),
        ("shop%7Bphase=check%7D", "main;a;b 100\n"),
        ("other", "main 1000\n"),
    ] {
        server.post(&format!("/ingest?name={name}&format=folded"), &[], body.as_bytes()).expect(200);
    }
    (folder, server, now_ms() + 1000)
}

#[test]
fn the_data_source_finds_types_and_labels() {
    let (_folder, server, end) = server();
    // Its check of health sends an empty request, its editor the dashboard's time.
    for times in [Times::default(), Times { start: end - 3_600_000, end }] {
        let answer: Names = call(&server, "ProfileTypes", &times);
        // The first field of each row is its ID, which a message of text is too.
        assert_eq!(answer.names.len(), 1);
        assert!(answer.names[0].contains(CPU), "{answer:?}");
    }
    let answer: Names = call(
        &server,
        "LabelNames",
        &LabelNames { matchers: vec![format!("{CPU}{{service_name=\"shop\"}}")], start: end - 60_000, end },
    );
    let expected = [
        "__name__",
        "__period_type__",
        "__period_unit__",
        "__profile_type__",
        "__type__",
        "__unit__",
        "phase",
        "service_name",
    ];
    assert_eq!(answer.names, expected);
    let values = |name: &str, matcher: &str| {
        let matchers = vec![matcher.to_owned()];
        call::<Names>(
            &server,
            "LabelValues",
            &LabelValues { name: name.to_owned(), matchers, start: end - 60_000, end },
        )
        .names
    };
    assert_eq!(values("service_name", "{}"), ["other", "shop"]);
    assert_eq!(values("service_name", ""), ["other", "shop"]);
    assert_eq!(values("phase", &format!("{CPU}{{service_name=~\"sh.*\"}}")), ["check", "timers"]);
    assert_eq!(values("nothing", "{}"), Vec::<String>::new());
}

#[test]
fn the_data_source_draws_a_flame_graph_and_a_time_series() {
    let (_folder, server, end) = server();
    let start = end - 60_000;
    let label_selector = "{service_name=\"shop\"}".to_owned();
    let select = Select {
        profile_type: CPU.to_owned(),
        label_selector: label_selector.clone(),
        start,
        end,
        max_nodes: None,
    };
    let graph = call::<Merged>(&server, "SelectMergeStacktraces", &select).flamegraph.unwrap();
    assert_eq!(graph.names, ["total", "main", "a", "b", "c", "d"]);
    assert_eq!(graph.total, 1_160_000_000);
    assert_eq!(graph.max_self, 1_100_000_000);
    let levels: Vec<_> = graph.levels.iter().map(|level| level.values.clone()).collect();
    const MS: i64 = 1_000_000;
    assert_eq!(levels[0], [0, 1160 * MS, 0, 0]);
    assert_eq!(levels[1], [0, 1160 * MS, 0, 1]);
    // In each level, a node's place is told from the end of the one before it.
    let mut of_third: Vec<(i64, i64)> = levels[2].chunks(4).map(|node| (node[3], node[1])).collect();
    of_third.sort_unstable();
    assert_eq!(of_third, [(2, 1150 * MS), (5, 10 * MS)]);

    let request = SelectSeries {
        profile_type: CPU.to_owned(),
        label_selector,
        start,
        end,
        group_by: vec!["service_name".to_owned(), "phase".to_owned()],
        step: 15.0,
        limit: None,
    };
    let answer: AllSeries = call(&server, "SelectSeries", &request);
    let told: Vec<_> = answer
        .series
        .iter()
        .map(|series| {
            let labels: Vec<_> =
                series.labels.iter().map(|pair| format!("{}={}", pair.name, pair.value)).collect();
            (labels.join(","), series.points.iter().map(|point| point.value).sum::<f64>())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("phase=check,service_name=shop".to_owned(), 1e9),
            ("phase=timers,service_name=shop".to_owned(), 1.6e8)
        ]
    );
    let times = answer.series.iter().flat_map(|series| &series.points).map(|point| point.timestamp);
    assert!(times.clone().all(|time| (start..=end + 15_000).contains(&time) && (time - start) % 15_000 == 0));
    let limited: AllSeries = call(&server, "SelectSeries", &SelectSeries { limit: Some(1), ..request });
    assert_eq!(limited.series.len(), 1);
    assert_eq!(limited.series[0].labels[0].value, "check");
}

#[test]
fn a_profile_is_given_out_as_pprof() {
    let (_folder, server, end) = server();
    let select = Select {
        profile_type: CPU.to_owned(),
        label_selector: "{}".to_owned(),
        start: end - 60_000,
        end,
        max_nodes: None,
    };
    let target = "/querier.v1.QuerierService/SelectMergeProfile";
    let answer = server.post(target, PROTO, &select.encode_to_vec()).expect(200);
    let decoded = formats::pprof::decode(&answer.body, &Default::default()).unwrap();
    assert_eq!(decoded.total(0), 11_160_000_000);
}

#[test]
fn a_time_series_tells_nothing_that_began_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let first = now_ms() / 1000 * 1000 - 60_000;
    for (at, weight) in [(first, 1), (first + 2000, 10), (first + 5000, 100)] {
        let target = format!("/ingest?name=shop&format=folded&from={at}");
        server.post(&target, &[], format!("main {weight}\n").as_bytes()).expect(200);
    }
    let sum = |start: i64, end: i64, step: f64| {
        let request = SelectSeries {
            profile_type: CPU.to_owned(),
            label_selector: "{}".to_owned(),
            start,
            end,
            group_by: Vec::new(),
            step,
            limit: None,
        };
        let answer: AllSeries = call(&server, "SelectSeries", &request);
        answer.series.iter().flat_map(|series| &series.points).map(|point| point.value / 1e7).sum::<f64>()
    };
    assert_eq!(sum(first, first + 2000, 15.0), 11.0, "the end belongs to it");
    assert_eq!(sum(first, first + 1999, 15.0), 1.0);
    assert_eq!(sum(first, first + 4999, 1.0), 11.0);
    assert_eq!(sum(first, first + 5000, 1.0), 111.0);
    // Each point tells the step before it, so the first tells what was before the start.
    assert_eq!(sum(first + 1000, first + 1500, 1.0), 1.0);
}

#[test]
fn a_question_has_a_bound_however_it_was_sent() {
    let (_folder, server, _) = server();
    let target = "/querier.v1.QuerierService/Series";
    let json_type = ("content-type", "application/json");
    let many = |count: usize| json!({ "matchers": vec!["{}"; count] }).to_string().into_bytes();
    server.post(target, &[json_type], &many(256)).expect(200);
    let refused = server.post(target, &[json_type], &many(257)).expect(400).json();
    assert!(refused["message"].as_str().unwrap().contains("256 values"), "{refused}");
    let large = many(300_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &large).unwrap();
    let packed = gzip.finish().unwrap();
    for (headers, body) in [(vec![json_type], large), (vec![json_type, ("content-encoding", "gzip")], packed)]
    {
        let refused = server.post(target, &headers, &body).expect(400).json();
        assert!(refused["message"].as_str().unwrap().contains("a question of more than"), "{refused}");
    }
}

#[test]
fn what_speaks_json_is_answered_in_json() {
    let (_folder, server, end) = server();
    let json_type: &[(&str, &str)] = &[("content-type", "application/json")];
    let select = |selector: &str| json!({"profileTypeID": CPU, "labelSelector": selector, "start": (end - 60_000).to_string(), "end": end});
    let call = |method: &str, request: serde_json::Value| {
        let target = format!("/querier.v1.QuerierService/{method}");
        server.post(&target, json_type, request.to_string().as_bytes())
    };
    let graph = call("SelectMergeStacktraces", select("{service_name=\"other\"}")).expect(200).json();
    assert_eq!(
        graph["flamegraph"]["levels"],
        json!([{"values": ["0", "10000000000", "0", "0"]}, {"values": ["0", "10000000000", "10000000000", "1"]}])
    );
    let diff =
        json!({"left": select("{service_name=\"shop\"}"), "right": select("{service_name=\"other\"}")});
    let diff = call("Diff", diff).expect(200).json();
    assert_eq!(diff["flamegraph"]["leftTicks"], "1160000000");
    assert_eq!(diff["flamegraph"]["rightTicks"], "10000000000");
    let series = json!({"matchers": ["{phase!=\"\"}"], "labelNames": ["service_name", "__type__"], "start": 0, "end": 0});
    let series = call("Series", series).expect(200).json();
    assert_eq!(
        series["labelsSet"],
        json!([{"labels": [{"name": "__type__", "value": "cpu"}, {"name": "service_name", "value": "shop"}]}])
    );
    let refused = call("SelectMergeStacktraces", select("{service_name}")).expect(400).json();
    assert_eq!(refused["code"], "invalid_argument");
    for (key, value, status) in [
        ("aggregation", json!("TIME_SERIES_AGGREGATION_TYPE_AVERAGE"), 501),
        ("aggregation", json!(1), 501),
        ("aggregation", json!("TIME_SERIES_AGGREGATION_TYPE_SUM"), 200),
        ("aggregation", json!("MEDIAN"), 400),
        ("spanSelector", json!("0123456789abcdef"), 400),
        ("spanSelector", json!(["0123456789abcdef"]), 501),
        ("spanSelector", json!([]), 200),
    ] {
        let mut request = select("{}");
        request["step"] = json!(15);
        request[key] = value.clone();
        let answer = call("SelectSeries", request);
        assert_eq!(answer.status, status, "{key}: {value}: {}", answer.text());
    }
    assert_eq!(call("SelectHeatmap", json!({})).expect(501).json()["code"], "unimplemented");
}

/// A profile as pprof with a value for each of two labels, as a Go program sends it.
fn go_profile() -> Vec<u8> {
    let mut decoded = formats::folded::decode(
        b"main.main;main.work 7\n",
        formats::decode::ValueType::new("cpu", "nanoseconds"),
        &Default::default(),
    )
    .unwrap();
    let mut out = Vec::new();
    let values: Vec<i64> = vec![0, decoded.values.pop().unwrap()];
    let totals = formats::pprof::Totals {
        value: decoded.types[0].clone(),
        period: (decoded.types[0].clone(), 10_000_000),
        started_unix_ns: (now_ms() - 5000) * 1_000_000,
        duration_ns: 5_000_000_000,
    };
    formats::pprof::encode_totals(&decoded.symbols, &values, &totals, &mut out).unwrap();
    out
}

#[derive(Clone, PartialEq, Message)]
struct Push {
    #[prost(message, repeated, tag = "1")]
    series: Vec<PushSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct PushSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Pair>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<PushSample>,
}

#[derive(Clone, PartialEq, Message)]
struct PushSample {
    #[prost(bytes = "vec", tag = "1")]
    raw_profile: Vec<u8>,
    #[prost(string, tag = "2")]
    id: String,
}

fn push(profiles: Vec<Vec<u8>>) -> Push {
    let pair = |(name, value): (&str, &str)| Pair { name: name.to_owned(), value: value.to_owned() };
    let labels = [("__name__", "process_cpu"), ("service_name", "go"), ("pod", "a")].map(pair).to_vec();
    let samples = profiles.into_iter().map(|raw_profile| PushSample { raw_profile, id: "1".to_owned() });
    Push { series: vec![PushSeries { labels, samples: samples.collect() }] }
}

#[test]
fn what_is_pushed_is_stored_together_or_not_at_all() {
    let (_folder, server, _) = server();
    let target = "/push.v1.PusherService/Push";
    let bad = push(vec![go_profile(), b"nonsense".to_vec()]);
    let refused = server.post(target, PROTO, &bad.encode_to_vec()).expect(400).json();
    assert_eq!(refused["code"], "invalid_argument");
    let total = || {
        server.get("/api/v1/flamegraph?query=%7Bservice=%22go%22,pod=%22a%22%7D").expect(200).json()["total"]
            .clone()
    };
    assert_eq!(total(), 0);
    let good = push(vec![go_profile(), go_profile()]);
    server.post(target, PROTO, &good.encode_to_vec()).expect(200);
    assert_eq!(total(), 14);
    let encoded = base64::prelude::BASE64_STANDARD.encode(go_profile());
    let good = json!({"series": [{"labels": [{"name": "__name__", "value": "process_cpu"},
        {"name": "service_name", "value": "go"}, {"name": "pod", "value": "a"}], "samples": [{"rawProfile": encoded}]}]});
    let answer =
        server.post(target, &[("content-type", "application/json")], good.to_string().as_bytes()).expect(200);
    assert_eq!(answer.json(), json!({}));
    assert_eq!(total(), 21);
    let names = server.get("/api/v1/services").json();
    assert_eq!(names["services"][0]["types"], json!([CPU]));
}

/// Burns CPU time in a function with a name, and sends what it did.
const APPLICATION: &str = "
const Pyroscope = require('@pyroscope/nodejs');
Pyroscope.init({ serverAddress: process.argv[2], appName: 'shop', tags: { region: 'eu' }, flushIntervalMs: 60000,
  wall: { samplingDurationMs: 60000, collectCpuTime: true } });
Pyroscope.start();
function burnForTheCollector() { const end = Date.now() + 50; let sum = 0; while (Date.now() < end) sum += Math.sqrt(sum + 1); return sum; }
let rounds = 0;
const timer = setInterval(async () => {
  burnForTheCollector();
  if (++rounds < 20) return;
  clearInterval(timer);
  await Pyroscope.stop();
}, 55);
";

#[test]
fn the_sdk_for_nodejs_works_as_it_is() {
    let Some(node) = requirement::program("node") else { return };
    let Some(packages) = env::var_os("LOOPSCOPE_PYROSCOPE_SDK") else {
        requirement::skip("LOOPSCOPE_PYROSCOPE_SDK names no packages; `cargo xtask test` fetches them");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let program = folder.path().join("shop.js");
    std::fs::write(&program, APPLICATION).unwrap();
    let mut command = Command::new(node);
    command.arg(&program).arg(format!("http://{}", server.address)).env("DEBUG", "pyroscope*");
    let output = command.env("NODE_PATH", Path::new(&packages).join("node_modules")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !told.contains("rejected"), "{told}");
    let services = server.get("/api/v1/services").expect(200).json();
    assert_eq!(services["services"][0]["name"], "shop", "{told}");
    let top = server
        .get("/api/v1/top?type=wall:cpu:nanoseconds:wall:nanoseconds&query=%7Bregion=%22eu%22%7D")
        .expect(200)
        .json();
    let burnt = top["functions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|function| function["name"].as_str().unwrap().contains("burnForTheCollector"));
    let total_ns = burnt.unwrap_or_else(|| panic!("{top}"))["total"].as_i64().unwrap();
    // A second of it; a busy machine gives less of the CPU to each.
    assert!((100_000_000..2_000_000_000).contains(&total_ns), "{total_ns} ns");
}
