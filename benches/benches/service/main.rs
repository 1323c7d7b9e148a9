//! The agent as a service: many targets that come and go, and its price beside what people run already.
//!
//! Run with `cargo bench -p loopscope-benches --bench service`; `-- load` and `-- beside` run one part. `LOOPSCOPE_MINUTES` says how long the
//! load lasts (10), `LOOPSCOPE_PROGRAM` names another program than the one of this workspace, such as a static one.
//!
//! **Load**: 200 targets, of which one is replaced each second, and a scrape each second, by turns as text, as text in gzip and as protobuf.
//! **Beside**: 50 targets; the agent, Debian's `prometheus-node-exporter` and prom-client inside a Node.js are scraped by turns.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]
#![expect(clippy::print_stderr, reason = "a benchmark tells what it leaves out on standard error")]

mod beside;
mod exporter;
mod load;
mod targets;

use std::path::PathBuf;

use loopscope_benches::cargo_build;

/// The programs that take part.
struct Programs {
    loopscope: PathBuf,
    target: PathBuf,
    node: PathBuf,
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
    let example = ["--release", "--package", "loopscope-benches", "--example", "target"];
    let programs = Programs {
        loopscope: named("LOOPSCOPE_PROGRAM")
            .unwrap_or_else(|| cargo_build(&["--release", "--bin", "loopscope"]).join("loopscope")),
        target: cargo_build(&example).join("examples/target"),
        node: named("LOOPSCOPE_NODE").unwrap_or_else(|| "node".into()),
    };
    println!("Load of the machine at the beginning: {}\n", machine_load());
    if is_asked("load") {
        load::run(&programs);
    }
    if is_asked("beside") {
        beside::run(&programs);
    }
    println!("Load of the machine at the end: {}", machine_load());
}

fn machine_load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}
