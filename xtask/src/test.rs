//! `cargo xtask test`: from a bare clone to the results of all tests, in one command.
//!
//! Everything is built in one profile, `dev`, whose dependencies are optimized: a second profile would double the time
//! to build, and the tests ask what is right, not how fast it is. The benches are for that. The one exception is what loom
//! explores, for which its types take the place of the standard library's.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Error, cargo, run};
use crate::{fetched, packages};

/// Runs all checks and tests; with `chosen`, only `cargo test` with these arguments.
pub(crate) fn run_all(chosen: &[String]) -> Result<(), Error> {
    let target = target_dir()?;
    let tools = packages::provide(&target)?;
    let path = path_behind(&tools);
    let nodes = fetched::provide(&target.join("tools"))?;
    let nodes = env::join_paths(nodes).expect("folders of ours have no colons");
    let uvloop = fetched::provide_uvloop(&target.join("tools"))?;
    let opentelemetry = fetched::provide_opentelemetry(&target.join("tools"))?;
    let grafana = fetched::provide_grafana(&target.join("tools"))?;
    let pyroscope = fetched::provide_pyroscope(&target.join("tools"))?;
    let moto = fetched::provide_moto(&target.join("tools"))?;
    let kubernetes = fetched::provide_kubernetes(&target.join("tools"))?;
    let kernel = packages::provide_kernel(&target.join("tools"))?;
    let mut tests = cargo();
    tests
        .arg("test")
        .env("PATH", path)
        .env("LOOPSCOPE_KERNEL", kernel)
        .env("LOOPSCOPE_NODES", nodes)
        .env("LOOPSCOPE_UVLOOP", uvloop);
    tests.env("LOOPSCOPE_OPENTELEMETRY", opentelemetry).env("LOOPSCOPE_GRAFANA", grafana);
    tests.env("LOOPSCOPE_PYROSCOPE_SDK", pyroscope).env("LOOPSCOPE_MOTO", moto);
    tests.env("LOOPSCOPE_KUBERNETES", kubernetes);
    if !chosen.is_empty() {
        return run(tests.args(chosen));
    }
    run(cargo().args(["fmt", "--all", "--check"]))?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--features", WITH_BUCKETS, "--quiet"]);
    run(clippy.args(["--", "--deny", "warnings"]))?;
    run(&mut interleavings(&target))?;
    // The stories would build it when they first need it; here its features are those of the tests, and nothing is
    // built twice.
    let program = target.join("debug").join("loopscope");
    run(tests.args(["--workspace", "--no-fail-fast", "--features", WITH_BUCKETS]).env("LOOPSCOPE", program))
}

/// What is off by default, and tested with everything else.
const WITH_BUCKETS: &str = "loopscope-collector/s3";

/// Every interleaving of what is lock-free in the runtime. The build is another one, so it has a folder of its own: a minute
/// when it is cold, and some seconds to run.
fn interleavings(target: &Path) -> Command {
    let mut tests = cargo();
    tests.args(["test", "--quiet", "--package", "loopscope-runtime", "--lib", "--"]);
    // They make whole loops, and loom's types live inside its models only.
    tests.args(["--skip", "timers::tests"]);
    tests.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", target.join("loom"));
    tests
}

/// The folder that this very program was built in.
fn target_dir() -> Result<PathBuf, Error> {
    let unknown = |error| Error::File { path: PathBuf::from("/proc/self/exe"), error };
    let program = env::current_exe().map_err(unknown)?;
    let dir = program.parent().and_then(Path::parent);
    dir.map(Path::to_owned).ok_or_else(|| unknown(std::io::ErrorKind::NotFound.into()))
}

/// `PATH` with these folders at its end.
fn path_behind(dirs: &[PathBuf]) -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    env::join_paths(env::split_paths(&path).chain(dirs.iter().cloned())).unwrap_or(path)
}
