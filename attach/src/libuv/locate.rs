//! Where a process has libuv in its memory.

use std::path::PathBuf;
use std::sync::Arc;

use super::image::Image;

/// libuv as one process has it in memory.
#[derive(Clone, Debug)]
pub struct Located {
    /// What is known of the binary.
    pub image: Arc<Image>,
    /// What to add to an address of the file to have the process's.
    pub bias: u64,
    /// A path by which this program can open the mapped file itself, whatever the process's mount namespace, and even if
    /// the file was replaced on disk: `/proc/PID/exe`, or below `/proc/PID/map_files`.
    pub path: PathBuf,
    /// The path as the process sees it.
    pub shown_path: String,
}
