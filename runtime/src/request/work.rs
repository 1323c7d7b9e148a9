//! Requests that run on the thread pool, and the most general of them: a closure.
//!
//! What runs on the pool is `Send`; the callback need not be. It stays parked with the loop, together with the claim
//! that keeps the loop alive, and only its key travels: out with the task, back with the completion. A loop that has
//! ended drops the completion, so a task may outlive its loop.

use std::any::type_name;
use std::{error, fmt};

use model::label::{Outcome, RequestType, TaskKind};
use model::time::Monotonic;

use super::future::{PoolFuture, future};
use super::{ActiveRequest, Parked};
use crate::event_loop::EventLoop;
use crate::inbox::{Completion, Delivery, InboxSender};
use crate::pool::{Pool, Task, TaskError, Ticket};

/// A request that runs on the thread pool. Dropping it changes nothing: the request goes on.
pub struct PoolRequest {
    ticket: Ticket,
}

/// The request has started, or ended: it can no longer be cancelled, and its callback gets its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyStarted;

impl EventLoop {
    /// Runs `work` on the loop's thread pool, then `callback` with its result on the loop.
    ///
    /// `kind` tells the metrics what the work is. Work of kind [`TaskKind::Dns`] may hold at most half of the threads.
    /// The callback gets a [`TaskError`] in place of a result where the work was cancelled, panicked, or could not run.
    /// Work whose result may be an error is better queued with [`EventLoop::queue_fallible_work`], which counts it.
    pub fn queue_work<T: Send + 'static>(
        &self,
        kind: TaskKind,
        work: impl FnOnce() -> T + Send + 'static,
        callback: impl FnOnce(&EventLoop, Result<T, TaskError>) + 'static,
    ) -> PoolRequest {
        self.queue_fallible_work(kind, || Ok(work()), callback)
    }

    /// As [`EventLoop::queue_work`], for work that can fail: an error counts as a failed task.
    pub fn queue_fallible_work<T: Send + 'static, E: From<TaskError> + Send + 'static>(
        &self,
        kind: TaskKind,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
        callback: impl FnOnce(&EventLoop, Result<T, E>) + 'static,
    ) -> PoolRequest {
        queue(self, RequestType::Work, kind, Closure::new(work, E::from), callback)
    }

    /// As [`EventLoop::queue_work`], to be awaited.
    ///
    /// ```
    /// use loopscope_runtime::{EventLoop, TaskKind};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let answer = event_loop.work(TaskKind::Work, || 6 * 7);
    /// assert_eq!(event_loop.block_on(answer), Ok(42));
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    pub fn work<T: Send + 'static>(
        &self,
        kind: TaskKind,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> PoolFuture<T, TaskError> {
        self.fallible_work(kind, || Ok(work()))
    }

    /// As [`EventLoop::queue_fallible_work`], to be awaited.
    pub fn fallible_work<T: Send + 'static, E: From<TaskError> + Send + 'static>(
        &self,
        kind: TaskKind,
        work: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> PoolFuture<T, E> {
        future(self, RequestType::Work, kind, Closure::new(work, E::from))
    }

    /// The thread pool of this loop.
    pub fn pool(&self) -> &Pool {
        self.core.pool.as_ref().unwrap_or_else(|| Pool::shared())
    }
}

impl fmt::Debug for PoolRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolRequest").finish_non_exhaustive()
    }
}

impl PoolRequest {
    /// Cancels the request if no thread has taken it up. Its callback gets [`TaskError::Cancelled`], from the loop as
    /// any completion, never before this call returns.
    ///
    /// # Errors
    /// [`AlreadyStarted`] where it is too late.
    pub fn cancel(&self) -> Result<(), AlreadyStarted> {
        if self.ticket.cancel() { Ok(()) } else { Err(AlreadyStarted) }
    }
}

impl AlreadyStarted {
    /// The error number that stands for this, as libuv reports it: `EBUSY`.
    pub fn code(&self) -> i32 {
        libc::EBUSY
    }
}

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request has started, or ended, and can no longer be cancelled")
    }
}

