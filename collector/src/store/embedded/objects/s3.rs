//! A bucket, by the protocol of Amazon's S3, which many services speak.
//!
//! What it is called is configured; credentials, region and endpoint are told by the variables that Amazon's own tools know, or by the
//! machine that it runs on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, RetryConfig};

use super::from_store;

/// How often a request is tried that the service may take later; an error is told by then, and what waits is tried again.
const RETRIES_MAX: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// The place that `s3://BUCKET/PREFIX` names.
///
/// # Errors
/// Where it names none, or the variables make no sense.
pub(super) fn open(url: &str) -> io::Result<Arc<dyn ObjectStore>> {
    let wrong = || {
        let message = format!("{url:?} names no bucket; give one such as s3://profiles/loopscope");
        io::Error::new(io::ErrorKind::InvalidInput, message)
    };
    let (bucket, prefix) =
        url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or_else(wrong)?;
    if bucket.is_empty() {
        return Err(wrong());
    }
    // The client of HTTP asks for the process's; there is no other than ours.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let retry =
        RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let store =
        AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build().map_err(from_store)?;
    Ok(Arc::new(PrefixStore::new(store, prefix.trim_matches('/'))))
}
