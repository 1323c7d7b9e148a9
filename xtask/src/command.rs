//! Running other programs, with every command line shown before it runs.

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// Why a task could not be done.
#[derive(Debug)]
pub(crate) enum Error {
    /// A program could not be started.
    NotStarted { line: String, error: io::Error },
    /// A program said that it failed.
    Failed { line: String, status: ExitStatus },
    /// A file or folder could not be made or read.
    File { path: PathBuf, error: io::Error },
    /// A package is needed that this machine does not have.
    Missing { what: String, remedy: String },
    /// A task was asked for something that it does not know.
    Usage { what: String, usage: &'static str },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { line, error } => write!(f, "cannot start `{line}`: {error}"),
            Self::Failed { line, status } => write!(f, "`{line}` failed: {status}"),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Missing { what, remedy } => write!(f, "{what} is missing: {remedy}"),
            Self::Usage { what, usage } => write!(f, "asked for {what}; usage: {usage}"),
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

/// What a command prints.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Error> {
    output_of(command, &[])
}

/// What a command prints that is given this to read.
pub(crate) fn output_of(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, Error> {
    let line = line(command);
    let not_started = |error| Error::NotStarted { line: line.clone(), error };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(not_started)?;
    let mut stdin = child.stdin.take().expect("standard input is piped");
    // It may print before it has read all.
    let ended = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.wait_with_output()
    });
    let ended = ended.map_err(not_started)?;
    if !ended.status.success() {
        return Err(Error::Failed { line, status: ended.status });
    }
    Ok(ended.stdout)
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
