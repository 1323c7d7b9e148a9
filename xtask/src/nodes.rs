//! The versions of Node.js that the tests measure from outside, from the npm package that carries the official binaries.
//!
//! The machine's own `node` is one version; what is measured differs from one to the next. Each is fetched once, into
//! `target/tools/node`, and takes its place whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{Error, run, say};

/// One of each line that is in use.
const VERSIONS: &[&str] = &["18.20.8", "20.20.2", "22.23.3", "24.21.0", "26.12.1"];

/// Fetches what is missing; gives the path of each program, the oldest first.
pub(crate) fn provide(tools: &Path) -> Result<Vec<PathBuf>, Error> {
    let folder = tools.join("node");
    VERSIONS.iter().map(|version| provide_one(&folder, version)).collect()
}

fn provide_one(folder: &Path, version: &str) -> Result<PathBuf, Error> {
    let home = folder.join(version);
    let program = home.join("bin/node");
    if program.is_file() {
        return Ok(program);
    }
    say(&format!("missing: Node.js {version}, which is measured from outside"));
    let failed = |error| Error::File { path: home.clone(), error };
    let half = folder.join(format!("{version}.half"));
    // What an earlier, interrupted run left.
    match fs::remove_dir_all(&half) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => fs::create_dir_all(&half).map_err(failed)?,
    }
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", &format!("node-linux-{machine}@{version}")]);
    run(npm.current_dir(&half).stdin(Stdio::null()).stdout(Stdio::null()))?;
    let archive = format!("node-linux-{machine}-{version}.tgz");
    run(Command::new("tar").args(["xzf", &archive, "--strip-components=1"]).current_dir(&half))?;
    fs::remove_file(half.join(archive)).map_err(failed)?;
    fs::rename(&half, &home).map_err(failed)?;
    Ok(program)
}
