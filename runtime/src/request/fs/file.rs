//! An open file. What is done with it stands in [`super::operations`], but for closing it.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::error::{FsError, Operation, Subject};
use super::job::{FsJob, Run, about};
use crate::event_loop::EventLoop;
use crate::request::future::PoolFuture;
use crate::request::work::PoolRequest;
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
    pub(super) fn new(file: std::fs::File, path: Arc<Path>) -> Self {
        Self { file: Arc::new(file), path }
    }

    /// The path by which the file was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the file, and tells of an error that only shows now, as on file systems that write late. If there are
    /// other copies, or other operations are under way, the last of them closes it and nobody is told.
    pub fn close(
        self,
        event_loop: &EventLoop,
        callback: impl FnOnce(&EventLoop, Result<(), FsError>) + 'static,
    ) -> PoolRequest {
        self.closing().start(event_loop, callback)
    }

    pub(super) fn close_future(self, event_loop: &EventLoop) -> PoolFuture<(), FsError> {
        self.closing().future(event_loop)
    }

    pub(super) fn close_blocking(self) -> Result<(), FsError> {
        self.closing().blocking()
    }

    fn closing(self) -> FsJob<impl Run<()>> {
        let Self { file, path } = self;
        about(Subject::path(Operation::Close, path), move |_: &Subject| match Arc::into_inner(file) {
            Some(file) => sys::fs::close(OwnedFd::from(file)).map_err(io::Error::from),
            None => Ok(()),
        })
    }

    /// An operation on this file.
    pub(super) fn job<T>(
        &self,
        operation: Operation,
        run: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> FsJob<impl Run<T>> {
        let file = Arc::clone(&self.file);
        about(Subject::path(operation, Arc::clone(&self.path)), move |_: &Subject| run(&file))
    }

    /// An operation on this file that goes to another one.
    pub(super) fn job_to<T>(
        &self,
        operation: Operation,
        to: &File,
        run: impl FnOnce(&std::fs::File, &std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> FsJob<impl Run<T>> {
        let (from_file, to_file) = (Arc::clone(&self.file), Arc::clone(&to.file));
        let subject = Subject::two_paths(operation, Arc::clone(&self.path), Arc::clone(&to.path));
        about(subject, move |_: &Subject| run(&from_file, &to_file))
    }
}

pub(super) fn read(mut file: &std::fs::File, mut buffer: Vec<u8>, at: Option<u64>) -> io::Result<Vec<u8>> {
    let length = uninterrupted(|| match at {
        Some(at) => file.read_at(&mut buffer, at),
        None => file.read(&mut buffer),
    })?;
    buffer.truncate(length);
    Ok(buffer)
}

pub(super) fn write(mut file: &std::fs::File, bytes: &[u8], at: Option<u64>) -> io::Result<usize> {
    uninterrupted(|| match at {
        Some(at) => file.write_at(bytes, at),
        None => file.write(bytes),
    })
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
