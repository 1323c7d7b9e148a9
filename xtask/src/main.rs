//! Developer tasks: `cargo xtask TASK`.
//!
//! Little is used besides the standard library, so that the first task of a fresh clone starts within seconds.
#![forbid(unsafe_code)]

mod bpf;
mod command;
mod dashboards;
mod dist;
mod fetched;
mod fuzz;
mod generate;
mod packages;
mod repository;
mod start;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask TASK

  loopscope [ARG]…         builds and runs `loopscope` as users get it; what it starts is built, too
  test [CARGO-TEST-ARG]…   installs what the tests need, then checks format and lints and runs every test;
                           with arguments, only `cargo test` with them
  fuzz [SECONDS] [TARGET]… runs the fuzz targets in fuzz/, each for 10 seconds if not told otherwise
  dist [--profile PROFILE] [--target TRIPLE] [--into FOLDER]
                           makes the static programs, a tarball and the Debian packages of them in target/dist
  generate                 writes the files that are made from the code
  bpf                      compiles the BPF programs in attach/bpf, with clang 14
";

#[expect(clippy::print_stderr, reason = "this is where the errors of a command-line program end")]
fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("test") => test::run_all(&args.collect::<Vec<_>>()),
        Some("loopscope") => start::loopscope(&args.collect::<Vec<_>>()),
        Some("fuzz") => fuzz::run_targets(&args.collect::<Vec<_>>()),
        Some("dist") => dist::run_all(&args.collect::<Vec<_>>()),
        Some("generate") => generate::run(),
        Some("bpf") => bpf::build(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
