//! The agent tells of each slow iteration: when it was, on which loop, how long, and in which phase.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::Agent;
use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, node, requirement};
use serde_json::Value;

#[test]
fn slow_iterations_are_told_one_by_one_with_the_phase_that_took_the_time() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start_with(&["--tier", "phases", "--budget", "50%", "--slow", "60ms"]);
    for node in node::all() {
        let mut program = Truthful::start(Command::new(&node.program).arg(fixture::path("node/blocks.js")));
        program.wait_until_measured(&agent, "phases");
        let told = program.go();
        let own: Vec<f64> = told["blocks"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_f64)
            .filter(|&ms| ms > 80.0)
            .collect();
        let of_program = |entry: &&Value| entry["pid"].as_u64() == program.pid().parse().ok();
        let listed = wait_for("the blocks to be listed", SOON, || {
            let answer = agent.get("/slow", ("accept", "application/json"));
            let list: Value = serde_json::from_str(answer.text()).expect("JSON");
            let list: Vec<Value> = list["slow_iterations"]
                .as_array()
                .expect("a list")
                .iter()
                .filter(of_program)
                .cloned()
                .collect();
            // The last block is the longest. A busy machine may have made shorter ones slow, too.
            let is_last =
                |entry: &Value| entry["duration_seconds"].as_f64() >= Some(own[own.len() - 1] / 1e3);
            (list.len() >= own.len() && list.iter().any(is_last)).then_some(list)
        });
        // The newest first. The machine may have made another one slow.
        let last = &listed[0];
        let (expected, found) =
            (own[own.len() - 1] / 1e3, last["duration_seconds"].as_f64().expect("a number"));
        assert!(
            (expected..expected * 1.05 + 0.02).contains(&found),
            "{found} s found, {expected} s told: {last}"
        );
        assert_eq!((last["loop"].as_str(), last["service"].as_str()), (Some("main"), Some("blocks")));
        let in_check = last["phase_seconds"]["check"].as_f64().expect("a number");
        assert!((expected * 0.95..=found).contains(&in_check), "{last}");
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock that is set").as_secs_f64();
        let started = last["started_unix_seconds"].as_f64().expect("a number");
        assert!((now - 60.0..now).contains(&started), "{started}, now {now}");
    }
}

#[test]
fn the_slow_iteration_that_a_process_ends_with_is_told() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start_with(&["--tier", "loop", "--budget", "50%", "--slow", "200ms"]);
    // Blocks when it is told to, and is killed as soon as it has polled once more.
    let script = "console.log('ready'); setInterval(() => {}, 20); process.stdin.on('data', () => { \
                  const end = Date.now() + 400; while (Date.now() < end); \
                  setTimeout(() => setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1), 1); })";
    for node in node::all() {
        let mut program = Truthful::start(Command::new(&node.program).args(["-e", script]));
        wait_for("iterations to be measured", SOON, || {
            let measured = agent.scrape().value("eventloop_lag_seconds_count", &program.main(&[]));
            measured.filter(|&count| count > 5.0)
        });
        program.begin();
        let pid: Option<u64> = program.pid().parse().ok();
        wait_for("the block to be listed", SOON, || {
            let answer = agent.get("/slow", ("accept", "application/json"));
            let list: Value = serde_json::from_str(answer.text()).expect("JSON");
            let entries = list["slow_iterations"].as_array().expect("a list");
            let is_it = |entry: &&Value| {
                entry["pid"].as_u64() == pid && entry["duration_seconds"].as_f64() >= Some(0.39)
            };
            entries.iter().find(is_it).cloned()
        });
    }
}
