//! Example programs of the workspace's crates, built beside the tests.

use std::env;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::folder::target_profile;
use crate::process::run;

/// A command that runs an example of a package.
///
/// # Panics
/// If it does not compile.
#[track_caller]
pub fn command(package: &str, example: &str) -> Command {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|poison| poison.into_inner());
    let folder = target_profile();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", package, "--example", example]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    run(&mut cargo, Duration::from_secs(900));
    Command::new(folder.join("examples").join(example))
}
