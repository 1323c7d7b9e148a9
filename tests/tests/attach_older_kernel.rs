//! The kernel of the distribution in a virtual machine: an older one than the host's where the host is newer, such as Debian 12's Linux 6.1. Its
//! verifier has to accept the programs, and before Linux 6.6 each probe is an event of its own.
#![cfg(target_arch = "x86_64")]

use loopscope_tests::guest::Guest;
use loopscope_tests::metrics::Metrics;
use loopscope_tests::{fixture, loopscope, node};

#[test]
fn every_tier_measures_on_the_kernel_of_the_distribution() {
    let Some(guest) = Guest::new() else { return };
    let Some(node) = node::all().pop() else { return };
    guest.add_program("node", &node.program);
    guest.add_program("loopscope", loopscope::program());
    guest.add_file("measured.js", &fixture::path("node/measured.js"));
    let said = guest.run(&fixture::path("guest/measure.sh"));

    let (kernel, pid) = (said.line("kernel"), said.line("target"));
    let done: f64 = said.line("done").parse().expect("a number");
    let (inspected, told) = (said.of("inspect"), said.of("agent"));
    for tier in ["observe", "loop", "phases", "pool", "profile"] {
        let line = inspected.lines().find(|line| line.starts_with(tier)).expect("a line for each");
        assert!(line.contains(" yes: "), "{kernel}: {line}");
    }
    assert!(told.contains("observe,loop,phases,pool"), "{kernel}: {told}");

    let [before, after] = ["before", "after"].map(|word| Metrics::new(said.of(word)));
    let process = [("pid", pid.as_str())];
    let growth = |name: &str, own: &[(&str, &str)]| after.growth(&before, name, &[&process, own].concat());
    for tier in ["observe", "loop", "phases", "pool"] {
        let labels = [("pid", pid.as_str()), ("tier", tier)];
        assert_eq!(after.value("loopscope_tier_active", &labels), Some(1.0), "{kernel}: {tier}: {told}");
    }
    assert_eq!(growth("threadpool_tasks_total", &[("kind", "fs")]), done, "{kernel}");
    assert_eq!(growth("threadpool_queue_wait_seconds_count", &[("kind", "fs")]), done, "{kernel}");
    // Each operation comes back in an iteration of its own. The two are not counted at the same instant.
    let lags = growth("eventloop_lag_seconds_count", &[]);
    let iterations = growth("eventloop_iterations_total", &[]);
    assert!(lags >= done && (lags - iterations).abs() <= 5.0, "{kernel}: {lags} of {iterations}");
    assert!(growth("eventloop_phase_duration_seconds_count", &[("phase", "timers")]) > 0.0, "{kernel}");
    assert_eq!(after.value("loopscope_probe_losses_total", &[]), Some(0.0), "{kernel}");
}
