//! Programs for the tests, compiled by the machine's compilers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A compiled program, in a directory of its own that lasts as long.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

/// Optimized as distributions do it: without frame pointers.
pub(crate) const C: [&str; 4] = ["gcc", "-O2", "-fomit-frame-pointer", "-pthread"];
/// The same for C++.
pub(crate) const CPP: [&str; 3] = ["g++", "-O2", "-fomit-frame-pointer"];
/// An optimized Rust program with debug information.
pub(crate) const RUST: [&str; 5] =
    ["rustc", "--edition=2024", "-Copt-level=3", "-Cdebuginfo=2", "-Cforce-frame-pointers=no"];

/// Compiles a source from `programs/`; `None`, after saying so, where the compiler is missing.
pub(crate) fn compile(source: &str, compiler: &[&str]) -> Option<Program> {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/convert/programs").join(source);
    let (compiler, options) = compiler.split_first().unwrap();
    let mut command = Command::new(compiler);
    command.args(options).arg("-o").arg(&path).arg(source).stdout(Stdio::null());
    match command.status() {
        Ok(status) => assert!(status.success(), "{command:?}"),
        Err(error) => {
            missing(&format!("the compiler {compiler} ({error})"));
            return None;
        }
    }
    Some(Program { path, _directory: directory })
}

/// Says that a test is skipped for want of something; fails instead with `CI=true`.
pub(crate) fn missing(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "this test needs {what}");
    // Straight to the terminal: what a passing test prints by `eprintln!` is not shown.
    std::io::stderr().write_all(format!("SKIPPED {test}: it needs {what}\n").as_bytes()).unwrap();
}
