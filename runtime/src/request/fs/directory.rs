//! Directories: their entries, all at once or some at a time.

use std::ffi::OsString;
use std::fs::{FileType, ReadDir};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name, without the directory's.
    pub name: OsString,
    /// What it is; a symbolic link is one, whatever it leads to.
    pub file_type: FileType,
}

/// An open directory, which is read some entries at a time. Copies share it; it is closed when the last copy is dropped.
#[derive(Clone)]
pub struct Dir {
    pub(super) path: Arc<Path>,
    /// `None` once it is closed. The lock is for operations that run at the same time: they take turns.
    entries: Arc<Mutex<Option<ReadDir>>>,
}

impl Dir {
    /// The path by which the directory was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(path: &Arc<Path>) -> io::Result<Self> {
        let entries = Arc::new(Mutex::new(Some(path.read_dir()?)));
        Ok(Self { path: Arc::clone(path), entries })
    }

    pub(super) fn next(&self, count: usize) -> io::Result<Vec<DirectoryEntry>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = entries.as_mut().ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?;
        entries.take(count).map(entry).collect()
    }

    pub(super) fn close(&self) -> io::Result<()> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).take();
        entries.map(drop).ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dir").field("path", &self.path).finish_non_exhaustive()
    }
}

/// All entries, in the order of their names.
pub(super) fn entries_of(directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
    let mut entries = directory.read_dir()?.map(entry).collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn entry(entry: io::Result<std::fs::DirEntry>) -> io::Result<DirectoryEntry> {
    let entry = entry?;
    Ok(DirectoryEntry { name: entry.file_name(), file_type: entry.file_type()? })
}
