//! What is answered, and what is refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::server::Server;

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    (folder, server)
}

const PROFILE: &[u8] = b"main;a;b 10\nmain;a;c 5\nmain;d 1\n";

#[test]
fn a_profile_comes_back_as_a_flamegraph() {
    let (_folder, server) = server();
    server
        .post("/ingest?name=shop.cpu%7Bphase=timers%7D&format=folded&sampleRate=100", &[], PROFILE)
        .expect(200);
    let answer = server.get("/api/v1/flamegraph?query=%7Bservice=%22shop%22%7D").expect(200).json();
    assert_eq!(answer["unit"], "nanoseconds");
    assert_eq!(answer["total"], 160_000_000);
    assert_eq!(answer["names"], json!(["", "main", "a", "b", "c", "d"]));
    assert_eq!(answer["nodes"]["parent"], json!([-1, 0, 1, 2, 2, 1]));
    assert_eq!(answer["nodes"]["self"], json!([0, 0, 0, 100_000_000, 50_000_000, 10_000_000]));
    let answer = server.get("/api/v1/flamegraph?max_nodes=3&format=json").expect(200).json();
    assert_eq!(answer["names"], json!(["", "main", "a", "(other)"]));
    assert_eq!(answer["nodes"]["name"], json!([0, 1, 2, 3, 3]));
    assert_eq!(
        answer["nodes"]["total"],
        json!([160_000_000, 160_000_000, 150_000_000, 150_000_000, 10_000_000])
    );
    let services = server.get("/api/v1/services").expect(200).json();
    assert_eq!(services["services"][0]["name"], "shop");
    let labels = server.get("/api/v1/labels").expect(200).json();
    assert_eq!(labels["labels"], json!({"service": ["shop"], "phase": ["timers"]}));
    let top = server.get("/api/v1/top?limit=1").expect(200).json();
    assert_eq!(top["functions"], json!([{"name": "b", "self": 100_000_000, "total": 100_000_000}]));
    let folded = server.get("/api/v1/flamegraph?format=folded&by=phase").expect(200).text();
    assert_eq!(folded, "timers;main;a;b 100000000\ntimers;main;a;c 50000000\ntimers;main;d 10000000\n");
    let svg = server.get("/api/v1/flamegraph?format=svg").expect(200);
    assert!(svg.text().starts_with("<?xml"), "{}", &svg.text()[..100]);
    let pprof = server.get("/api/v1/flamegraph?format=pprof").expect(200).body;
    let decoded = formats::pprof::decode(&pprof, &Default::default()).unwrap();
    assert_eq!(decoded.total(0), 160_000_000);
    // What is written can be sent again, and adds up.
    server.post("/ingest?name=again&format=pprof", &[], &pprof).expect(200);
    let again = server.get("/api/v1/flamegraph?query=%7Bservice=%22again%22%7D").expect(200).json();
    assert_eq!(again["total"], 160_000_000);
}

#[test]
fn a_difference_has_both_sides() {
    let (_folder, server) = server();
    server.post("/ingest?name=shop&from=now-90m&format=folded", &[], b"main;a 1\nmain;old 2\n").expect(200);
    server.post("/ingest?name=shop&format=folded", &[], b"main;a 3\nmain;new 4\n").expect(200);
    let answer = server.get("/api/v1/diff?from=now-1h&base_from=now-2h").expect(200).json();
    assert_eq!(answer["total"], 70_000_000);
    assert_eq!(answer["base_total"], 30_000_000);
    assert_eq!(answer["names"], json!(["", "main", "a", "new", "old"]));
    assert_eq!(answer["nodes"]["self"], json!([0, 0, 30_000_000, 40_000_000, 0]));
    assert_eq!(answer["nodes"]["base_self"], json!([0, 0, 10_000_000, 0, 20_000_000]));
}

#[test]
fn a_profile_that_came_just_now_is_told_at_once() {
    let (_folder, server) = server();
    server.post("/ingest?name=shop&format=folded", &[], b"main 1\n").expect(200);
    for until in ["", "&until=now"] {
        let told = server.get(&format!("/api/v1/flamegraph?from=now-1h{until}")).expect(200).json();
        assert_eq!(told["total"], 10_000_000, "{until}");
    }
}

