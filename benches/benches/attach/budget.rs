//! What the pool's probes cost a server when the agent keeps them within a budget: then they measure by turns.

use crate::Programs;
use crate::observer;
use crate::server::{Load, Server};
use crate::summary::Quartiles;

const LOAD: Load = Load::Requests { path: "/files", connections: 16 };

/// A window has several turns in it.
const WINDOW_S: u32 = 20;

/// In this time the agent finds out that measuring every task costs too much.
const SETTLING_S: u32 = 10;

/// Shares of a core: the default, and what the pool may cost.
const BUDGETS: &[&str] = &["1%", "8%"];

/// CPU time of a request, beside that with nothing attached before and behind.
pub(crate) fn keeping_to_it(programs: &Programs, rounds: usize) {
    println!("### budget: {LOAD}, `--tier pool`, windows of {WINDOW_S} s, {rounds} rounds\n");
    println!("| budget | CPU, ratio | quartiles | CPU added, of a core |\n|---|---|---|---|");
    let server = Server::start(&programs.node, None);
    server.warm_up(LOAD);
    for budget in BUDGETS {
        let (mut ratios, mut added) = (Vec::new(), Vec::new());
        let mut before = server.window_of(LOAD, WINDOW_S);
        for _ in 0..rounds {
            let agent = observer::agent(programs, "pool", budget, &[server.pid()]);
            server.window_of(LOAD, SETTLING_S);
            let during = server.window_of(LOAD, WINDOW_S);
            agent.detach();
            let after = server.window_of(LOAD, WINDOW_S);
            let plain_us = f64::midpoint(before.cpu_us(), after.cpu_us());
            ratios.push(during.cpu_us() / plain_us);
            added.push((during.cpu_us() - plain_us) * during.rate() / 1e6);
            before = after;
        }
        let (ratio, added) = (Quartiles::of(&ratios), Quartiles::of(&added));
        let (lower, upper) = (ratio.lower, ratio.upper);
        println!(
            "| {budget} | {:.3} | {lower:.3} – {upper:.3} | {:.1}% |",
            ratio.middle,
            100.0 * added.middle
        );
    }
    println!();
}
