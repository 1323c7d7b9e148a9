//! The versions of Node.js that the machine has.

use std::env;
use std::path::PathBuf;

use crate::requirement;

/// A Node.js program.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it lies.
    pub program: PathBuf,
}

/// Every Node.js that `LOOPSCOPE_NODES` names, a list as `PATH` is one; else the one on `PATH`. None, after saying that the
/// story is skipped, where there is none.
///
/// # Panics
/// With `CI=true`, if there is none.
#[track_caller]
pub fn all() -> Vec<Node> {
    let named = env::var_os("LOOPSCOPE_NODES").unwrap_or_default();
    let named: Vec<PathBuf> = env::split_paths(&named).filter(|path| path.is_file()).collect();
    if named.is_empty() {
        return requirement::program("node").into_iter().map(|program| Node { program }).collect();
    }
    named.into_iter().map(|program| Node { program }).collect()
}
