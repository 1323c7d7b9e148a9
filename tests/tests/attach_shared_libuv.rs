//! A C program on the shared libuv of a distribution, which has only the symbols of its public functions: what is measured from
//! outside is what the program itself says that it did.

use std::process::Command;
use std::time::Duration;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::fixture::Program;
use loopscope_tests::loopscope::Agent;
use loopscope_tests::process::Guarded;
use loopscope_tests::requirement;
use serde_json::Value;

/// One run of the program takes a second.
const RUN: Duration = Duration::from_secs(60);

/// What the program does besides, in seconds: callbacks that it does not time.
const UNTOLD: f64 = 0.025;

/// Does everything once; gives what the program says that it did.
fn go(program: &mut Guarded) -> Value {
    program.tell("go");
    let line = program.line("the truth", RUN, |line| line.starts_with('{').then(|| line.to_owned()));
    serde_json::from_str(&line).expect("the truth is JSON")
}

fn number(told: &Value, name: &str) -> f64 {
    told[name].as_f64().unwrap_or_else(|| panic!("the truth has no {name}: {told}"))
}

#[track_caller]
fn expect_seconds(what: &str, found: f64, told_ms: f64) {
    let expected = told_ms / 1e3;
    let allowed = expected * 0.95 - UNTOLD..=expected * 1.05 + UNTOLD;
    assert!(allowed.contains(&found), "{what}: {found} s found, {expected} s told");
}

#[test]
fn a_program_on_a_library_without_symbols_is_measured_in_every_tier() {
    if !requirement::root() {
        return;
    }
    let Some(program) = Program::Phases.build() else { return };
    let mut program = Guarded::start(&mut Command::new(program));
    program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    let pid = program.pid().to_string();
    let process = |own: &[(&'static str, &'static str)]| [&[("pid", pid.as_str())], own].concat();
    let main = |own: &[(&'static str, &'static str)]| [&process(&[("loop", "main")]), own].concat();

    let agent = Agent::start_with(&["--tier", "all", "--budget", "50%"]);
    for tier in ["loop", "phases", "pool"] {
        wait_for(&format!("the tier {tier}"), SOON, || {
            let active = agent.scrape().value("loopscope_tier_active", &process(&[("tier", tier)]));
            active.filter(|&is| is == 1.0)
        });
    }
    // The first time, the pool starts.
    go(&mut program);
    let before = agent.scrape();
    let told = go(&mut program);
    let after = agent.scrape();
    let grew = |name: &str, labels: &[(&str, &str)]| after.growth(&before, name, labels);

    for phase in ["timers", "check", "poll_callbacks", "close"] {
        let found = grew("eventloop_phase_duration_seconds_sum", &main(&[("phase", phase)]));
        expect_seconds(phase, found, number(&told, phase));
    }
    let blocked = ["timers", "check", "poll_callbacks", "close"].map(|phase| number(&told, phase));
    expect_seconds("lag", grew("eventloop_lag_seconds_sum", &main(&[])), blocked.iter().sum());

    for kind in ["fs", "work", "dns", "random"] {
        let expected = number(&told, kind);
        let done = process(&[("kind", kind), ("outcome", "done")]);
        assert_eq!(grew("threadpool_tasks_total", &done), expected, "tasks of {kind}");
        for name in [
            "threadpool_queue_wait_seconds_count",
            "threadpool_run_seconds_count",
            "threadpool_completion_delay_seconds_count",
        ] {
            assert_eq!(grew(name, &process(&[("kind", kind)])), expected, "{name} of {kind}");
        }
    }
    let run = grew("threadpool_run_seconds_sum", &process(&[("kind", "work")]));
    expect_seconds("run time", run, number(&told, "run_work"));
    assert_eq!(after.value("threadpool_threads", &process(&[])), Some(4.0));
    assert!(after.value("eventloop_handles", &main(&[])) >= Some(3.0));
    for cause in ["threads_full", "tasks_full", "histograms_full", "events_full"] {
        assert_eq!(after.value("loopscope_probe_losses_total", &[("cause", cause)]), Some(0.0));
    }
}
