//! Pauses of the garbage collector are those that V8 itself prints.

use std::process::Command;

use loopscope_tests::loopscope::Agent;
use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, node, requirement};

/// A line of `--trace-gc`.
#[derive(Debug)]
struct Pause {
    is_major: bool,
    ms: f64,
}

/// `[4711:0x…]     3291 ms: Scavenge 20.9 (39.0) -> 6.4 (39.0) MB, pooled: 0 MB, 0.56 / 0.00 ms  (average mu = …`
fn pause(line: &str) -> Option<Pause> {
    let (_, rest) = line.split_once(" ms: ")?;
    let (duration, _) = rest.split_once(" / ")?;
    let ms = duration.rsplit(' ').next()?.parse().ok()?;
    Some(Pause { is_major: rest.contains("Mark-"), ms })
}

#[test]
fn pauses_are_those_that_v8_prints() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start_with(&["--tier", "loop", "--budget", "50%"]);
    for node in node::all() {
        let mut command = Command::new(&node.program);
        command.args(["--trace-gc", "--expose-gc"]).arg(fixture::path("node/garbage.js"));
        let mut program = Truthful::start(&mut command);
        program.wait_until_measured(&agent, "loop");
        let before = agent.scrape();
        program.begin();
        program.lines_until("the beginning", |line| line == "begin");
        let lines = program.lines_until("the end", |line| line == "end");
        let pauses: Vec<Pause> = lines.iter().filter_map(|line| pause(line)).collect();
        for (kind, is_major) in [("minor", false), ("major", true)] {
            let own: Vec<f64> =
                pauses.iter().filter(|pause| pause.is_major == is_major).map(|pause| pause.ms).collect();
            assert!(!own.is_empty(), "{kind}: {lines:?}");
            let labels = program.main(&[("kind", kind)]);
            let counted = agent.scrape().growth(&before, "gc_pause_seconds_count", &labels);
            assert_eq!(counted, own.len() as f64, "{kind} of {}: {own:?}", node.program.display());
            let seconds = agent.scrape().growth(&before, "gc_pause_seconds_sum", &labels);
            let printed = own.iter().sum::<f64>() / 1e3;
            // V8 begins to count some microseconds later, and before Node.js 20 prints tenths of a millisecond.
            let allowed = 0.05 * printed + own.len() as f64 * 60e-6;
            assert!(
                (seconds - printed).abs() <= allowed,
                "{kind} of {}: {seconds} s, {printed} s printed",
                node.program.display()
            );
        }
    }
}
