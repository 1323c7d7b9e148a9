//! What `loopscope top` tells of a program's lag without probes is true of the blocks that the program says it had.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, loopscope, node, requirement};
use serde_json::Value;

/// A stall that was caught is right to within an interval of readings, on a machine that is busy.
const READINGS_SECONDS: f64 = 0.1;

/// What an interval says of the longest lag: that nothing longer was missed, and what was caught.
fn longest(line: &Value) -> (Option<f64>, Option<f64>) {
    let figure = |name: &str| line["loops"][0][name].as_f64();
    (figure("lag_max_below_seconds"), figure("stall_observed_max_seconds"))
}

#[test]
fn no_block_was_longer_than_what_readings_may_have_missed_or_did_catch() {
    if !requirement::root() {
        return;
    }
    for node in node::all() {
        let mut program = Truthful::start(Command::new(&node.program).arg(fixture::path("node/blocks.js")));
        let mut top = loopscope::command();
        top.args(["top", "--json", "--interval", "300ms", "--pid", program.pid()]);
        let mut top = top.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(top.stdout.take().expect("a pipe")).lines();
        let mut lines = lines.map(|line| -> Value { serde_json::from_str(&line.unwrap()).unwrap() });
        let idle = |line: &Value| longest(line).0.is_some_and(|below| below > 0.0 && below < 0.05);
        let before = lines.find(|line| {
            line["loops"][0]["loop"] == "main" && (idle(line) || line["loops"][0]["utilization_ratio"] == 0.0)
        });
        let before = before.expect("a loop that waits is known to");
        assert_eq!(before["loops"][0]["pool_threads"], 0, "it has given its pool nothing to do: {before}");

        let told = program.go();
        let blocks = told["blocks"].as_array().expect("a list");
        let longest_block = blocks.iter().filter_map(Value::as_f64).fold(0.0, f64::max) / 1e3;
        let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        let mut most = 0.0;
        for line in lines {
            let (below, caught) = longest(&line);
            let caught = caught.map(|caught| caught + READINGS_SECONDS);
            most = below.into_iter().chain(caught).fold(most, f64::max);
            if line["time_unix_seconds"].as_f64().unwrap() > ended + 0.3 {
                break;
            }
        }
        top.kill().unwrap();
        top.wait().unwrap();
        assert!(
            most >= longest_block,
            "{}: {most} s told, {longest_block} s blocked",
            node.program.display()
        );
    }
}

#[test]
fn tiers_that_are_refused_are_told_with_the_reason() {
    if !requirement::root() {
        return;
    }
    let Some(node) = node::all().into_iter().next() else { return };
    let program = Truthful::start(Command::new(&node.program).arg(fixture::path("node/blocks.js")));
    for further in [&[][..], &["--json"]] {
        let Some(mut top) = loopscope::as_nobody("+perfmon,+sys_ptrace") else { return };
        let top = top.args(["top", "--once", "--tier", "all", "--pid", program.pid()]).args(further);
        let output = top.output().expect("it starts");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let sentence = format!("process {}: not measured: loop,phases,pool: ", program.pid());
        assert_eq!(told.matches(&sentence).count(), 1, "{told}");
        assert!(told.contains("CAP_BPF"), "{told}");
        if !further.is_empty() {
            let line: Value = serde_json::from_slice(&output.stdout).expect("JSON");
            let of_loop = &line["loops"][0];
            assert_eq!(of_loop["tiers_missing"], serde_json::json!(["loop", "phases", "pool"]));
            for tier in ["loop", "phases", "pool"] {
                let reason = of_loop["tiers_missing_reasons"][tier].as_str();
                assert!(reason.is_some_and(|reason| reason.contains("CAP_BPF")), "{tier}: {line}");
            }
        }
    }
}
