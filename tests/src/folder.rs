//! A folder for one story's files, removed at its end.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder of its own, removed on drop.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty folder among the build's files, whose name begins with `name`.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(name: &str) -> Self {
        Self::within(&scratch(), name)
    }

    /// A new, empty folder that every user may enter and write to.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn public(name: &str) -> Self {
        // The build's files may lie in a home that others may not enter.
        let folder = Self::within(&env::temp_dir(), &format!("loopscope-{name}"));
        fs::set_permissions(&folder.0, PermissionsExt::from_mode(0o777)).expect("it is ours");
        folder
    }

    fn within(parent: &Path, name: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{name}-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A story that failed leaves its files to be looked at.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// The folder among the build's files that stories write to.
pub(crate) fn scratch() -> PathBuf {
    target_profile().join("stories")
}

/// The folder that the tests and programs of this build lie in, such as `target/debug`.
///
/// # Panics
/// If this program does not lie in `deps` beside them.
pub(crate) fn target_profile() -> PathBuf {
    let program = env::current_exe().expect("a test knows its own path");
    program.ancestors().nth(2).expect("tests lie in target/PROFILE/deps").to_owned()
}
