//! The program under test.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::deadline::{SOON, wait_for};
use crate::folder::target_profile;
use crate::http::{self, Response};
use crate::metrics::Metrics;
use crate::process::{Ended, Guarded, run};
use crate::requirement;

/// A running `loopscope agent`.
#[derive(Debug)]
pub struct Agent {
    process: Guarded,
    address: SocketAddr,
}

/// A running `loopscope demo`.
#[derive(Debug)]
pub struct Demo {
    process: Guarded,
    address: SocketAddr,
}

impl Agent {
    /// Starts an agent on a free loopback port.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts an agent on a free loopback port, with these options.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_with(options: &[&str]) -> Self {
        Self::start_by(&mut command(), options)
    }

    /// Starts an agent by a command that runs it, such as one that takes rights away first.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_by(command: &mut Command, options: &[&str]) -> Self {
        let (process, address) = serve(command.args(["agent", "--listen", "127.0.0.1:0"]).args(options));
        Self { process, address }
    }

    /// What it has told so far.
    pub fn told(&self) -> String {
        self.process.stderr()
    }

    /// Ends it now, as a crash would.
    pub fn kill(self) {
        self.process.kill();
    }

    /// Sends it a signal, by the name that `kill` knows.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Asks it to end, as a service manager would, and waits until it has.
    ///
    /// # Panics
    /// If it does not end within `limit`, or not well.
    #[track_caller]
    pub fn stop(self, limit: Duration) -> Ended {
        self.process.signal("TERM");
        self.process.succeed(limit)
    }

    /// All metrics, to ask for values.
    ///
    /// # Panics
    /// If it does not answer with them.
    #[track_caller]
    pub fn scrape(&self) -> Metrics {
        Metrics::new(self.metrics())
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Asks it for something, with one more header.
    ///
    /// # Panics
    /// If it does not answer.
    #[track_caller]
    pub fn get(&self, path: &str, header: (&str, &str)) -> Response {
        http::get(self.address, path, &[header]).expect("the agent answers")
    }

    /// All metrics as text.
    ///
    /// # Panics
    /// If it does not answer with them.
    #[track_caller]
    pub fn metrics(&self) -> String {
        let response = self.get("/metrics", ("accept", "text/plain"));
        assert_eq!(response.status, 200);
        response.text().to_owned()
    }
}

impl Demo {
    /// Starts the demo on a free loopback port, with these options.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        Self::start_by(&mut command(), options)
    }

    /// Starts the demo by a command that runs our program, such as one that gives it a namespace of its own first.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_by(command: &mut Command, options: &[&str]) -> Self {
        let (process, address) = serve(command.arg("demo").args(options));
        Self { process, address }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Stops it where it is: from now on it counts nothing, and can be read as before.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn freeze(&self) {
        self.process.signal("STOP");
    }

    /// What it says that it did so far: what metrics have to agree with.
    ///
    /// # Panics
    /// If it does not answer.
    #[track_caller]
    pub fn truth(&self) -> Value {
        let response = http::get(self.address, "/truth", &[]).expect("the demo answers");
        serde_json::from_slice(&response.body).expect("the truth is JSON")
    }

    /// Ends it now, as a crash would.
    pub fn kill(self) {
        self.process.kill();
    }
}

/// Starts a command that serves, and waits for the address that it tells.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn serve(command: &mut Command) -> (Guarded, SocketAddr) {
    let mut process = Guarded::start(command);
    let address = wait_for("an address", 3 * SOON, || {
        assert!(process.is_running(), "{command:?} ended: {}", process.stderr());
        address_in(&process.stderr())
    });
    (process, address)
}

/// The address in the first line with `http://ADDRESS/…`, or `https`.
fn address_in(text: &str) -> Option<SocketAddr> {
    // A line without an end may not be all there yet.
    let line = text.split_inclusive('\n').find(|line| line.contains(" http") && line.ends_with('\n'))?;
    let (_, address) = line.split_once("://")?;
    address.split(|c: char| "/,".contains(c) || c.is_whitespace()).next()?.parse().ok()
}

/// Profiles a process for some seconds.
///
/// # Panics
/// If that fails.
#[track_caller]
pub fn profile(pid: u32, seconds: u32, format: &str, output: &Path) -> Ended {
    let mut command = command();
    command.args(["profile", "--frequency", "999", "--format", format, "--output"]).arg(output);
    command.args(["--duration", &format!("{seconds}s"), "--pid", &pid.to_string()]);
    run(&mut command, Duration::from_secs(u64::from(seconds)) + PROFILE_END)
}

/// Time to write a profile after its recording: symbols of a large program, on a machine that is busy.
const PROFILE_END: Duration = Duration::from_secs(120);

/// A command line that begins with our program.
pub fn command() -> Command {
    Command::new(program())
}

/// A command line that begins with our program, run as nobody with these capabilities and no others, such as `+bpf,+perfmon`; `None`
/// after saying that the story is skipped.
pub fn as_nobody(capabilities: &str) -> Option<Command> {
    let mut command = Command::new(requirement::program("setpriv")?);
    command.args(["--reuid", "65534", "--clear-groups"]);
    command.arg(format!("--inh-caps=-all,{capabilities}")).arg(format!("--ambient-caps=-all,{capabilities}"));
    command.arg(program());
    Some(command)
}

/// A command line that begins with our program, run as root without these capabilities, such as `-bpf,-sys_admin`, as containers run it;
/// `None` after saying that the story is skipped.
pub fn as_root_without(capabilities: &str) -> Option<Command> {
    let mut command = Command::new(requirement::program("setpriv")?);
    command.arg(format!("--inh-caps={capabilities}")).arg(format!("--bounding-set={capabilities}"));
    command.arg(program());
    Some(command)
}

/// Where the collector lies: beside our program.
///
/// # Panics
/// If it does not compile.
pub fn collector_program() -> PathBuf {
    program().with_file_name("loopscope-collector")
}

/// Where our program lies. `LOOPSCOPE` names one that is already built; else it is built beside the tests.
///
/// # Panics
/// If it does not compile.
pub fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(given) = env::var_os("LOOPSCOPE") {
            return given.into();
        }
        let folder = target_profile();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // Together, for then they share what both are made of.
        cargo.args([
            "build",
            "--quiet",
            "--package",
            "loopscope",
            "--package",
            "loopscope-collector",
            "--bins",
        ]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        run(&mut cargo, Duration::from_secs(900));
        folder.join("loopscope")
    })
}
