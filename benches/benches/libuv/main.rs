//! The runtime beside libuv: the same operations in two programs that take turns.
//!
//! `libuv.c` is compiled against the installed libuv (Debian's `libuv1-dev`), and once more against the one that
//! `LOOPSCOPE_LIBUV` names the prefix of; our side, and tokio's where it has the thing, are this program, started again.
//! Each round starts every program once. What counts is the CPU time of the whole process (and of its children), for each
//! round as a ratio to libuv's: medians and quartiles over the rounds. System calls come from `strace`, peak memory
//! from the kernel, and instructions in user space, which no other load disturbs, from valgrind.
//!
//! Run with `cargo bench -p loopscope-benches --bench libuv -- [--rounds N] [--calls] [ROW[:COUNT]]…`, and for instructions with
//! `cargo bench -p loopscope-benches --bench libuv --features valgrind -- --instructions [ROW[:COUNT]]…`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

mod on_tokio;
mod ours;
mod program;
mod report;
mod rows;

use std::env;

use program::Program;
use report::Report;
use rows::ROWS;

/// The first argument of this program when it is started as a contender.
const AS_CONTENDER: &str = "--as";

/// What the command line asks for.
struct Options {
    rounds: usize,
    calls: bool,
    instructions: bool,
    /// Rows, with the count of operations if it is not the usual one; all if empty.
    rows: Vec<(String, Option<u64>)>,
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [first, runtime, row, count] = &arguments[..]
        && first == AS_CONTENDER
    {
        return program::contend(runtime, row, count.parse().expect("a number of operations"));
    }
    let options = Options::parse(arguments.into_iter());
    let programs = Program::all();
    let names: Vec<_> = programs.iter().map(|program| program.name.clone()).collect();
    let mut report = Report::new(&names, &options);
    for row in ROWS {
        let asked = options.rows.iter().find(|(name, _)| name == row.name);
        if asked.is_none() && !options.rows.is_empty() {
            continue;
        }
        let count = asked.and_then(|(_, count)| *count).unwrap_or(row.count);
        report.row(row, count, &programs, &options);
    }
    println!("{}", report.text());
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self { rounds: 7, calls: false, instructions: false, rows: Vec::new() };
        while let Some(argument) = arguments.next() {
            match &*argument {
                // Cargo's own.
                "--bench" => {}
                "--calls" => options.calls = true,
                "--instructions" => options.instructions = true,
                "--rounds" => {
                    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok());
                    options.rounds = rounds.expect("a number of rounds");
                }
                row => {
                    let (name, count) = match row.split_once(':') {
                        Some((name, count)) => (name, Some(count.parse().expect("a number of operations"))),
                        None => (row, None),
                    };
                    options.rows.push((name.to_owned(), count));
                }
            }
        }
        options
    }
}
