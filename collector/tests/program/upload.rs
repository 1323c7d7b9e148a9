//! `loopscope upload`, the real program, to a real collector.

use std::process::Output;

use formats::decode::ValueType;
use serde_json::json;
use tests::loopscope;

use crate::server::Server;

/// One sample of `main;work`, and two of `main`, as the Firefox Profiler has them.
fn firefox() -> Vec<u8> {
    let start_ms = loopscope_collector::times::now_ms() - 60_000;
    let table = json!({"meta": {"interval": 10, "startTime": start_ms, "preprocessedProfileVersion": 49}, "libs": [],
        "threads": [{"name": "node", "pid": "7", "samples": {"stack": [1, 0, 0], "length": 3},
        "stackTable": {"frame": [0, 1], "prefix": [null, 0]}, "frameTable": {"func": [0, 1], "line": [null, 9]},
        "funcTable": {"name": [0, 1], "fileName": [null, 2]}, "stringArray": ["main", "work", "a.js"]}]});
    table.to_string().into_bytes()
}

const FOLDED: &[u8] = b"main 2\nmain;work 1\n";

fn pprof() -> Vec<u8> {
    let cpu = ValueType::new("cpu", "nanoseconds");
    let decoded = formats::folded::decode(FOLDED, cpu.clone(), &Default::default()).unwrap();
    let totals =
        formats::pprof::Totals { value: cpu.clone(), period: (cpu, 10_000_000), ..Default::default() };
    let values: Vec<i64> = decoded.values.iter().map(|count| count * 10_000_000).collect();
    let mut out = Vec::new();
    formats::pprof::encode_totals(&decoded.symbols, &values, &totals, &mut out).unwrap();
    out
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn files_of_every_format_are_the_same_flamegraph() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let to = format!("http://{}/", server.address);
    for (format, content) in [("pprof", pprof()), ("folded", FOLDED.to_vec()), ("firefox", firefox())] {
        // The name tells nothing: the content does.
        let file = folder.path().join(format!("{format}.profile"));
        std::fs::write(&file, content).unwrap();
        let mut command = loopscope::command();
        command.arg("upload").arg(&file).args(["--to", &to, "--service", format, "--label", "version=1.2"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        let query = format!("%7Bservice=%22{format}%22,version=%221.2%22%7D");
        let folded =
            server.get(&format!("/api/v1/flamegraph?format=folded&query={query}")).expect(200).text();
        assert_eq!(folded, "main 20000000\nmain;work 10000000\n", "{format}");
    }
}

#[test]
fn what_is_no_profile_or_is_refused_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let upload = |content: &[u8], to: &str| {
        let file = folder.path().join("file");
        std::fs::write(&file, content).unwrap();
        let mut command = loopscope::command();
        let output =
            command.arg("upload").arg(&file).args(["--to", to, "--service", "shop"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        told(&output)
    };
    let to = format!("http://{}", server.address);
    assert!(upload(b"\x89PNG", &to).contains("is no profile that is read here"));
    let deep = format!("{} 1\n", vec!["f"; 2000].join(";"));
    let refused = upload(deep.as_bytes(), &to);
    assert!(refused.contains("422") && refused.contains("frames of a stack"), "{refused}");
    assert!(upload(FOLDED, "http://127.0.0.1:9").contains("cannot connect"));
    assert_eq!(server.get("/api/v1/services").json(), json!({"services": []}));
}
