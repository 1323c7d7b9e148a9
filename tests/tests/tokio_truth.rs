//! What the agent exports of a program on tokio is what the program says that it did.

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::example;
use loopscope_tests::loopscope::Agent;
use loopscope_tests::metrics::Metrics;
use loopscope_tests::truth::{Truthful, number};

/// Whether a sum of seconds is what was told, within 5% and 25 ms.
#[track_caller]
fn expect_near(what: &str, found: f64, told: f64) {
    assert!((found - told).abs() <= told * 0.05 + 0.025, "{what}: {found} s exported, {told} s told");
}

/// Starts the example, lets it do everything once between two scrapes, and gives these and what it told.
fn between_scrapes(how: &str) -> (Metrics, Metrics, serde_json::Value, String) {
    let agent = Agent::start();
    let mut program = Truthful::start(example::command("loopscope-tokio", "truth").arg(how));
    let pid = program.pid().to_owned();
    let of_program = |metrics: &Metrics| metrics.value("tokio_alive_tasks", &[("pid", &pid)]);
    let before = wait_for("the program to be found", SOON, || {
        Some(agent.scrape()).filter(|it| of_program(it).is_some())
    });
    let told = program.go();
    // The last stretch, and what was sampled, follow within an interval.
    let jobs = number(&told, "jobs");
    let after = wait_for("all to be told and the worker to rest", SOON, || {
        let metrics = agent.scrape();
        let done =
            metrics.growth(&before, "threadpool_tasks_total", &[("pid", &pid), ("outcome", "done")]) == jobs;
        let rests = metrics.value("tokio_workers", &[("pid", &pid), ("state", "idle")]) == Some(1.0)
            && metrics.value("eventloop_away_seconds", &[("pid", &pid)]) == Some(0.0);
        (done && rests).then_some(metrics)
    });
    (before, after, told, pid)
}

#[test]
fn a_runtime_with_hooks_tells_every_block_and_every_job() {
    let (before, after, told, pid) = between_scrapes("hooked");
    let main = [("service", "truthful"), ("pid", &pid), ("loop", "truth-worker-0")];
    let growth = |name: &str, labels: &[(&str, &str)]| after.growth(&before, name, labels);
    expect_near("lag", growth("eventloop_lag_seconds_sum", &main), number(&told, "blocked"));
    let long = growth("eventloop_lag_seconds_count", &main)
        - growth("eventloop_lag_seconds_bucket", &[&main[..], &[("le", "0.125")]].concat());
    assert_eq!(long, number(&told, "blocks"), "as many long stretches as blocks");
    let active = [&main[..], &[("state", "active")]].concat();
    expect_near("active time", growth("eventloop_time_seconds_total", &active), number(&told, "blocked"));
    expect_jobs(&before, &after, &told, &pid);
}

#[test]
fn a_runtime_that_was_there_already_tells_its_stalls_and_every_job() {
    let (before, after, told, pid) = between_scrapes("observed");
    let main = [("service", "truthful"), ("pid", &pid), ("loop", "truth-worker-0")];
    let growth = |name: &str, labels: &[(&str, &str)]| after.growth(&before, name, labels);
    let stalls = growth("eventloop_stall_observed_seconds_sum", &main);
    expect_near("stalls", stalls, number(&told, "blocked"));
    let (found, blocks) = (growth("eventloop_stall_observed_seconds_count", &main), number(&told, "blocks"));
    // A machine that is busy may add one.
    assert!((blocks..=blocks + 2.0).contains(&found), "{found} stalls, {blocks} blocks");
    let active = [&main[..], &[("state", "active")]].concat();
    expect_near("active time", growth("eventloop_time_seconds_total", &active), number(&told, "blocked"));
    assert_eq!(after.value("eventloop_lag_seconds_count", &main), None, "not measured, and so absent");
    expect_jobs(&before, &after, &told, &pid);
}

fn expect_jobs(before: &Metrics, after: &Metrics, told: &serde_json::Value, pid: &str) {
    let work = [("pid", pid), ("kind", "work")];
    let growth = |name: &str| after.growth(before, name, &work);
    assert_eq!(growth("threadpool_run_seconds_count"), number(told, "jobs"));
    assert_eq!(growth("threadpool_queue_wait_seconds_count"), number(told, "jobs"));
    expect_near("runs", growth("threadpool_run_seconds_sum"), number(told, "ran"));
    expect_near("waits", growth("threadpool_queue_wait_seconds_sum"), number(told, "waited"));
    assert!(after.value("heap_allocations_total", &[("pid", pid)]).is_some_and(|count| count > 0.0));
    let busy = after.value("tokio_worker_busy_seconds_total", &[("pid", pid), ("runtime", "truth")]);
    assert!(busy.is_some_and(|seconds| seconds > 1.0));
}
