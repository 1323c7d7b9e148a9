//! What operations take and give that the standard library has no type for.

use std::time::SystemTime;

use crate::sys::fs::{Access, Copy as SysCopy, Share, Time};

/// What [`access`](super::access) asks for: any of the three, or none to ask only whether there is something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessMode {
    /// To read it.
    pub read: bool,
    /// To write to it.
    pub write: bool,
    /// To run it, or to look into it where it is a directory.
    pub execute: bool,
}

/// A time to set on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileTime {
    /// The time at which the system sets it.
    Now,
    /// Whatever it is.
    Keep,
    /// This one.
    At(SystemTime),
}

/// How a file is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Fails if there is something at the destination.
    pub exclusive: bool,
    /// Whether the copy shares its blocks with the original, as long as neither changes.
    pub sharing: Sharing,
}

/// Whether a copy shares its blocks with the original.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// It need not; file systems that can may do so all the same.
    #[default]
    No,
    /// Where the file system can; elsewhere the file is copied.
    Try,
    /// In any case; where the file system cannot, nothing is copied.
    Must,
}

/// What is known of a file system: sizes in blocks of [`StatFs::block_bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatFs {
    /// The type, by the kernel's numbers (`statfs(2)`).
    pub file_system_type: u64,
    /// The size of a block, in bytes.
    pub block_bytes: u64,
    /// All blocks.
    pub blocks: u64,
    /// Free ones.
    pub blocks_free: u64,
    /// Free ones that are for users other than root, too.
    pub blocks_available: u64,
    /// All places for files.
    pub files: u64,
    /// Free ones.
    pub files_free: u64,
    /// The size of a fragment, in bytes.
    pub fragment_bytes: u64,
}

impl From<SystemTime> for FileTime {
    fn from(time: SystemTime) -> Self {
        Self::At(time)
    }
}

impl From<FileTime> for Time {
    fn from(time: FileTime) -> Self {
        match time {
            FileTime::Now => Self::Now,
            FileTime::Keep => Self::Omit,
            FileTime::At(time) => Self::At(time),
        }
    }
}

impl From<AccessMode> for Access {
    fn from(mode: AccessMode) -> Self {
        let mut access = Access::EXISTS;
        access.set(Access::READ_OK, mode.read);
        access.set(Access::WRITE_OK, mode.write);
        access.set(Access::EXEC_OK, mode.execute);
        access
    }
}

impl From<CopyOptions> for SysCopy {
    fn from(options: CopyOptions) -> Self {
        let share = match options.sharing {
            Sharing::No => Share::No,
            Sharing::Try => Share::Try,
            Sharing::Must => Share::Must,
        };
        Self { exclusive: options.exclusive, share }
    }
}

impl From<rustix::fs::StatFs> for StatFs {
    fn from(found: rustix::fs::StatFs) -> Self {
        Self {
            file_system_type: found.f_type as u64,
            block_bytes: found.f_bsize as u64,
            blocks: found.f_blocks,
            blocks_free: found.f_bfree,
            blocks_available: found.f_bavail,
            files: found.f_files,
            files_free: found.f_ffree,
            fragment_bytes: found.f_frsize as u64,
        }
    }
}
