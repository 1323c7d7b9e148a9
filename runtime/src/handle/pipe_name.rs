//! The names of UNIX sockets.

use std::path::{Path, PathBuf};

/// What a UNIX socket is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PipeName {
    /// A path in the file system; of at most 108 bytes.
    Path(PathBuf),
    /// A name that is nowhere in the file system and ends with its socket; any bytes, at most 107.
    Abstract(Vec<u8>),
    /// An abstract name that the kernel chooses; only to be bound to.
    Any,
}

impl From<&Path> for PipeName {
    fn from(path: &Path) -> Self {
        Self::Path(path.to_owned())
    }
}

impl From<PathBuf> for PipeName {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<&str> for PipeName {
    fn from(path: &str) -> Self {
        Self::Path(path.into())
    }
}
