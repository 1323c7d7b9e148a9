//! Requests that run on the thread pool, and the most general of them: a closure.
//!
//! What runs on the pool is `Send`; the callback need not be. It stays parked with the loop, together with the claim
//! that keeps the loop alive, and only its key travels: out with the task, back with the completion. A loop that has
//! ended drops the completion, so a task may outlive its loop.

use std::{error, fmt};

use model::label::{Outcome, RequestType, TaskKind};
use model::time::Monotonic;

use super::{ActiveRequest, Parked};
use crate::event_loop::EventLoop;
use crate::inbox::{Completion, InboxSender};
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
        queue(self, RequestType::Work, kind, work, E::from, callback)
    }

    /// The thread pool of this loop.
    pub fn pool(&self) -> &Pool {
        self.core.pool.as_ref().unwrap_or_else(|| Pool::shared())
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

impl fmt::Display for AlreadyStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request has started, or ended, and can no longer be cancelled")
    }
}

impl error::Error for AlreadyStarted {}

/// Queues a request of any type. `no_result` makes an error of the reason for which there is no result.
pub(super) fn queue<T: Send + 'static, E: Send + 'static>(
    event_loop: &EventLoop,
    request_type: RequestType,
    kind: TaskKind,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
    no_result: impl FnOnce(TaskError) -> E + Send + 'static,
    callback: impl FnOnce(&EventLoop, Result<T, E>) + 'static,
) -> PoolRequest {
    let active = ActiveRequest::begin(&event_loop.core, request_type);
    let back = Back {
        callback: event_loop.core.parking.park((active, callback)),
        sender: event_loop.sender(),
        kind,
    };
    let task = Box::new(Request { work: Some(work), result: None, no_result, back });
    PoolRequest { ticket: event_loop.pool().submit(kind, task) }
}

/// A request on its way through the pool.
struct Request<W, N, C, T, E> {
    work: Option<W>,
    result: Option<Result<T, E>>,
    no_result: N,
    back: Back<C>,
}

/// The way back to the loop.
struct Back<C> {
    callback: Parked<(ActiveRequest, C)>,
    sender: InboxSender,
    kind: TaskKind,
}

impl<W, N, C, T, E> Task for Request<W, N, C, T, E>
where
    W: FnOnce() -> Result<T, E> + Send,
    N: FnOnce(TaskError) -> E + Send,
    C: FnOnce(&EventLoop, Result<T, E>) + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn run(&mut self) -> Outcome {
        let result = self.work.take().map(|work| work());
        let outcome = if matches!(result, Some(Ok(_))) { Outcome::Done } else { Outcome::Failed };
        self.result = result;
        outcome
    }

    fn end(self: Box<Self>, how: Result<(), TaskError>, at: Monotonic) {
        let Self { work, result, no_result, back } = *self;
        // What the work holds is let go before the callback runs, which may wait for just that.
        drop(work);
        let result = match how {
            Ok(()) => result.expect("work that ran to its end has left its result"),
            Err(reason) => Err(no_result(reason)),
        };
        back.deliver(result, at);
    }
}

impl<C> Back<C> {
    fn deliver<T, E>(self, result: Result<T, E>, finished: Monotonic)
    where
        C: FnOnce(&EventLoop, Result<T, E>) + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let Self { callback, sender, kind } = self;
        let deliver = move |event_loop: &EventLoop| {
            let (active, callback) = event_loop.core.parking.unpark(callback);
            drop(active);
            callback(event_loop, result);
        };
        sender.deliver(Completion { kind, finished, deliver: Box::new(deliver) });
    }
}
