//! An operation, made ready: what it is about, and what is to be done.

use std::io;
use std::path::Path;

use model::label::{RequestType, TaskKind};

use super::error::{FsError, FsErrorCause, Operation, Subject};
use crate::event_loop::EventLoop;
use crate::pool::TaskError;
use crate::request::future::{PoolFuture, future};
use crate::request::work::{Job, PoolRequest, queue};

pub(super) struct FsJob<F> {
    subject: Subject,
    run: Option<F>,
}

/// An operation on whatever `subject` tells.
pub(super) fn about<T>(subject: Subject, run: impl Run<T>) -> FsJob<impl Run<T>> {
    FsJob { subject, run: Some(run) }
}

/// An operation on a path.
pub(super) fn on_path<T>(
    operation: Operation,
    path: impl AsRef<Path>,
    run: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> FsJob<impl Run<T>> {
    about(Subject::path(operation, path.as_ref().into()), move |subject: &Subject| run(subject.path_of()))
}

/// An operation on two paths.
pub(super) fn on_paths<T>(
    operation: Operation,
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    run: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
) -> FsJob<impl Run<T>> {
    let subject = Subject::two_paths(operation, from.as_ref().into(), to.as_ref().into());
    about(subject, move |subject: &Subject| run(subject.path_of(), subject.destination_of()))
}

/// What does the work of an operation.
pub(super) trait Run<T>: FnOnce(&Subject) -> io::Result<T> + Send + 'static {}

impl<T, F: FnOnce(&Subject) -> io::Result<T> + Send + 'static> Run<T> for F {}

/// The three forms of an operation.
impl<F> FsJob<F> {
    pub(super) fn start<T: Send + 'static>(
        self,
        event_loop: &EventLoop,
        callback: impl FnOnce(&EventLoop, Result<T, FsError>) + 'static,
    ) -> PoolRequest
    where
        F: Run<T>,
    {
        queue(event_loop, RequestType::Fs, TaskKind::Fs, Typed::new(self), callback)
    }

    pub(super) fn future<T: Send + 'static>(self, event_loop: &EventLoop) -> PoolFuture<T, FsError>
    where
        F: Run<T>,
    {
        future(event_loop, RequestType::Fs, TaskKind::Fs, Typed::new(self))
    }

    pub(super) fn blocking<T: Send + 'static>(self) -> Result<T, FsError>
    where
        F: Run<T>,
    {
        Typed::new(self).run()
    }
}

/// A job that knows what it gives.
struct Typed<F, T> {
    job: FsJob<F>,
    _gives: std::marker::PhantomData<fn() -> T>,
}

impl<F, T> Typed<F, T> {
    fn new(job: FsJob<F>) -> Self {
        Self { job, _gives: std::marker::PhantomData }
    }
}

impl<F: Run<T>, T: Send + 'static> Job for Typed<F, T> {
    type Output = T;
    type Error = FsError;

    fn run(&mut self) -> Result<T, FsError> {
        let FsJob { subject, run } = &mut self.job;
        let run = run.take().expect("a job runs once");
        run(subject).map_err(|error| subject.clone().failed(error.into()))
    }

    fn no_result(self, reason: TaskError) -> FsError {
        self.job.subject.failed(FsErrorCause::Task(reason))
    }
}
