//! Python on uvloop is measured as Node.js is: by its own copy of libuv.

use loopscope_tests::loopscope::Agent;
use loopscope_tests::truth::{Truthful, number};
use loopscope_tests::{fixture, requirement};

#[test]
fn lag_and_lookups_of_a_python_program_are_what_it_says() {
    let (true, Some(mut command)) = (requirement::root(), fixture::uvloop("python/loop.py")) else { return };
    let mut program = Truthful::start(&mut command);
    let agent = Agent::start_with(&["--tier", "all", "--budget", "50%"]);
    program.wait_until_measured(&agent, "pool");
    // The first time, modules are imported and threads started.
    program.go();
    let before = agent.scrape();
    let told = program.go();
    let after = agent.scrape();
    let grew = |name: &str, labels: &[(&str, &str)]| after.growth(&before, name, labels);
    let active = number(&told, "active") / 1e3;
    let lag = grew("eventloop_lag_seconds_sum", &program.main(&[]));
    assert!((active * 0.95..active * 1.05 + 0.025).contains(&lag), "{lag} s found, {active} s told");
    // Each block is an iteration of its own.
    let long = grew("eventloop_lag_seconds_count", &program.main(&[]))
        - grew("eventloop_lag_seconds_bucket", &program.main(&[("le", "0.015625")]));
    assert!(long >= 10.0, "{long} long iterations");
    let phases = grew("eventloop_phase_duration_seconds_sum", &program.main(&[]))
        - grew("eventloop_phase_duration_seconds_sum", &program.main(&[("phase", "poll_wait")]));
    assert!(
        (active * 0.95..lag * 1.01).contains(&phases),
        "{phases} s in phases, {lag} s away from the poll"
    );
    let labels = program.process(&[("kind", "dns"), ("outcome", "done")]);
    assert_eq!(grew("threadpool_tasks_total", &labels), number(&told, "dns"));
}
