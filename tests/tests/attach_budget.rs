//! What probes may cost: where every task of a pool would cost more, a sample of them is measured, and named as one.

use std::process::Command;
use std::time::{Duration, Instant};

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::Agent;
use loopscope_tests::metrics::Metrics;
use loopscope_tests::process::Guarded;
use loopscope_tests::{node, requirement};

/// Two thousand tasks a second of which some always wait for a thread, and that take no CPU: each reads a byte of a pipe, made anew at an
/// address that another had.
const TASKS: &str = "const { openSync, read, writeSync } = require('fs'), { pbkdf2 } = require('crypto'); \
    const pipe = openSync(process.argv[1], 'r+'), byte = Buffer.alloc(1); \
    const next = () => read(pipe, byte, 0, 1, null, next); \
    for (let i = 0; i < 400; i++) next(); \
    setInterval(() => { writeSync(pipe, '0123456789'); pbkdf2('a', 'b', 100, 64, 'sha512', () => {}); }, 5); \
    process.stdin.on('end', () => process.exit()).resume(); console.log('ready')";

/// A third of what the probes of all these tasks cost, or less.
const BUDGET: f64 = 0.003;

/// Longer than a budget's look at the cost and some turns take.
const TURNS: Duration = Duration::from_secs(120);

/// Shorter than the time between two turns, and longer than the program, or the machine, pauses within one.
const PAUSE: Duration = Duration::from_secs(2);

#[test]
fn a_pool_that_would_cost_more_than_the_budget_is_sampled() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let folder = Folder::new("budget");
    let pipe = folder.file("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("every Debian has it");
    assert!(made.success());
    let mut program = Guarded::start(Command::new(&node.program).args(["-e", TASKS]).arg(&pipe));
    program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    let pid = program.pid().to_string();
    let of = |metrics: &Metrics, name: &str, kind: &str| {
        metrics.value(name, &[("pid", &pid), ("kind", kind)]).unwrap_or(0.0)
    };
    let agent = Agent::start_with(&["--tier", "observe,pool", "--budget", "0.3%"]);

    // Each turn adds something, and between two turns, which lie longer apart than the program ever pauses, nothing is added.
    let sampled = |metrics: &Metrics| of(metrics, "threadpool_queue_wait_sampled_seconds_count", "fs");
    let after_a_turn = || {
        let before = sampled(&agent.scrape());
        let mut last = (before, Instant::now());
        wait_for("a turn to have begun and ended", TURNS, || {
            let now = agent.scrape();
            if sampled(&now) > last.0 {
                last = (sampled(&now), Instant::now());
            }
            let has_ended = last.0 > before && last.1.elapsed() >= PAUSE;
            has_ended.then_some((last.1, now))
        })
    };
    let (began, first) = after_a_turn();
    assert!(agent.told().contains("the tier pool measures two seconds now and then"), "{}", agent.told());
    after_a_turn();
    let (ended, last) = after_a_turn();

    assert_eq!(last.value("loopscope_tier_active", &[("pid", &pid), ("tier", "pool")]), Some(0.0));
    let grew = |name: &str, kind: &str| of(&last, name, kind) - of(&first, name, kind);
    assert_eq!(grew("threadpool_queue_wait_seconds_count", "fs"), 0.0, "a sample counts as one");
    for kind in ["fs", "crypto"] {
        let (wait, run) = (
            grew("threadpool_queue_wait_sampled_seconds_count", kind),
            grew("threadpool_run_sampled_seconds_count", kind),
        );
        assert!(
            wait > 0.0 && run > 0.0 && (wait - run).abs() <= 800.0,
            "{kind}: {wait} waits and {run} runs"
        );
        let delays = last.value(
            "threadpool_completion_delay_sampled_seconds_count",
            &[("pid", &pid), ("kind", kind), ("loop", "main")],
        );
        assert!(delays.is_some_and(|delays| delays > 0.0), "{kind}: {delays:?}");
        // A task of an earlier turn that is mistaken for one at the same address would seem to have waited from turn to turn.
        let waits = of(&last, "threadpool_queue_wait_sampled_seconds_sum", kind);
        let count = of(&last, "threadpool_queue_wait_sampled_seconds_count", kind);
        let within = last.value(
            "threadpool_queue_wait_sampled_seconds_bucket",
            &[("pid", &pid), ("kind", kind), ("le", "2.0")],
        );
        assert_eq!(within, Some(count), "{kind}: {waits} s for {count} tasks");
    }
    let by_class = |metrics: &Metrics, name: &str| metrics.value(name, &[("pid", &pid)]).unwrap_or(0.0);
    let classes = "threadpool_class_run_sampled_seconds_count";
    assert!(by_class(&last, classes) > by_class(&first, classes), "classes of a sample");
    let classes = "threadpool_class_run_seconds_count";
    assert_eq!(by_class(&last, classes), by_class(&first, classes), "classes of a sample count as ones");
    let costs = |metrics: &Metrics| {
        metrics.value("loopscope_probe_cost_seconds_total", &[("pid", &pid), ("tier", "pool")]).unwrap_or(0.0)
    };
    let share = (costs(&last) - costs(&first)) / (ended - began).as_secs_f64();
    assert!(share > 0.0 && share <= 1.5 * BUDGET, "probes cost {share} of a core");
}