impl error::Error for AlreadyStarted {}

/// What a request does on the pool, and what its callback gets where it could not.
pub(crate) trait Job: Send + 'static {
    type Output: Send + 'static;
    type Error: Send + 'static;

    /// Does the work. Called once at most.
    fn run(&mut self) -> Result<Self::Output, Self::Error>;

    /// The error of a job that gave no result, for this reason.
    fn no_result(self, reason: TaskError) -> Self::Error;
}

/// A job that is a closure.
pub(super) struct Closure<W, N> {
    work: Option<W>,
    no_result: N,
}

impl<W, N> Closure<W, N> {
    pub(super) fn new(work: W, no_result: N) -> Self {
        Self { work: Some(work), no_result }
    }
}

impl<T, E, W, N> Job for Closure<W, N>
where
    T: Send + 'static,
    E: Send + 'static,
    W: FnOnce() -> Result<T, E> + Send + 'static,
    N: FnOnce(TaskError) -> E + Send + 'static,
{
    type Output = T;
    type Error = E;

    fn run(&mut self) -> Result<T, E> {
        self.work.take().expect("a job runs once")()
    }

    fn no_result(self, reason: TaskError) -> E {
        (self.no_result)(reason)
    }
}

/// Queues a request of any type.
pub(super) fn queue<J: Job>(
    event_loop: &EventLoop,
    request_type: RequestType,
    kind: TaskKind,
    job: J,
    callback: impl FnOnce(&EventLoop, Result<J::Output, J::Error>) + 'static,
) -> PoolRequest {
    if event_loop.core.has_ended() {
        return PoolRequest { ticket: event_loop.pool().refused(kind) };
    }
    let active = ActiveRequest::begin(&event_loop.core, request_type);
    let callback = event_loop.core.parking.park((active, callback));
    let task = Request { job: Some(job), result: None, callback, sender: Some(event_loop.sender()), kind };
    let task = Box::new(task);
    PoolRequest { ticket: event_loop.pool().submit(kind, task) }
}

/// A request on its way: to the pool as a task, and back to the loop, in the same memory, as a completion.
struct Request<J: Job, C> {
    job: Option<J>,
    result: Option<Result<J::Output, J::Error>>,
    callback: Parked<(ActiveRequest, C)>,
    /// `None` once the way back has begun.
    sender: Option<InboxSender>,
    kind: TaskKind,
}

impl<J, C> Task for Request<J, C>
where
    J: Job,
    C: FnOnce(&EventLoop, Result<J::Output, J::Error>) + 'static,
{
    fn run(&mut self) -> Outcome {
        let result = self.job.as_mut().map(Job::run);
        let outcome = if matches!(result, Some(Ok(_))) { Outcome::Done } else { Outcome::Failed };
        self.result = result;
        outcome
    }

    fn end(mut self: Box<Self>, how: Result<(), TaskError>, at: Monotonic) {
        let (job, kind) = (self.job.take(), self.kind);
        match how {
            // What the job holds is let go before the callback runs, which may wait for just that.
            Ok(()) => drop(job),
            Err(reason) => self.result = job.map(|job| Err(job.no_result(reason))),
        }
        if let Some(sender) = self.sender.take() {
            sender.deliver(Completion { kind, finished: at, delivery: self });
        }
    }
}

impl<J, C> Delivery for Request<J, C>
where
    J: Job,
    C: FnOnce(&EventLoop, Result<J::Output, J::Error>) + 'static,
{
    fn name(&self) -> &'static str {
        type_name::<C>()
    }

    fn deliver(self: Box<Self>, event_loop: &EventLoop) {
        let Self { result, callback, .. } = *self;
        let (active, callback) = event_loop.core.parking.unpark(callback);
        drop(active);
        callback(event_loop, result.expect("a request has a result when it comes back"));
    }
}
