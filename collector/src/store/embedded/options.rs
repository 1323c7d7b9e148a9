//! How the embedded store behaves.

use std::path::PathBuf;
use std::time::Duration;

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of everything.
    pub folder: PathBuf,
    /// How much memory a head may take before it is made into blocks.
    pub head_bytes_max: usize,
    /// How old a head may be.
    pub head_age_max: Duration,
    /// Series of a head.
    pub series_max: usize,
    /// Rows of a block.
    pub block_rows_max: usize,
    /// How much memory what was read of blocks may take.
    pub cache_bytes_max: usize,
    /// How long profiles are kept.
    pub retention: Duration,
    /// How much disk all may take; the oldest profiles go first.
    pub disk_bytes_max: Option<u64>,
    /// The bucket that blocks are kept in, as `s3://BUCKET/PREFIX`, instead of the folder; nobody else may keep blocks below the prefix.
    pub bucket: Option<String>,
    /// How far in the future a profile may begin: clocks differ.
    pub future_max: Duration,
}

impl Options {
    /// As they are when nothing else is asked for.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            head_bytes_max: 64 << 20,
            head_age_max: Duration::from_secs(300),
            series_max: 200_000,
            block_rows_max: 4_000_000,
            cache_bytes_max: 64 << 20,
            retention: Duration::from_secs(30 * 24 * 3600),
            disk_bytes_max: None,
            bucket: None,
            future_max: Duration::from_secs(600),
        }
    }
}
