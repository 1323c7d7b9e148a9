//! OTLP profiles, sent by a client that is not ours.

use std::env;
use std::process::Command;

use serde_json::json;
use tests::requirement;

use crate::server::Server;

/// What the client was answered; `None` after saying that the test is skipped.
fn send(server: &Server, how: &str, broken: bool) -> Option<String> {
    send_as(server, how, broken, &[])
}

/// Likewise, by a client who is told something of us by variables.
pub(crate) fn send_as(
    server: &Server,
    how: &str,
    broken: bool,
    variables: &[(&str, &str)],
) -> Option<String> {
    let python = requirement::program("python3")?;
    let Some(packages) = env::var_os("LOOPSCOPE_OPENTELEMETRY") else {
        requirement::skip("LOOPSCOPE_OPENTELEMETRY names no packages; `cargo xtask test` fetches them");
        return None;
    };
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/program/otlp_client.py");
    let mut command = Command::new(python);
    command.arg(client).arg(how).arg(server.address.to_string()).args(broken.then_some("broken"));
    let output = command.env("PYTHONPATH", packages).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn server() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    (folder, server)
}

#[test]
fn profiles_over_grpc_and_http_are_the_same_flamegraph() {
    for how in ["grpc", "grpc-gzip", "http"] {
        let (_folder, server) = server();
        let Some(answer) = send(&server, how, false) else { return };
        assert_eq!(answer, "ok", "{how}");
        let services = server.get("/api/v1/services").expect(200).json();
        assert_eq!(services["services"][0]["types"], json!(["process_cpu:cpu:nanoseconds:cpu:nanoseconds"]));
        let labels = server.get("/api/v1/labels").expect(200).json();
        assert_eq!(
            labels["labels"],
            json!({"service": ["shop"], "pid": ["4711"], "phase": ["check", "timers"]})
        );
        let folded = server.get("/api/v1/flamegraph?format=folded&by=phase").expect(200).text();
        assert_eq!(folded, "check;main;handler;libc.so.6+0x1234 90000000\ntimers;main;handler 30000000\n");
    }
}

#[test]
fn a_broken_request_is_refused_with_a_reason_and_stores_nothing() {
    for (how, code) in [("grpc", "INVALID_ARGUMENT"), ("http", "400")] {
        let (_folder, server) = server();
        let Some(answer) = send(&server, how, true) else { return };
        assert!(answer.starts_with(code) && answer.contains("there is no location 99"), "{answer}");
        assert_eq!(server.get("/api/v1/services").json(), json!({"services": []}));
    }
}
