//! A C program on the shared libuv of a distribution, which has only the symbols of its public functions: what is measured from
//! outside is what the program itself says that it did.

use std::process::Command;

use loopscope_tests::fixture::Program;
use loopscope_tests::loopscope::Agent;
use loopscope_tests::requirement;
use loopscope_tests::truth::{Truthful, expect_seconds, number};

#[test]
fn a_program_on_a_library_without_symbols_is_measured_in_every_tier() {
    if !requirement::root() {
        return;
    }
    let Some(program) = Program::Phases.build() else { return };
    let mut program = Truthful::start(&mut Command::new(program));

    let agent = Agent::start_with(&["--tier", "all", "--budget", "50%"]);
    for tier in ["loop", "phases", "pool"] {
        program.wait_until_measured(&agent, tier);
    }
    // The first time, the pool starts.
    program.go();
    let before = agent.scrape();
    let told = program.go();
    let after = agent.scrape();
    let grew = |name: &str, labels: &[(&str, &str)]| after.growth(&before, name, labels);

    for phase in ["timers", "check", "poll_callbacks", "close"] {
        let found = grew("eventloop_phase_duration_seconds_sum", &program.main(&[("phase", phase)]));
        expect_seconds(phase, found, number(&told, phase), 0.0);
    }
    let blocked = ["timers", "check", "poll_callbacks", "close"].map(|phase| number(&told, phase));
    expect_seconds("lag", grew("eventloop_lag_seconds_sum", &program.main(&[])), blocked.iter().sum(), 0.0);

    for kind in ["fs", "work", "dns", "random"] {
        let expected = number(&told, kind);
        let done = program.process(&[("kind", kind), ("outcome", "done")]);
        assert_eq!(grew("threadpool_tasks_total", &done), expected, "tasks of {kind}");
        for name in [
            "threadpool_queue_wait_seconds_count",
            "threadpool_run_seconds_count",
            "threadpool_completion_delay_seconds_count",
        ] {
            assert_eq!(grew(name, &program.process(&[("kind", kind)])), expected, "{name} of {kind}");
        }
    }
    for kind in ["fs", "work", "dns"] {
        let cancelled = program.process(&[("kind", kind), ("outcome", "cancelled")]);
        let expected = number(&told, &format!("cancelled_{kind}"));
        assert!(expected > 0.0, "the pool was not busy: {told}");
        assert_eq!(grew("threadpool_tasks_total", &cancelled), expected, "cancelled tasks of {kind}");
    }
    let run = grew("threadpool_run_seconds_sum", &program.process(&[("kind", "work")]));
    expect_seconds("run time", run, number(&told, "run_work"), 0.0);
    assert_eq!(after.value("threadpool_threads", &program.process(&[])), Some(4.0));
    assert!(after.value("eventloop_handles", &program.main(&[])) >= Some(3.0));
    for cause in ["threads_full", "tasks_full", "histograms_full", "events_full"] {
        assert_eq!(after.value("loopscope_probe_losses_total", &[("cause", cause)]), Some(0.0));
    }
}
