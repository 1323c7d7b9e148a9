//! The file that one route reads.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

const BYTES: usize = 64 * 1024;

/// A file for as long as the demo runs.
pub(super) struct ServedFile {
    path: PathBuf,
}

impl ServedFile {
    /// Writes the file into the directory for temporary files.
    pub(super) fn make() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("loopscope-demo-{}.txt", std::process::id()));
        let line = "The quick brown fox jumps over the lazy dog.\n";
        let text = line.repeat(BYTES / line.len());
        fs::write(&path, text).map_err(|source| Error::TemporaryFile { path: path.clone(), source })?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ServedFile {
    fn drop(&mut self) {
        // It is in nobody's way if it stays.
        let _ = fs::remove_file(&self.path);
    }
}
