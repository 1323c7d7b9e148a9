//! File-system operations, each on the thread pool with a callback on the loop.
//!
//! Every function takes the loop, what the operation needs, and a callback, and gives a [`PoolRequest`] by which it can
//! be cancelled while it waits. Paths are resolved by the thread that runs the operation, when it does.
//!
//! ```
//! use loopscope_runtime::{EventLoop, RunMode, fs};
//!
//! let event_loop = EventLoop::new()?;
//! fs::read_file(&event_loop, "/proc/version", |_, text| assert!(text.unwrap().starts_with(b"Linux")));
//! fs::stat(&event_loop, "/no/such/file", |_, result| {
//!     assert_eq!(result.unwrap_err().to_string(), "stat /no/such/file: No such file or directory (os error 2)");
//! });
//! event_loop.run(RunMode::Default);
//! # Ok::<(), loopscope_runtime::Error>(())
//! ```

mod error;
mod file;

use std::ffi::OsString;
use std::fs::{DirBuilder, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::label::{RequestType, TaskKind};

use self::error::Subject;
pub use self::error::{FsError, FsErrorCause, Operation};
pub use self::file::File;
use super::work::{PoolRequest, queue};
use crate::event_loop::EventLoop;

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// The name, without the directory's.
    pub name: OsString,
    /// What it is; a symbolic link is one, whatever it leads to.
    pub file_type: FileType,
}

/// Opens a file.
pub fn open(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    options: &OpenOptions,
    callback: impl FnOnce(&EventLoop, Result<File, FsError>) + 'static,
) -> PoolRequest {
    let options = options.clone();
    let open = move |path: &Path| options.open(path).map(|file| File::new(file, path));
    on_path(event_loop, Operation::Open, path, open, callback)
}

/// Reads a whole file.
pub fn read_file(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    callback: impl FnOnce(&EventLoop, Result<Vec<u8>, FsError>) + 'static,
) -> PoolRequest {
    on_path(event_loop, Operation::ReadFile, path, |path| std::fs::read(path), callback)
}

/// What a path leads to, through symbolic links.
pub fn stat(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    callback: impl FnOnce(&EventLoop, Result<Metadata, FsError>) + 'static,
) -> PoolRequest {
    on_path(event_loop, Operation::Stat, path, |path| path.metadata(), callback)
}

/// What a path is, a symbolic link itself if it is one.
pub fn lstat(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    callback: impl FnOnce(&EventLoop, Result<Metadata, FsError>) + 'static,
) -> PoolRequest {
    on_path(event_loop, Operation::Lstat, path, |path| path.symlink_metadata(), callback)
}

/// The entries of a directory in the order of their names, without `.` and `..`.
pub fn scandir(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    callback: impl FnOnce(&EventLoop, Result<Vec<DirectoryEntry>, FsError>) + 'static,
) -> PoolRequest {
    on_path(event_loop, Operation::Scandir, path, entries_of, callback)
}

/// Makes a directory with these permissions, less those of the process's umask.
pub fn mkdir(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    mode: u32,
    callback: impl FnOnce(&EventLoop, Result<(), FsError>) + 'static,
) -> PoolRequest {
    on_path(
        event_loop,
        Operation::Mkdir,
        path,
        move |path| DirBuilder::new().mode(mode).create(path),
        callback,
    )
}

/// Removes an empty directory.
pub fn rmdir(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    callback: impl FnOnce(&EventLoop, Result<(), FsError>) + 'static,
) -> PoolRequest {
    on_path(event_loop, Operation::Rmdir, path, |path| std::fs::remove_dir(path), callback)
}

/// Removes a name of a file, and the file with its last one.
pub fn unlink(
    event_loop: &EventLoop,
    path: impl Into<PathBuf>,
    callback: impl FnOnce(&EventLoop, Result<(), FsError>) + 'static,
) -> PoolRequest {
    on_path(event_loop, Operation::Unlink, path, |path| std::fs::remove_file(path), callback)
}

/// Gives a file or directory another name, in place of a file that has it.
pub fn rename(
    event_loop: &EventLoop,
    from: impl Into<PathBuf>,
    to: impl Into<PathBuf>,
    callback: impl FnOnce(&EventLoop, Result<(), FsError>) + 'static,
) -> PoolRequest {
    let (from, to): (Arc<Path>, Arc<Path>) = (from.into().into(), to.into().into());
    let subject = Subject::two_paths(Operation::Rename, Arc::clone(&from), Arc::clone(&to));
    request(event_loop, subject, move || std::fs::rename(from, to), callback)
}

fn entries_of(directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
    let entry = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        Ok(DirectoryEntry { name: entry.file_name(), file_type: entry.file_type()? })
    };
    let mut entries = directory.read_dir()?.map(entry).collect::<io::Result<Vec<_>>>()?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// An operation on one path.
fn on_path<T: Send + 'static>(
    event_loop: &EventLoop,
    operation: Operation,
    path: impl Into<PathBuf>,
    run: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    callback: impl FnOnce(&EventLoop, Result<T, FsError>) + 'static,
) -> PoolRequest {
    let path: Arc<Path> = path.into().into();
    let subject = Subject::path(operation, Arc::clone(&path));
    request(event_loop, subject, move || run(&path), callback)
}

fn request<T: Send + 'static>(
    event_loop: &EventLoop,
    subject: Subject,
    run: impl FnOnce() -> io::Result<T> + Send + 'static,
    callback: impl FnOnce(&EventLoop, Result<T, FsError>) + 'static,
) -> PoolRequest {
    let unrun = subject.clone();
    let run = move || run().map_err(|error| subject.failed(error.into()));
    let no_result = move |reason| unrun.failed(FsErrorCause::Task(reason));
    queue(event_loop, RequestType::Fs, TaskKind::Fs, run, no_result, callback)
}
