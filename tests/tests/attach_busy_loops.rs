//! Loops that seldom wait, and what began before the agent came, are measured as all others.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::metrics::Metrics;
use loopscope_tests::process::Guarded;
use loopscope_tests::{fixture, node, requirement};
use serde_json::Value;

const WORKERS: &[&str] = &["worker-1", "worker-2"];

/// Workers that are busy: the newest Node.js with two of them.
fn workers(arguments: &[&str]) -> Option<Guarded> {
    let node = node::all().pop()?;
    Some(started(Command::new(node.program).arg(fixture::path("node/busy.js")).args(arguments)))
}

fn started(command: &mut Command) -> Guarded {
    let mut program = Guarded::start(command);
    program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    program
}

/// Waits until each of these loops of a process has a series with a value that is not zero.
#[track_caller]
fn wait_for_series(agent: &Agent, pid: u32, loops: &[&str], metric: &str) {
    let pid = pid.to_string();
    let has = |metrics: &Metrics, name| {
        metrics.value(metric, &[("pid", &pid), ("loop", name)]).is_some_and(|value| value > 0.0)
    };
    wait_for(&format!("{metric} of {loops:?}"), SOON, || {
        let metrics = agent.scrape();
        loops.iter().all(|name| has(&metrics, name)).then_some(())
    });
}

/// The slow iterations of a loop: durations in seconds.
fn slow_of(agent: &Agent, pid: u32, name: &str) -> Vec<f64> {
    let body = agent.get("/slow", ("accept", "*/*")).body;
    let listed: Value = serde_json::from_slice(&body).expect("JSON");
    let listed = listed["slow_iterations"].as_array().expect("a list").iter();
    let of = listed.filter(|it| it["pid"] == pid && it["loop"] == name);
    of.map(|it| it["duration_seconds"].as_f64().expect("a number")).collect()
}

/// Expects that a process is told to have these loops, each time that it is asked.
#[track_caller]
fn expect_inspected(pid: u32, loops: &str) {
    for _ in 0..3 {
        let told =
            loopscope::command().args(["inspect", "--pid", &pid.to_string()]).output().expect("it runs");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.contains(&format!("loops: {loops};")), "{told}");
    }
}

#[test]
fn workers_that_seldom_wait_are_found_by_reading() {
    let (true, Some(program)) = (requirement::root(), workers(&["45", "3"])) else { return };
    let agent = Agent::start_with(&["--tier", "observe"]);
    wait_for_series(&agent, program.pid(), WORKERS, "eventloop_iterations_total");
    expect_inspected(program.pid(), "main, worker-1, worker-2");
}

#[test]
fn workers_that_never_wait_are_found_by_their_probes() {
    let (true, Some(program)) = (requirement::root(), workers(&["45"])) else { return };
    let agent = Agent::start_with(&["--tier", "loop", "--slow", "40ms"]);
    for metric in
        ["eventloop_lag_seconds_count", "eventloop_iterations_total", "eventloop_slow_iterations_total"]
    {
        wait_for_series(&agent, program.pid(), WORKERS, metric);
    }
    for name in WORKERS {
        wait_for("slow iterations with the loop's name", SOON, || {
            slow_of(&agent, program.pid(), name).first().copied()
        });
    }
}

#[test]
fn a_python_program_that_seldom_waits_is_found_by_reading() {
    let (true, Some(mut command)) = (requirement::root(), fixture::uvloop("python/busy.py")) else { return };
    let mut program = started(&mut command);
    program.tell("go");
    let agent = Agent::start_with(&["--tier", "observe"]);
    wait_for_series(&agent, program.pid(), &["main"], "eventloop_iterations_total");
    expect_inspected(program.pid(), "main");
}

#[test]
fn the_first_long_iteration_after_the_agent_came_is_told() {
    let (true, Some(mut command)) = (requirement::root(), fixture::uvloop("python/busy.py")) else { return };
    let Some(node) = workers(&["1", "1000"]) else { return };
    for mut program in [started(&mut command), node] {
        let agent = Agent::start_with(&["--tier", "all", "--slow", "400ms", "--budget", "50%"]);
        let pid = program.pid().to_string();
        wait_for("the program to be measured", SOON, || {
            let labels = [("pid", pid.as_str()), ("tier", "phases")];
            agent.scrape().value("loopscope_tier_active", &labels).filter(|&is| is == 1.0)
        });
        program.tell("go");
        let slow = wait_for("the long iteration", SOON, || {
            Some(slow_of(&agent, program.pid(), "main")).filter(|slow| !slow.is_empty())
        });
        assert!(slow.last().is_some_and(|&seconds| (0.5..1.5).contains(&seconds)), "{slow:?}");
        let labels = [("pid", pid.as_str()), ("loop", "main")];
        let metrics = agent.scrape();
        assert!(metrics.value("eventloop_lag_seconds_sum", &labels).is_some_and(|sum| sum >= 0.5));
        assert!(metrics.value("eventloop_slow_iterations_total", &labels).is_some_and(|count| count >= 1.0));
    }
}
