//! What is measured from outside is what the program itself says that it did: on every version of Node.js that there is.
//!
//! The program times its blocks itself, by the clock that it is measured by; so the machine's other work counts on both sides.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::Agent;
use loopscope_tests::metrics::Metrics;
use loopscope_tests::node::{self, Node};
use loopscope_tests::truth::{Truthful, expect_seconds, number};
use loopscope_tests::{fixture, requirement};
use serde_json::Value;

/// Runs the program under an agent; gives it with the truth and the scrapes before and after.
fn measured(node: &Node, tiers: &str) -> (Truthful, Value, Metrics, Metrics) {
    let mut truth = Truthful::start(Command::new(&node.program).arg(fixture::path("node/truth.js")));
    let agent = Agent::start_with(&["--tier", tiers, "--budget", "50%"]);
    truth.wait_until_measured(
        &agent,
        tiers.rsplit(',').next().filter(|tier| *tier != "all").unwrap_or("pool"),
    );
    wait_for("its worker to be found", SOON, || {
        agent.scrape().value("eventloop_away_seconds", &truth.process(&[("loop", "worker-1")]))
    });
    // The first time, much is compiled and loaded that is no part of the truth.
    truth.go();
    let before = agent.scrape();
    let told = truth.go();
    let after = agent.scrape();
    (truth, told, before, after)
}

#[test]
fn phases_lag_and_pool_are_what_the_program_says() {
    if !requirement::root() {
        return;
    }
    for node in node::all() {
        let (truth, told, before, after) = measured(&node, "all");
        let what = |name: &str| format!("{name} of {}", node.program.display());
        let grew = |name, labels: &[(&str, &str)]| after.growth(&before, name, labels);

        let phases = ["timers", "check", "poll_callbacks", "close"].map(|phase| number(&told, phase));
        // Sockets that connect, and callbacks of the pool.
        let untold = (number(&told, "active") - phases.iter().sum::<f64>()).max(0.0);
        for phase in ["timers", "check", "poll_callbacks", "close"] {
            let labels = truth.main(&[("phase", phase)]);
            let found = grew("eventloop_phase_duration_seconds_sum", &labels);
            expect_seconds(&what(phase), found, number(&told, phase), untold);
        }
        let active = grew("eventloop_lag_seconds_sum", &truth.main(&[]));
        expect_seconds(&what("lag"), active, number(&told, "active"), 0.0);
        let waited = grew("eventloop_phase_duration_seconds_sum", &truth.main(&[("phase", "poll_wait")]));
        assert!(waited >= 0.95 * number(&told, "idle") / 1e3, "{}: {waited}", what("poll_wait"));
        assert!(grew("eventloop_slow_iterations_total", &truth.main(&[])) >= 1.0, "{}", what("spawnSync"));
        assert!(
            grew("eventloop_timer_lateness_seconds_count", &truth.main(&[])) >= 6.0,
            "{}",
            what("timers")
        );

        for kind in ["crypto", "fs", "dns", "zlib"] {
            let labels = truth.process(&[("kind", kind), ("outcome", "done")]);
            assert_eq!(grew("threadpool_tasks_total", &labels), number(&told, kind), "{}", what(kind));
            for name in ["threadpool_queue_wait_seconds_count", "threadpool_completion_delay_seconds_count"] {
                assert_eq!(
                    grew(name, &truth.process(&[("kind", kind)])),
                    number(&told, kind),
                    "{}",
                    what(name)
                );
            }
        }
        // A worker's loop is told apart.
        let of_worker = truth.process(&[("loop", "worker-1"), ("phase", "timers")]);
        let blocked = grew("eventloop_phase_duration_seconds_sum", &of_worker);
        expect_seconds(&what("worker"), blocked, number(&told, "worker"), 0.0);
        for cause in ["threads_full", "tasks_full", "histograms_full", "events_full"] {
            assert_eq!(after.value("loopscope_probe_losses_total", &[("cause", cause)]), Some(0.0));
        }
    }
}

#[test]
fn utilization_is_what_the_program_says_and_nothing_is_probed() {
    for node in node::all() {
        let (truth, told, before, after) = measured(&node, "observe");
        let active =
            after.growth(&before, "eventloop_time_seconds_total", &truth.main(&[("state", "active")]));
        let elapsed = number(&told, "elapsed") / 1e3;
        let (found, expected) = (active / elapsed, number(&told, "active") / 1e3 / elapsed);
        // The scrapes stand a little outside of what the program looks at.
        assert!(
            (found - expected).abs() < 0.01,
            "{}: {found} found, {expected} told",
            node.program.display()
        );
        assert_eq!(after.value("eventloop_lag_seconds_count", &truth.process(&[])), None);
        assert_eq!(after.value("loopscope_probe_hits_total", &truth.process(&[])), None);
        assert!(after.value("threadpool_threads", &truth.process(&[])) >= Some(4.0));
        // The block of 600 ms is longer than the longest interval of readings.
        assert!(after.value("eventloop_stall_observed_seconds_count", &truth.main(&[])) >= Some(1.0));
    }
}
