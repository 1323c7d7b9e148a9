//! Running other programs, with every command line shown before it runs.

use std::env;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

/// Why a task could not be done.
#[derive(Debug)]
pub(crate) enum Error {
    /// A program could not be started.
    NotStarted { line: String, error: io::Error },
    /// A program said that it failed.
    Failed { line: String, status: ExitStatus },
    /// A file or folder could not be made or read.
    File { path: PathBuf, error: io::Error },
    /// The tests need a package that this machine does not offer.
    Missing { what: String, remedy: String },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { line, error } => write!(f, "cannot start `{line}`: {error}"),
            Self::Failed { line, status } => write!(f, "`{line}` failed: {status}"),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Missing { what, remedy } => write!(f, "{what} is missing: {remedy}"),
        }
    }
}

impl std::error::Error for Error {}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let line = line(command);
    say(&format!("$ {line}"));
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Failed { line, status }),
        Err(error) => Err(Error::NotStarted { line, error }),
    }
}

/// The cargo that runs this task.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Tells the person at the terminal what happens.
#[expect(clippy::print_stderr, reason = "standard error is where a task tells what it does")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
