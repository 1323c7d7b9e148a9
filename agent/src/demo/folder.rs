//! Where the collector of a demo keeps what it gets: a folder that goes away with the demo, unless another one is named.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The folder.
pub(super) struct DataFolder {
    path: PathBuf,
    is_temporary: bool,
}

impl DataFolder {
    /// The named one, or one that is made now and nobody else may read.
    pub(super) fn new(named: Option<&Path>) -> Result<Self, Error> {
        if let Some(path) = named {
            return Ok(Self { path: path.to_owned(), is_temporary: false });
        }
        let name = format!("loopscope-demo-{}-{:08x}", std::process::id(), fastrand::u32(..));
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|source| Error::TemporaryFile { path: path.clone(), source })?;
        Ok(Self { path, is_temporary: true })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_temporary(&self) -> bool {
        self.is_temporary
    }
}

impl Drop for DataFolder {
    /// The collector removes it, too, in case it is this program that is killed.
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
