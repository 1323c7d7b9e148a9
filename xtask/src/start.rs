//! `cargo loopscope`: builds and runs the program from a clone.
//!
//! Cargo builds what it runs and nothing else, and `loopscope demo --all` starts another program, which it looks for beside itself. The first build
//! takes minutes, so cargo tells of it; later ones are quiet.

use std::os::unix::process::CommandExt;

use crate::command::{Error, cargo};
use crate::repository::root;

const PROGRAMS: [&str; 4] = ["--bin", "loopscope", "--bin", "loopscope-collector"];

/// Takes this program's place with `loopscope` and these arguments.
pub(crate) fn loopscope(args: &[String]) -> Result<(), Error> {
    if args.first().is_some_and(|command| command == "demo") && args.iter().any(|arg| arg == "--all") {
        let mut build = cargo();
        build.args(["build", "--release"]).args(quietly("loopscope-collector")).args(PROGRAMS);
        let failed = |error| Error::NotStarted { line: "cargo build".to_owned(), error };
        let status = build.status().map_err(failed)?;
        if !status.success() {
            return Err(Error::Failed {
                line: format!("cargo build --release {}", PROGRAMS.join(" ")),
                status,
            });
        }
    }
    let mut run = cargo();
    run.args(["run", "--release"]).args(quietly("loopscope")).args(["--bin", "loopscope", "--"]).args(args);
    // Signals, the terminal and the exit status are then its own.
    Err(Error::NotStarted { line: "cargo run".to_owned(), error: run.exec() })
}

/// The option by which cargo says nothing, if this program was built before.
fn quietly(program: &str) -> Option<&'static str> {
    root().join("target/release").join(program).exists().then_some("--quiet")
}