#[test]
fn a_bad_request_is_refused_with_a_reason_and_stores_nothing() {
    let (_folder, server) = server();
    for (target, body, status, reason) in [
        ("/ingest?format=folded", &b"f 1"[..], 400, "names the service"),
        ("/ingest?name=a&format=folded", b"f 1\nno weight\n", 400, "at 2"),
        ("/ingest?name=a&format=folded", b"f \xff 1\n", 400, "no UTF-8"),
        ("/ingest?name=a&format=jfr", b"f 1", 400, "is not read"),
        ("/ingest?name=a&format=pprof", b"\x1f\x8bnonsense", 400, "gzip"),
        ("/ingest?name=a&format=pprof", b"nonsense", 400, "malformed"),
        ("/ingest?name=a&format=pprof", b"", 400, "empty"),
        ("/ingest?name=a&from=2001-01-01T00:00:00Z", b"f 1", 422, "is not kept"),
        ("/ingest?name=a&from=now%2B1h", b"f 1", 422, "is not kept"),
        ("/ingest?name=a&from=sometime", b"f 1", 400, "is no time"),
    ] {
        let answer = server.post(target, &[], body).expect(status);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(reason), "{target}: {error}");
    }
    let deep = format!("{} 1\n", vec!["f"; 2000].join(";"));
    let answer = server.post("/ingest?name=a&format=folded", &[], deep.as_bytes()).expect(422);
    assert!(answer.text().contains("frames of a stack, of which 1024 are accepted"), "{}", answer.text());
    let label = format!("/ingest?name=a%7Bx={}%7D&format=folded", "v".repeat(2000));
    server.post(&label, &[], b"f 1\n").expect(422);
    server.post("/ingest?name=a&format=folded", &[], &vec![b'x'; 17 << 20]).expect(413);
    assert_eq!(server.get("/api/v1/services").json(), json!({"services": []}));
    for (target, status) in [
        ("/api/v1/flamegraph?query=%7B", 400),
        ("/api/v1/flamegraph?from=now&until=now-1h", 400),
        ("/api/v1/flamegraph?format=png", 400),
        ("/api/v1/series?step=0", 400),
        ("/api/v1/series?step=1&from=now-10d", 400),
        ("/api/v1/series?share=true", 400),
        ("/api/v1/nothing", 404),
        ("/nothing", 404),
    ] {
        server.get(target).expect(status);
    }
    server.post("/api/v1/top", &[], b"").expect(405);
}

#[test]
fn a_small_body_that_unpacks_to_a_huge_one_is_refused() {
    let (_folder, server) = server();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..256 {
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = gzip.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    server.post("/ingest?name=a&format=pprof", &[], &bomb).expect(422);
    server.post("/ingest?name=a&format=folded", &[("content-encoding", "gzip")], &bomb).expect(413);
}

#[test]
fn a_type_must_be_named_where_several_match() {
    let (_folder, server) = server();
    server.post("/ingest?name=a.cpu&format=folded", &[], b"f 1").expect(200);
    server.post("/ingest?name=a.alloc_space&format=folded", &[], b"f 4096").expect(200);
    let answer = server.get("/api/v1/flamegraph").expect(400);
    assert!(answer.text().contains("memory:alloc_space:bytes:alloc_space:bytes"), "{}", answer.text());
    let answer = server.get("/api/v1/flamegraph?type=memory:alloc_space:bytes:alloc_space:bytes").expect(200);
    assert_eq!(answer.json()["total"], 4096);
}

#[test]
fn who_sends_slowly_is_cut_off_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("collector.toml");
    std::fs::write(&config, "[limits]\nbody_time = '1s'\n").unwrap();
    let server = Server::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]);
    let mut slow: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            let head =
                "POST /ingest?name=a&format=folded HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\nf";
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    server.post("/ingest?name=b&format=folded", &[], b"f 1").expect(200);
    let begun = Instant::now();
    for stream in &mut slow {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(begun.elapsed() < Duration::from_secs(50));
    assert_eq!(server.get("/api/v1/services").json()["services"][0]["name"], "b");
}

#[test]
fn bodies_have_a_bound_together() {
    let (_folder, server) = server();
    let head = "POST /ingest?name=a&format=folded HTTP/1.1\r\nhost: x\r\ncontent-length: 16000000\r\n\r\nf";
    let mut held: Vec<TcpStream> = Vec::new();
    let mut refused = false;
    for _ in 0..6 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut answer = [0; 12];
        refused |= stream.read_exact(&mut answer).is_ok() && &answer == b"HTTP/1.1 429";
        held.push(stream);
    }
    assert!(refused, "there is no room for six bodies of 16 MB");
    drop(held);
    let end = Instant::now() + Duration::from_secs(30);
    while server.post("/ingest?name=a&format=folded", &[], b"f 1").status != 200 {
        assert!(Instant::now() < end, "the room is free again");
    }
}

#[test]
fn the_collector_tells_what_it_does_by_the_catalogue() {
    let (_folder, server) = server();
    let value = |series: &str| -> f64 {
        let text = server.get("/metrics").expect(200).text();
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("{series}: {text}")).parse().unwrap()
    };
    let stored = "loopscope_collector_ingest_requests_total{outcome=\"stored\"}";
    let malformed = "loopscope_collector_ingest_requests_total{outcome=\"malformed\"}";
    assert_eq!((value(stored), value(malformed), value("loopscope_collector_rows_total")), (0.0, 0.0, 0.0));
    server.post("/ingest?name=a&format=folded", &[], PROFILE).expect(200);
    server.post("/ingest?name=a&format=pprof", &[], PROFILE).expect(400);
    server.get("/api/v1/top").expect(200);
    assert_eq!((value(stored), value(malformed), value("loopscope_collector_rows_total")), (1.0, 1.0, 3.0));
    assert_eq!(value("loopscope_collector_query_duration_seconds_count"), 1.0);
    assert_eq!(value("loopscope_collector_ingest_duration_seconds_count"), 1.0);
    assert_eq!(value("loopscope_collector_head_series"), 1.0);
    let text = server.get("/metrics").text();
    // Every family is in the catalogue.
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(model::catalogue::Metric::by_name(name).is_some(), "{name}");
    }
    assert!(text.contains("eventloop_lag_seconds"), "its own loop is measured");
}
