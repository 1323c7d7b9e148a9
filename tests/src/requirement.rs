//! What a story needs of the machine. Without it the story is skipped loudly; with `CI=true` it fails.

use std::env;
use std::fs;
use std::path::PathBuf;

/// Where a program lies on `PATH`; `None` after saying that the story is skipped.
///
/// # Panics
/// With `CI=true`, if there is no such program.
#[track_caller]
pub fn program(name: &str) -> Option<PathBuf> {
    let found = on_path(name);
    if found.is_none() {
        skip(&format!("the program `{name}` is missing; `cargo xtask test` installs it"));
    }
    found
}

/// Where a C header of the system lies; `None` after saying that the story is skipped.
///
/// # Panics
/// With `CI=true`, if there is none.
#[track_caller]
pub fn header(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/include", "/usr/local/include"].map(PathBuf::from);
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("the header {name} is missing; `cargo xtask test` installs it"));
    }
    found
}

/// Whether we may do everything; says that the story is skipped if not.
///
/// # Panics
/// With `CI=true`, if we may not.
#[track_caller]
pub fn root() -> bool {
    let is_root = is_root();
    if !is_root {
        skip("it needs root");
    }
    is_root
}

/// The folder whose `node_modules` have the types of Grafana; `None` after saying that the story is skipped.
///
/// # Panics
/// With `CI=true`, if there is none.
#[track_caller]
pub fn grafana_packages() -> Option<PathBuf> {
    let found = env::var_os("LOOPSCOPE_GRAFANA").map(PathBuf::from).filter(|folder| folder.is_dir());
    if found.is_none() {
        skip("the packages of Grafana's types are missing; `cargo xtask test` fetches them");
    }
    found
}

/// Says that the story that runs is skipped, and why.
///
/// # Panics
/// With `CI=true`.
#[track_caller]
#[expect(clippy::print_stderr, reason = "a skipped story must be seen")]
pub fn skip(reason: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "cannot be skipped where CI=true: {reason}");
    eprintln!("SKIPPED at {}: {reason}", std::panic::Location::caller());
}

/// Where a program lies on `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    // Real, effective, saved, file system.
    uids.split_whitespace().nth(1) == Some("0")
}
