//! `loopscope demo`: its routes, its load, and the truth that its metrics agree with.

use std::net::SocketAddr;
use std::process::Stdio;

use rustix::process::Signal;

use super::http::{get, send};
use super::program::{Running, loopscope, run, stderr, stdout, wait_until};

/// A demo with an agent, both on free ports.
fn start(options: &[&str]) -> (Running, SocketAddr, SocketAddr) {
    let mut command = loopscope(&["demo", "--agent=127.0.0.1:0"]);
    let mut demo = Running::start(command.args(options).stdout(Stdio::piped()));
    let address = |line: &str| {
        let rest = line.split("http://").nth(1).unwrap();
        rest.split([',', '/']).next().unwrap().parse().unwrap()
    };
    let service = address(&demo.expect_line("demo on http://"));
    let agent = address(&demo.expect_line("its metrics: http://"));
    (demo, service, agent)
}

/// The sum of all the demo's series of this name that carry this label.
fn value(agent: SocketAddr, pid: u32, name: &str, label: &str) -> f64 {
    let metrics = get(agent, "/metrics", &[]);
    let (prefix, own) = (format!("{name}{{"), format!("pid=\"{pid}\""));
    let ours = metrics
        .text()
        .lines()
        .filter(|line| line.starts_with(&prefix) && line.contains(&own) && line.contains(label));
    ours.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// A number from flat JSON, by the path of its names.
fn number(json: &str, path: &[&str]) -> f64 {
    let rest = path.iter().fold(json, |rest, name| rest.split_once(&format!("\"{name}\":")).unwrap().1);
    rest.split([',', '}']).next().unwrap().parse().unwrap()
}

#[test]
fn every_route_answers_and_its_metrics_tell_what_it_did() {
    let (demo, service, agent) = start(&["--rate", "0", "--block", "40ms"]);
    let pid = demo.pid();
    assert_eq!(get(service, "/fast", &[]).text(), "fast\n");
    assert!(get(service, "/file", &[]).body.len() > 60_000);
    let hash = get(service, "/hash", &[]);
    assert!(hash.status == 200 && hash.text().trim_end().len() == 64);
    for _ in 0..3 {
        assert_eq!(get(service, "/block", &[]).text(), "blocked\n");
    }
    assert_eq!(get(service, "/nothing", &[]).status, 404);

    let truth = get(service, "/truth", &[]).text().to_owned();
    assert_eq!(number(&truth, &["requests", "fast"]), 1.0);
    assert_eq!(number(&truth, &["blocked", "times"]), 3.0);
    let blocked = number(&truth, &["blocked", "seconds"]);
    assert!(blocked >= 0.12);

    let value = |name, label| value(agent, pid, name, label);
    wait_until("the demo is found", || value("eventloop_iterations_total", "loop=\"main\"") > 0.0);
    assert_eq!(value("threadpool_tasks_total", "kind=\"fs\""), 1.0);
    assert_eq!(value("threadpool_tasks_total", "kind=\"crypto\""), 1.0);
    // What blocks the loop is time that it is away from the poll.
    assert!(value("eventloop_lag_seconds_sum", "loop=\"main\"") >= blocked);
    assert!(value("eventloop_time_seconds_total", "state=\"active\"") >= blocked);
    assert!(value("heap_live_bytes", "") > 0.0, "the program's allocator counts");
    assert_eq!(value("eventloop_iterations_total", "loop=\"load\""), 0.0, "the load is not measured");
}

#[test]
fn a_demo_ends_after_its_time_with_a_summary_that_adds_up() {
    let output = run(&["demo", "--duration", "1s", "--rate", "100", "--block", "20ms", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json = stdout(&output);
    assert_eq!(json.lines().count(), 1);
    let requests: f64 =
        ["fast", "file", "hash", "block"].iter().map(|route| number(&json, &["requests", route])).sum();
    assert!(requests >= 90.0, "{json}");
    assert_eq!(requests, number(&json, &["load", "sent"]), "{json}");
    assert_eq!(number(&json, &["load", "answered"]), number(&json, &["load", "sent"]), "{json}");
    assert_eq!(number(&json, &["load", "failed"]), 0.0, "{json}");
    // Requests that fell into a blocked loop waited for it.
    let longest = number(&json, &["blocked", "longest_seconds"]);
    assert!(longest >= 0.02 && number(&json, &["latency_seconds", "p99"]) >= 0.01, "{json}");
}

#[test]
fn a_signal_ends_a_demo_gracefully() {
    for signal in [Signal::INT, Signal::TERM] {
        let (mut demo, service, _) = start(&["--rate", "50"]);
        wait_until("the load arrives", || number(get(service, "/truth", &[]).text(), &["fast"]) > 0.0);
        demo.signal(signal);
        assert_eq!(demo.wait().code(), Some(0), "{}", demo.told());
    }
}

#[test]
fn what_is_no_request_is_refused() {
    let (_demo, service, _) = start(&["--rate", "0"]);
    assert_eq!(send(service, b"\x16\x03\x01 hello\r\n\r\n").status, 400);
    assert_eq!(send(service, b"POST /fast HTTP/1.1\r\ncontent-length: 1\r\n\r\nx").status, 400);
    let pipelined =
        send(service, b"GET /fast HTTP/1.1\r\n\r\nGET /fast HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&pipelined.body).matches("fast\n").count(), 2);
}

#[test]
fn an_occupied_port_is_told_with_what_to_do() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    for option in [format!("--listen={address}"), format!("--agent={address}")] {
        let output = run(&["demo", "--duration", "1s", &option]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(&address), "{}", stderr(&output));
    }
}

#[test]
fn the_other_commands_publish_nothing_of_themselves() {
    let mut agent = Running::start(&mut loopscope(&["agent", "--listen", "127.0.0.1:0"]));
    agent.expect_line("serving metrics");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", agent.pid())).unwrap();
    assert!(!maps.contains("/memfd:loopscope"));
}
