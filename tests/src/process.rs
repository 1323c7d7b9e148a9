//! Child processes that never outlive the story.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::deadline::wait_for;
use crate::folder::Folder;

/// A child process, killed on drop. What it prints is kept.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
    line: String,
    stdout: Receiver<String>,
    stderr: PathBuf,
    _folder: Folder,
}

/// How a process ended, and what it printed.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output, as far as it was not read before.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Guarded {
    /// Starts a process. Its standard input is a pipe that stays open until the end, so that programs which run until
    /// it closes do so.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let line = format!("{command:?}");
        let folder = Folder::new("process");
        let stderr = folder.file("stderr");
        let stderr_file = File::create(&stderr).expect("a scratch file");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr_file);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        let stdout = lines_of(child.stdout.take().expect("standard output is piped"));
        Self { child, line, stdout, stderr, _folder: folder }
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    ///
    /// # Panics
    /// If it does not read any more.
    #[track_caller]
    pub fn tell(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("standard input is piped");
        writeln!(stdin, "{line}").expect("the process reads its standard input");
    }

    /// The next line of standard output that `pick` takes.
    ///
    /// # Panics
    /// If none comes in time.
    #[track_caller]
    pub fn line<T>(&mut self, what: &str, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> T {
        wait_for(&format!("{what} from {}", self.line), limit, || {
            assert!(self.is_running(), "{} ended without {what}: {}", self.line, self.stderr());
            self.stdout.try_iter().find_map(|line| pick(&line))
        })
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal, by the name that `kill` knows.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().expect("kill is everywhere");
        assert!(sent.success(), "cannot send {name} to {}", self.line);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it still runs then.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Ended {
        let status = wait_for(&format!("the end of {}", self.line), limit, || {
            self.child.try_wait().expect("a child can be waited for")
        });
        // The channel ends when whoever holds the other end of the pipe has ended, too.
        let stdout = self.stdout.iter().collect();
        Ended { status, stdout, stderr: self.stderr() }
    }

    /// Waits for its end, which must be a success.
    ///
    /// # Panics
    /// If it fails, or still runs then.
    #[track_caller]
    pub fn succeed(self, limit: Duration) -> Ended {
        let line = self.line.clone();
        let ended = self.wait(limit);
        assert!(ended.status.success(), "{line}: {}\n{}", ended.status, ended.stderr);
        ended
    }

    /// Ends it now.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs a command to its end, within `limit`, and expects success.
///
/// # Panics
/// If it fails, or still runs then.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Ended {
    Guarded::start(command).succeed(limit)
}

fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    receiver
}
