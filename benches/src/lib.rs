//! How Loopscope is compared with its peers.
//!
//! A shared machine drifts: the same code takes twice as long a minute later. So contenders take turns within one run,
//! many short rounds each; what is measured is the CPU time of the calling thread, not the time on the wall; each
//! contender's figure is its best round, the one that other programs disturbed least; and what counts is the ratio.

#![forbid(unsafe_code)]

pub mod scraping;

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::time::{ClockId, clock_gettime};

/// One thing to measure: a name, and code that performs a number of operations.
pub struct Contender<'a> {
    name: &'static str,
    run: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> Contender<'a> {
    /// A contender whose `run` performs as many operations as it is told.
    pub fn new(name: &'static str, run: impl FnMut(u64) + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// What one contender took.
#[derive(Clone, Debug)]
pub struct Figure {
    /// The contender.
    pub name: &'static str,
    /// CPU time per operation in its best round, in nanoseconds.
    pub best_ns: f64,
    /// CPU time per operation in its middle round, in nanoseconds.
    pub median_ns: f64,
}

/// Lets the contenders take turns for `rounds` rounds of `operations` operations each, all on the calling thread.
pub fn alternate(contenders: Vec<Contender<'_>>, rounds: usize, operations: u64) -> Vec<Figure> {
    alternate_on(thread_cpu_ns, contenders, rounds, operations)
}

/// As [`alternate`], with the CPU time that `clock` reads.
pub fn alternate_on(
    clock: fn() -> u64,
    mut contenders: Vec<Contender<'_>>,
    rounds: usize,
    operations: u64,
) -> Vec<Figure> {
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    // The first round warms caches and is thrown away.
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let before = clock();
            (contender.run)(operations);
            let per_operation = (clock() - before) as f64 / operations as f64;
            if round > 0 {
                times.push(per_operation);
            }
        }
    }
    let figures = contenders.iter().zip(&mut times).map(|(contender, times)| {
        times.sort_by(f64::total_cmp);
        Figure { name: contender.name, best_ns: times[0], median_ns: times[times.len() / 2] }
    });
    figures.collect()
}

/// The figures as a Markdown table; ratios are to the first contender.
pub fn table(title: &str, figures: &[Figure]) -> String {
    let mut text = format!(
        "### {title}\n\n| | best ns/op | median ns/op | best, to {} |\n|---|---|---|---|\n",
        figures[0].name
    );
    for figure in figures {
        let ratio = figure.best_ns / figures[0].best_ns;
        writeln!(text, "| {} | {:.2} | {:.2} | {ratio:.2} |", figure.name, figure.best_ns, figure.median_ns)
            .expect("a string takes all text");
    }
    text
}

/// CPU time that the calling thread has used, in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    read_clock(ClockId::ThreadCPUTime)
}

/// CPU time that this program has used, in nanoseconds.
pub fn program_cpu_ns() -> u64 {
    read_clock(ClockId::ProcessCPUTime)
}

/// CPU time that children of this program have used, as far as they have ended, in nanoseconds.
pub fn children_cpu_ns() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("a process may ask for its usage");
    let ns = |time: fn(&Usage) -> nix::sys::time::TimeVal| time(&usage).num_nanoseconds() as u64;
    ns(Usage::user_time) + ns(Usage::system_time)
}

/// CPU time that the living threads of another program have used, in nanoseconds; `None` where the kernel does not
/// tell.
pub fn process_cpu_ns(pid: u32) -> Option<u64> {
    let mut total = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let scheduling = std::fs::read_to_string(thread.ok()?.path().join("sched")).ok()?;
        let line = scheduling.lines().find(|line| line.starts_with("se.sum_exec_runtime"))?;
        total += line.rsplit(':').next()?.trim().parse::<f64>().ok()? * 1e6;
    }
    Some(total as u64)
}

/// Builds something of this workspace and gives the folder that it lies in.
///
/// # Panics
/// If it does not build.
pub fn cargo_build(arguments: &[&str]) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let status = Command::new(cargo)
        .arg("build")
        .args(arguments)
        .current_dir(root)
        .status()
        .expect("cargo can be run");
    assert!(status.success(), "cargo build {arguments:?} failed");
    let benchmark = std::env::current_exe().expect("a program knows its path");
    benchmark.parent().and_then(|deps| deps.parent()).expect("it lies in target/release/deps").to_path_buf()
}

fn read_clock(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
