//! Real Prometheus servers scrape the agent while the demo is under load, and know afterwards what really happened.
//!
//! The truth is the demo's own count of what it was asked for and how long it blocked its loop on purpose. Its instruments
//! have no part in that count.

use std::process::Command;
use std::time::{Duration, Instant};

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::http::{self, Load};
use loopscope_tests::loopscope::{self, Agent, Demo};
use loopscope_tests::process::Guarded;
use loopscope_tests::prometheus::{self, Scrapes, Series, Server};
use loopscope_tests::requirement;

/// How often the loop is blocked.
const BLOCKS: u32 = 8;

/// How long each time: far longer than a busy machine keeps a thread from running.
const BLOCK: &str = "700ms";

/// The bounds of the bucket that such a block falls in, or the one above, if the machine was busy at the end of it.
const BLOCK_SECONDS: std::ops::Range<f64> = 0.648..0.772;

/// A bound of the buckets, classic and native, between the blocks and what else keeps the loop. Counts beyond it are
/// exact.
const LONG: &str = "0.5";

#[test]
fn prometheus_knows_how_often_and_how_long_the_loop_was_blocked() {
    let began = Instant::now();
    let demo = Demo::start(&["--rate", "0", "--block", BLOCK]);
    let agent = Agent::start();
    let Some(native) = Server::start(agent.address(), Scrapes::Native) else { return };
    let Some(classic) = Server::start(agent.address(), Scrapes::Text) else { return };
    let of = |metric: &str, labels: &str| format!(r#"{metric}{{pid="{}"{labels}}}"#, demo.pid());
    for server in [&native, &classic] {
        server.wait_for_value(&of("eventloop_iterations_total", ""), |count| count >= 0.0);
    }

    let load = Load::start(demo.address(), &["/fast", "/file", "/hash"], 2, Duration::from_millis(5));
    for _ in 0..BLOCKS {
        assert_eq!(http::get(demo.address(), "/block", &[]).unwrap().status, 200);
    }
    load.stop();
    let truth = demo.truth();
    let times = truth["blocked"]["times"].as_f64().unwrap();
    let seconds = truth["blocked"]["seconds"].as_f64().unwrap();
    assert_eq!(times, f64::from(BLOCKS));

    // Each block was one long stretch away from the poll, and nothing else was as long.
    let lag = of("eventloop_lag_seconds", "");
    let long = format!("histogram_count({lag}) * histogram_fraction({LONG}, +Inf, {lag})");
    let exactly = |expected: f64| move |value: f64| (value - expected).abs() < 1e-6 * expected;
    native.wait_for_value(&long, exactly(times));
    let (lag_count, lag_bucket) = (
        of("eventloop_lag_seconds_count", ""),
        of("eventloop_lag_seconds_bucket", &format!(r#",le="{LONG}""#)),
    );
    classic.wait_for_value(&format!("{lag_count} - ignoring(le) {lag_bucket}"), exactly(times));

    // How long the blocks were can be read from the quantile in the middle of them.
    let middle = format!("scalar(1 - {times} / 2 / histogram_count({lag}))");
    native.wait_for_value(&format!("histogram_quantile({middle}, {lag})"), |value| {
        BLOCK_SECONDS.contains(&value)
    });

    // All blocking was active time, in the callbacks of the poll; and time is either active or idle.
    let at_least = |expected: f64| move |value: f64| value >= expected;
    native.wait_for_value(&format!("histogram_sum({lag})"), at_least(seconds));
    let phase = of("eventloop_phase_duration_seconds", r#",phase="poll_callbacks""#);
    native.wait_for_value(&format!("histogram_sum({phase})"), at_least(seconds));
    for server in [&native, &classic] {
        let active = of("eventloop_time_seconds_total", r#",state="active""#);
        server.wait_for_value(&active, at_least(seconds));
        let both = format!("sum({})", of("eventloop_time_seconds_total", ""));
        let both = server.wait_for_value(&both, at_least(seconds));
        assert!(both <= began.elapsed().as_secs_f64(), "{both} s active or idle");
    }

    // Work on the pool is counted, timed and named by its kind.
    let hashes = truth["requests"]["hash"].as_f64().unwrap();
    assert!(hashes > 0.0);
    let tasks = of("threadpool_tasks_total", r#",kind="crypto",outcome="done""#);
    let wait = of("threadpool_queue_wait_seconds", r#",kind="crypto""#);
    native.wait_for_value(&tasks, exactly(hashes));
    native.wait_for_value(&format!("histogram_count({wait})"), exactly(hashes));
    classic.wait_for_value(&of("threadpool_queue_wait_seconds_count", r#",kind="crypto""#), exactly(hashes));

    // Both servers have the same counts, once all is quiet.
    let count = |server: &Server, expression: &str| match server.query(expression).as_slice() {
        [Series { value, .. }] => *value,
        _ => None,
    };
    wait_for("the servers to agree", SOON, || {
        let ours = count(&native, &format!("histogram_count({lag})"));
        ours.is_some().then_some(())?;
        (ours == count(&classic, &lag_count)).then_some(())
    });
}

#[test]
fn what_the_agent_serves_is_as_prometheus_wants_it() {
    let demo = Demo::start(&[]);
    let agent = Agent::start();
    let metrics = wait_for("the demo's series", SOON, || {
        let metrics = agent.metrics();
        metrics.contains(&format!(r#"pid="{}""#, demo.pid())).then_some(metrics)
    });
    let Some(said) = prometheus::lint(metrics.as_bytes()) else { return };
    assert_eq!(said, "", "promtool check metrics");
}

#[test]
fn a_killed_target_is_gone_from_the_next_scrape_and_from_prometheus() {
    let demo = Demo::start(&[]);
    let agent = Agent::start();
    let Some(server) = Server::start(agent.address(), Scrapes::Text) else { return };
    let series = format!(r#"eventloop_iterations_total{{pid="{}"}}"#, demo.pid());
    server.wait_for_value(&series, |count| count > 0.0);
    let pid = format!(r#"pid="{}""#, demo.pid());
    assert!(agent.metrics().contains(&pid));

    demo.kill();
    assert!(!agent.metrics().contains(&pid), "the very next scrape");
    // Long before the five minutes for which Prometheus would believe in a series that is only not mentioned.
    wait_for("the series to be stale", Duration::from_secs(15), || {
        server.query(&series).is_empty().then_some(())
    });
}

#[test]
fn a_target_in_namespaces_of_its_own_is_found() {
    let Some(unshare) = requirement::program("unshare") else { return };
    if !requirement::root() {
        return;
    }
    let mut command = Command::new(unshare);
    command.args(["--pid", "--mount", "--fork", "--kill-child", "--mount-proc"]);
    let container = Guarded::start(command.arg(loopscope::program()).arg("demo"));
    let agent = Agent::start();
    let pid = wait_for("the demo in its container", SOON, || child_of(container.pid()));
    let series = format!(r#"eventloop_iterations_total{{service="loopscope-demo",pid="{pid}",loop="main"}}"#);
    wait_for("its series", SOON, || agent.metrics().contains(&series).then_some(()));
}

fn child_of(pid: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
