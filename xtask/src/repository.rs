//! Where the repository lies that this program was built from.

use std::path::{Path, PathBuf};

/// Its root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}
