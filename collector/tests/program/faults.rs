//! What clients do that they should not, and producers that are many, or whose clocks are off.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::json;

use crate::server::Server;

fn server_with(config: &str) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("collector.toml");
    std::fs::write(&path, config).unwrap();
    let server = Server::start(&folder.path().join("data"), &["--config", path.to_str().unwrap()]);
    (folder, server)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// The status of what is answered; `None` where the connection is closed without an answer.
fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).map(|status| status.parse().unwrap())
}

const CHUNKED: &str = "POST /ingest?name=a&format=folded HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
    transfer-encoding: chunked\r\n\r\n";

#[test]
fn a_body_that_may_be_as_large_as_all_has_a_place() {
    let (_folder, server) = server_with("[limits]\nbody = '100MB'\n");
    let mut stream = connect(&server);
    stream.write_all(format!("{CHUNKED}4\r\nf 1\n\r\n0\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(status(&mut stream), Some(200));
}

#[test]
fn a_body_without_an_end_is_refused_at_its_limit() {
    let (_folder, server) = server_with("[limits]\nbody = '64KiB'\n");
    let mut stream = connect(&server);
    stream.write_all(CHUNKED.as_bytes()).unwrap();
    let chunk = [b"1000\r\n", &[b'f'; 0x1000][..], b"\r\n"].concat();
    let begun = Instant::now();
    while stream.write_all(&chunk).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is never refused");
    }
    // The refusal may be lost with what was sent after it; others are served in any case.
    assert!([None, Some(413)].contains(&status(&mut stream)));
    server.post("/ingest?name=b&format=folded", &[], b"f 1\n").expect(200);
    assert_eq!(server.get("/api/v1/services").json()["services"][0]["name"], "b");
}

#[test]
fn a_body_that_trickles_has_no_more_time_than_another() {
    let (_folder, server) = server_with("[limits]\nbody_time = '1s'\n");
    let mut stream = connect(&server);
    stream.write_all(CHUNKED.as_bytes()).unwrap();
    let begun = Instant::now();
    while stream.write_all(b"1\r\nf\r\n").is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on for ever");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!([None, Some(408)].contains(&status(&mut stream)));
}

#[test]
fn a_header_that_never_ends_is_cut_off() {
    let (_folder, server) = server_with("");
    let mut stream = connect(&server);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-").unwrap();
    let begun = Instant::now();
    let _ = status(&mut stream);
    assert!(begun.elapsed() < Duration::from_secs(50), "it holds the connection");
}

#[test]
fn what_is_refused_of_a_question_is_no_ingestion() {
    let (_folder, server) = server_with("[limits]\nbody = '4KiB'\n");
    let question = "/querier.v1.QuerierService/ProfileTypes";
    let json_type: &[(&str, &str)] = &[("content-type", "application/json")];
    server.post(question, json_type, &[b' '; 5000]).expect(413);
    let broken = [json_type[0], ("content-encoding", "gzip")];
    server.post(question, &broken, b"no gzip").expect(400);
    let requests = |outcome: &str| {
        let series = format!("loopscope_collector_ingest_requests_total{{outcome=\"{outcome}\"}} ");
        let text = server.get("/metrics").text();
        text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok()).unwrap()
    };
    assert_eq!((requests("limited"), requests("malformed")), (0.0, 0.0));
    server.post("/ingest?name=a", &[], &[b' '; 5000]).expect(413);
    server.post("/ingest?name=a", &[("content-encoding", "gzip")], b"no gzip").expect(400);
    assert_eq!((requests("limited"), requests("malformed")), (1.0, 1.0));
}

/// A profile as pprof, of one stack.
fn pprof() -> Vec<u8> {
    let cpu = formats::decode::ValueType::new("cpu", "nanoseconds");
    let decoded = formats::folded::decode(b"main 7\n", cpu.clone(), &Default::default()).unwrap();
    let totals = formats::pprof::Totals {
        value: cpu.clone(),
        period: (cpu, 10_000_000),
        started_unix_ns: (loopscope_collector::times::now_ms() - 5000) * 1_000_000,
        duration_ns: 5_000_000_000,
    };
    let mut out = Vec::new();
    formats::pprof::encode_totals(&decoded.symbols, &decoded.values, &totals, &mut out).unwrap();
    out
}

fn push(server: &Server, series: &[serde_json::Value]) -> crate::client::Answer {
    let body = json!({ "series": series }).to_string();
    server.post("/push.v1.PusherService/Push", &[("content-type", "application/json")], body.as_bytes())
}

