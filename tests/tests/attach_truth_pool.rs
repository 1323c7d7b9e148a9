//! What the pool did is what the program saw of it, however many threads it has.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::Agent;
use loopscope_tests::truth::{Truthful, number};
use loopscope_tests::{fixture, node, requirement};

#[test]
fn waits_runs_and_delays_make_up_what_the_program_waited_on_1_4_and_16_threads() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start_with(&["--tier", "observe,pool", "--budget", "50%"]);
    for node in node::all() {
        for threads in [1.0, 4.0, 16.0] {
            let mut command = Command::new(&node.program);
            command.env("UV_THREADPOOL_SIZE", threads.to_string());
            let mut program = Truthful::start(command.arg(fixture::path("node/crowd.js")));
            program.wait_until_measured(&agent, "pool");
            // The first crowd starts the threads, and compiles.
            program.go();
            let of = format!("{} with {threads} threads", node.program.display());
            let size = wait_for("the pool to be seen", SOON, || {
                agent.scrape().value("threadpool_threads", &program.process(&[])).filter(|&size| size > 0.0)
            });
            assert_eq!(size, threads, "{of}");
            let before = agent.scrape();
            let told = program.go();
            let after = agent.scrape();
            let grew = |name: &str| after.growth(&before, name, &program.process(&[("kind", "crypto")]));
            for name in [
                "threadpool_queue_wait_seconds",
                "threadpool_run_seconds",
                "threadpool_completion_delay_seconds",
            ] {
                assert_eq!(grew(&format!("{name}_count")), number(&told, "tasks"), "{name} of {of}");
            }
            let (wait, run) = (grew("threadpool_queue_wait_seconds_sum"), grew("threadpool_run_seconds_sum"));
            let found = wait + run + grew("threadpool_completion_delay_seconds_sum");
            let latency = number(&told, "latency") / 1e3;
            assert!((found - latency).abs() <= 0.05 * latency, "{of}: {found} s found, {latency} s told");
            let elapsed = number(&told, "elapsed") / 1e3;
            assert!(run <= threads * elapsed * 1.05, "{of}: {run} s of running in {elapsed} s");
            if threads == 1.0 {
                // One thread that always has something to do, but may have to wait for a CPU between two tasks.
                assert!(run >= 0.75 * elapsed, "{of}: {run} s of running in {elapsed} s");
            }
        }
    }
}
