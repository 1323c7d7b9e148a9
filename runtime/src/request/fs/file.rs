//! An open file, and what is done with it.

use std::fmt;
use std::fs::Metadata;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::error::{FsError, Operation, Subject};
use super::{PoolRequest, request};
use crate::event_loop::EventLoop;
use crate::sys;

/// An open file. Copies share it; it is closed when the last copy is dropped and no operation on it is under way.
///
/// Operations on one file may run at the same time, on several threads. Who needs an order starts the next one in the
/// callback of the one before.
#[derive(Clone)]
pub struct File {
    file: Arc<std::fs::File>,
    path: Arc<Path>,
}

impl File {
    pub(super) fn new(file: std::fs::File, path: &Path) -> Self {
        Self { file: Arc::new(file), path: path.into() }
    }

    /// The path by which the file was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads into `buffer`, as many bytes as it is long at most; the callback gets it back, as long as what was read. It
    /// is empty at the end of the file.
    ///
    /// `at` counts from the beginning of the file; `None` goes on where the last such operation stopped.
    pub fn read(
        &self,
        event_loop: &EventLoop,
        mut buffer: Vec<u8>,
        at: Option<u64>,
        callback: impl FnOnce(&EventLoop, Result<Vec<u8>, FsError>) + 'static,
    ) -> PoolRequest {
        let read = move |mut file: &std::fs::File| {
            let length = uninterrupted(|| match at {
                Some(at) => file.read_at(&mut buffer, at),
                None => file.read(&mut buffer),
            })?;
            buffer.truncate(length);
            Ok(buffer)
        };
        self.request(event_loop, Operation::Read, read, callback)
    }

    /// Writes `bytes`; the callback gets how many were written, which may be fewer.
    ///
    /// `at` counts from the beginning of the file; `None` goes on where the last such operation stopped.
    pub fn write(
        &self,
        event_loop: &EventLoop,
        bytes: Vec<u8>,
        at: Option<u64>,
        callback: impl FnOnce(&EventLoop, Result<usize, FsError>) + 'static,
    ) -> PoolRequest {
        let write = move |mut file: &std::fs::File| {
            uninterrupted(|| match at {
                Some(at) => file.write_at(&bytes, at),
                None => file.write(&bytes),
            })
        };
        self.request(event_loop, Operation::Write, write, callback)
    }

    /// Brings what was written, and what the system keeps about the file, to the disk.
    pub fn fsync(
        &self,
        event_loop: &EventLoop,
        callback: impl FnOnce(&EventLoop, Result<(), FsError>) + 'static,
    ) -> PoolRequest {
        self.request(event_loop, Operation::Fsync, |file| file.sync_all(), callback)
    }

    /// What the system keeps about the file.
    pub fn fstat(
        &self,
        event_loop: &EventLoop,
        callback: impl FnOnce(&EventLoop, Result<Metadata, FsError>) + 'static,
    ) -> PoolRequest {
        self.request(event_loop, Operation::Fstat, |file| file.metadata(), callback)
    }

    /// Closes the file, and tells of an error that only shows now, as on file systems that write late. If there are
    /// other copies, or other operations are under way, the last of them closes it and nobody is told.
    pub fn close(
        self,
        event_loop: &EventLoop,
        callback: impl FnOnce(&EventLoop, Result<(), FsError>) + 'static,
    ) -> PoolRequest {
        let Self { file, path } = self;
        let close = move || match Arc::into_inner(file) {
            Some(file) => sys::fs::close(OwnedFd::from(file)).map_err(io::Error::from),
            None => Ok(()),
        };
        request(event_loop, Subject::path(Operation::Close, path), close, callback)
    }

    fn request<T: Send + 'static>(
        &self,
        event_loop: &EventLoop,
        operation: Operation,
        run: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
        callback: impl FnOnce(&EventLoop, Result<T, FsError>) + 'static,
    ) -> PoolRequest {
        let file = Arc::clone(&self.file);
        let subject = Subject::path(operation, Arc::clone(&self.path));
        request(event_loop, subject, move || run(&file), callback)
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A signal that some thread handles is no reason for an operation to fail.
fn uninterrupted(mut operation: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match operation() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