fn series(service: &str, profile: &[u8]) -> serde_json::Value {
    let profile = base64::prelude::BASE64_STANDARD.encode(profile);
    json!({"labels": [{"name": "service_name", "value": service}], "samples": [{"rawProfile": profile}]})
}

#[test]
fn profiles_that_are_pushed_together_are_bounded_together() {
    let (_folder, server) = server_with("");
    // Twenty megabytes of nothing, in a field that nobody reads: 20 KB of gzip.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(pprof().as_slice()), &mut plain).unwrap();
    gzip.write_all(&plain).unwrap();
    gzip.write_all(&[0xfa, 0x01, 0x80, 0xda, 0xc4, 0x09]).unwrap();
    gzip.write_all(&vec![0; 20_000_000]).unwrap();
    let padded = series("padded", &gzip.finish().unwrap());
    push(&server, std::slice::from_ref(&padded)).expect(200);
    let refused = push(&server, &[padded.clone(), padded]).expect(422);
    assert!(refused.text().contains("pushed together"), "{}", refused.text());
}

#[test]
fn ten_thousand_services_are_listed_and_each_is_found() {
    let (_folder, server) = server_with("");
    let profile = pprof();
    for part in 0..4 {
        let all: Vec<_> =
            (0..2500).map(|one| series(&format!("service-{:05}", part * 2500 + one), &profile)).collect();
        push(&server, &all).expect(200);
    }
    let services = server.get("/api/v1/services").expect(200).json();
    let services = services["services"].as_array().unwrap();
    assert_eq!(services.len(), 10_000);
    assert_eq!(services[4711]["name"], "service-04711");
    let one = server.get("/api/v1/flamegraph?query=%7Bservice=%22service-04711%22%7D").expect(200).json();
    assert_eq!(one["total"], 7);
    assert_eq!(server.get("/api/v1/flamegraph").expect(200).json()["total"], 70_000);
    let labels = server.get("/api/v1/labels").expect(200).json();
    assert_eq!(labels["labels"]["service"].as_array().unwrap().len(), 10_000);
}

#[test]
fn a_clock_that_is_ahead_is_borne_up_to_a_bound_and_then_refused_with_ours() {
    let (_folder, server) = server_with("[limits]\nfuture = '10m'\n");
    let post = |from: &str| server.post(&format!("/ingest?name=a&format=folded&from={from}"), &[], b"f 1\n");
    post("now%2B9m").expect(200);
    let refused = post("now%2B11m").expect(422).text();
    let ours = (loopscope_collector::times::now_ms() / 100_000).to_string();
    assert!(refused.contains("the clock here says") && refused.contains(&ours), "{refused}");
    post("now-31d").expect(422);
    // It is not seen before its time, unless one looks there.
    assert_eq!(server.get("/api/v1/flamegraph").expect(200).json()["total"], 0);
    assert_eq!(server.get("/api/v1/flamegraph?until=now%2B10m").expect(200).json()["total"], 10_000_000);
}

#[test]
fn times_beyond_all_bounds_are_answered_or_refused() {
    let (_folder, server) = server_with("");
    server.post("/ingest?name=a&format=folded", &[], b"f 1\n").expect(200);
    for target in [
        "/api/v1/series?from=-1e300&until=now&step=60",
        "/api/v1/series?from=1e300&until=1e301",
        "/api/v1/lag?from=-1e300&until=-9e15&step=10",
    ] {
        let status = server.get(target).status;
        assert!([200, 400].contains(&status), "{target}: {status}");
    }
    assert_eq!(
        server.get("/api/v1/flamegraph?from=-1e300&until=1e300").expect(200).json()["total"],
        10_000_000
    );
    let json_type: &[(&str, &str)] = &[("content-type", "application/json")];
    for (start, end) in [(i64::MAX - 10, i64::MAX), (i64::MIN, i64::MIN + 10), (i64::MIN, i64::MAX)] {
        let request = json!({"profileTypeID": "process_cpu:cpu:nanoseconds:cpu:nanoseconds",
            "labelSelector": "{}", "start": start.to_string(), "end": end.to_string(), "step": 1e-3});
        let target = "/querier.v1.QuerierService/SelectSeries";
        let status = server.post(target, json_type, request.to_string().as_bytes()).status;
        assert!([200, 400].contains(&status), "{start} to {end}: {status}");
    }
}
