//! No bucket: this program was built without the feature.

use std::io;
use std::sync::Arc;

use object_store::ObjectStore;

/// There is none.
///
/// # Errors
/// Always.
pub(super) fn open(url: &str) -> io::Result<Arc<dyn ObjectStore>> {
    let message = format!("{url} cannot be used: this program was built without the feature s3");
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}
