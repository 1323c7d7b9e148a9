//! The programs in `fixtures/`, compiled as their kind is shipped.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::folder::scratch;
use crate::process::run;
use crate::requirement;

/// A program that is profiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Hot leaves in a known proportion: below a chain of calls, below a recursion, and called directly. C.
    Leaves,
    /// Four threads with names. C.
    Threads,
    /// A parent and its short-lived children, some of which execute another program. C.
    Forks,
    /// Instances of templates, virtual calls and exceptions. C++.
    Templates,
    /// Says that it is libuv, and lies about it. C.
    Lies,
    /// Says that it is libuv, and lies about where its functions are. C.
    Symbols,
    /// Blocks phases of libuv's loop and gives its pool work, as it tells itself. C, on the shared library of the distribution.
    Phases,
    /// Ticks on libuv's loop, and forks. C, on the shared library of the distribution.
    Ticks,
    /// A release binary: generics, recursion, trait objects, the standard library. Rust.
    Service,
}

impl Program {
    /// The name of its source, without the extension, and of its main thread.
    pub fn name(self) -> &'static str {
        match self {
            Self::Leaves => "leaves",
            Self::Threads => "threads",
            Self::Forks => "forks",
            Self::Templates => "templates",
            Self::Lies => "lies",
            Self::Symbols => "symbols",
            Self::Phases => "phases",
            Self::Ticks => "ticks",
            Self::Service => "service",
        }
    }

    /// Where it lies, compiled; `None` after saying that the story is skipped because its compiler is missing.
    ///
    /// # Panics
    /// If it does not compile.
    #[track_caller]
    pub fn build(self) -> Option<PathBuf> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let (compiler, extension) = match self {
            Self::Leaves
            | Self::Threads
            | Self::Forks
            | Self::Lies
            | Self::Symbols
            | Self::Phases
            | Self::Ticks => ("gcc", "c"),
            Self::Templates => ("g++", "cpp"),
            Self::Service => ("rustc", "rs"),
        };
        let compiler = requirement::program(compiler)?;
        if self.is_on_libuv() {
            requirement::header("uv.h")?;
        }
        let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
        let source = path("programs").join(self.name()).with_extension(extension);
        let program = scratch().join("programs").join(self.name());
        if is_older(&program, &source) {
            fs::create_dir_all(program.parent().expect("it lies in a folder")).expect("a scratch folder");
            // Another process may run the old one, or build it too: the new one takes its place in one step.
            let new = program.with_extension(std::process::id().to_string());
            let mut command = Command::new(compiler);
            command.args(self.flags()).arg("-o").arg(&new).arg(source).args(self.libraries());
            run(&mut command, Duration::from_secs(120));
            fs::rename(new, &program).expect("the new program takes the old one's place");
        }
        Some(program)
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Leaves
            | Self::Forks
            | Self::Lies
            | Self::Symbols
            | Self::Phases
            | Self::Ticks
            | Self::Templates => &["-O2", "-g1", "-fomit-frame-pointer"],
            Self::Threads => &["-O2", "-g1", "-fomit-frame-pointer", "-pthread"],
            Self::Service => &["--edition=2024", "-O", "-Cdebuginfo=line-tables-only"],
        }
    }

    fn libraries(self) -> &'static [&'static str] {
        if self.is_on_libuv() { &["-luv"] } else { &[] }
    }

    fn is_on_libuv(self) -> bool {
        matches!(self, Self::Phases | Self::Ticks)
    }
}

/// A file or folder among the fixtures.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A command that runs a program for Python on uvloop; `None` after saying that the story is skipped.
///
/// # Panics
/// With `CI=true`, if there is no uvloop.
#[track_caller]
pub fn uvloop(name: &str) -> Option<Command> {
    let python = requirement::program("python3")?;
    let with_path = |command: &mut Command| {
        if let Some(folder) = env::var_os("LOOPSCOPE_UVLOOP") {
            command.env("PYTHONPATH", folder);
        }
    };
    let mut probe = Command::new(&python);
    with_path(probe.args(["-c", "import uvloop"]));
    if !probe.output().is_ok_and(|output| output.status.success()) {
        requirement::skip("uvloop is missing; `cargo xtask test` fetches it");
        return None;
    }
    let mut command = Command::new(python);
    with_path(command.arg(path(name)));
    Some(command)
}

/// A command that runs a program for Python with OpenTelemetry's message types and gRPC; `None` after saying that the story is
/// skipped.
///
/// # Panics
/// With `CI=true`, if they are missing.
#[track_caller]
pub fn opentelemetry(name: &str) -> Option<Command> {
    let python = requirement::program("python3")?;
    let with_path = |command: &mut Command| {
        if let Some(folder) = env::var_os("LOOPSCOPE_OPENTELEMETRY") {
            command.env("PYTHONPATH", folder);
        }
    };
    let mut probe = Command::new(&python);
    with_path(
        probe.args(["-c", "import grpc, opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc"]),
    );
    if !probe.output().is_ok_and(|output| output.status.success()) {
        requirement::skip(
            "Python's opentelemetry-proto and grpcio are missing; `cargo xtask test` fetches them",
        );
        return None;
    }
    let mut command = Command::new(python);
    with_path(command.arg(path(name)));
    Some(command)
}

fn is_older(program: &Path, source: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    modified(program) < modified(source)
}
