//! Quantiles of the lag, as a real Prometheus computes them, are those of the blocks that the program says it had.

use std::process::Command;

use loopscope_tests::loopscope::Agent;
use loopscope_tests::prometheus::{Scrapes, Server};
use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, node, requirement};

/// Two bounds of neighbouring buckets of a native histogram of schema 3, and 5% for what stands between the program's own
/// looks at its clock and the probe's.
const ALLOWED: f64 = 1.0905 * 1.05;

#[test]
fn quantiles_of_the_lag_are_those_of_the_blocks() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start_with(&["--tier", "loop", "--budget", "50%"]);
    let Some(prometheus) = Server::start(agent.address(), Scrapes::Native) else { return };
    for node in node::all() {
        let mut program = Truthful::start(Command::new(&node.program).arg(fixture::path("node/blocks.js")));
        program.wait_until_measured(&agent, "loop");
        let lag = |labels: &[(&str, &str)]| {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
            format!("eventloop_lag_seconds{{{}}}", labels.join(","))
        };
        let lag = lag(&program.main(&[]));
        let told = program.go();
        let mut blocks: Vec<f64> =
            told["blocks"].as_array().expect("a list").iter().filter_map(serde_json::Value::as_f64).collect();
        blocks.sort_by(f64::total_cmp);
        let sum = blocks.iter().sum::<f64>() / 1e3;
        prometheus.wait_for_value(&format!("histogram_sum({lag})"), |seconds| seconds >= sum);
        // The longest iterations are the blocks, but for what else was as long as the shortest of them: those are left out.
        for rank in [1, 3, 7, 14] {
            let own = blocks[blocks.len() - rank] / 1e3;
            // A quantile in the middle of the observation, not at its border to the next.
            let quantile =
                format!("histogram_quantile(scalar(1 - {}.5 / histogram_count({lag})), {lag})", rank - 1);
            prometheus.wait_for_value(&quantile, |found| {
                let is_near = (own / ALLOWED..own * ALLOWED).contains(&found);
                assert!(is_near, "{}: rank {rank} is {found} s, {own} s told", node.program.display());
                is_near
            });
        }
    }
}
