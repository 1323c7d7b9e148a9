//! What it costs a Node.js server to be measured from outside, beside the other ways to measure it.
//!
//! Run with `cargo bench -p loopscope-benches --bench attach`, as root; with names of workloads behind `--` only those. Needs `node`
//! (or `LOOPSCOPE_NODE`) and `wrk`, and compares with what it finds of `bpftrace`, `perf` and, by npm, prom-client.
//! `LOOPSCOPE_ROUNDS` is the number of rounds.
//!
//! What counts is the CPU time of the server's threads for each request, or each operation where the server works alone. A window of load with something attached stands
//! between two with nothing attached, and its figure is the ratio to their mean: a machine that slows down meanwhile slows
//! all three. Reported is the median of the ratios, with the quartiles; the row `nothing` compares windows that differ in
//! nothing, so it shows how much of the others is noise.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::print_stderr, reason = "and says what it leaves out on standard error")]

mod budget;
mod idle;
mod observer;
mod server;
mod summary;

use std::path::PathBuf;

use loopscope_benches::cargo_build;

use observer::{Observer, Way};
use server::{Load, Server};
use summary::Summary;

const ROUNDS: usize = 8;

/// Their windows are long.
const BUDGET_ROUNDS: usize = 3;

/// A load, and what is compared under it.
struct Workload {
    name: &'static str,
    load: Load,
    ways: &'static [Way],
}

const LOOP_WAYS: &[Way] = &[
    Way::Nothing,
    Way::Agent("observe"),
    Way::Agent("loop"),
    Way::Agent("phases"),
    Way::Bpftrace("loop"),
    Way::Bpftrace("phases"),
    Way::Perf("loop"),
    Way::Perf("phases"),
    Way::Profiler,
    Way::OtherServer,
    Way::PromClient,
];

const POOL_WAYS: &[Way] = &[
    Way::Nothing,
    Way::Agent("observe"),
    Way::Agent("loop"),
    Way::Agent("pool"),
    Way::Agent("all"),
    Way::Bpftrace("pool"),
    Way::Perf("pool"),
    Way::Profiler,
    Way::OtherServer,
    Way::PromClient,
];

const WORKLOADS: &[Workload] = &[
    Workload { name: "iterations", load: Load::Alone { begin: "/spin/start" }, ways: LOOP_WAYS },
    Workload { name: "stats", load: Load::Alone { begin: "/stats/start" }, ways: POOL_WAYS },
    Workload { name: "hello-1", load: Load::Requests { path: "/", connections: 1 }, ways: LOOP_WAYS },
    Workload { name: "hello-16", load: Load::Requests { path: "/", connections: 16 }, ways: LOOP_WAYS },
    Workload { name: "hello-64", load: Load::Requests { path: "/", connections: 64 }, ways: LOOP_WAYS },
    Workload { name: "work-16", load: Load::Requests { path: "/work", connections: 16 }, ways: LOOP_WAYS },
    Workload { name: "files-16", load: Load::Requests { path: "/files", connections: 16 }, ways: POOL_WAYS },
];

/// The programs that take part.
struct Programs {
    loopscope: PathBuf,
    node: PathBuf,
    prom_client: Option<PathBuf>,
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let programs = Programs {
        loopscope: cargo_build(&["--release", "--bin", "loopscope"]).join("loopscope"),
        node: std::env::var_os("LOOPSCOPE_NODE").map_or_else(|| "node".into(), PathBuf::from),
        prom_client: server::prom_client(),
    };
    let rounds = std::env::var("LOOPSCOPE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    observer::prepare();
    for workload in WORKLOADS.iter().filter(|workload| is_asked(workload.name)) {
        compare(workload, &programs, rounds);
    }
    if is_asked("budget") {
        budget::keeping_to_it(&programs, rounds.min(BUDGET_ROUNDS));
    }
    if is_asked("idle") {
        idle::wakeups(&programs);
        idle::many_targets(&programs);
    }
}

/// Lets all ways of measuring take turns under one load.
fn compare(workload: &Workload, programs: &Programs, rounds: usize) {
    let plain = Server::start(&programs.node, None);
    let other = Server::start(&programs.node, None);
    let instrumented = programs.prom_client.as_deref().map(|path| Server::start(&programs.node, Some(path)));
    for server in [Some(&plain), Some(&other), instrumented.as_ref()].into_iter().flatten() {
        server.warm_up(workload.load);
    }
    let mut summaries: Vec<Summary> = workload.ways.iter().map(|way| Summary::new(way.name())).collect();
    let mut before = plain.window(workload.load);
    for _ in 0..rounds {
        for (way, summary) in workload.ways.iter().zip(&mut summaries) {
            let during = match way {
                Way::OtherServer => Some((other.window(workload.load), None)),
                Way::PromClient => instrumented.as_ref().map(|server| (server.window(workload.load), None)),
                _ => Observer::attach(*way, programs, &plain).map(|observer| {
                    let hits = observer.hits();
                    let window = plain.window(workload.load);
                    let hits = hits.and_then(|before| Some(observer.hits()? - before));
                    observer.detach();
                    (window, hits)
                }),
            };
            let after = plain.window(workload.load);
            if let Some((during, hits)) = during {
                summary.add(&before, &during, &after, hits);
            }
            before = after;
        }
    }
    let name = workload.name;
    println!("### {name}: {}, {rounds} rounds\n", workload.load);
    println!("{}", summary::table(&summaries));
}
