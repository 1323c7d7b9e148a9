//! Requests on the thread pool as futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use model::label::{RequestType, TaskKind};

use super::work::{Job, PoolRequest, queue};
use crate::event_loop::EventLoop;
use crate::future::oneshot;

/// A request on the thread pool, to be awaited. It is under way from the beginning; dropping this before it has ended
/// cancels it if no thread has taken it up, and lets it go on unseen otherwise.
#[derive(Debug)]
#[must_use = "dropping a request that waits cancels it"]
pub struct PoolFuture<T, E> {
    request: Option<PoolRequest>,
    result: oneshot::Receiver<Result<T, E>>,
}

impl<T, E> PoolFuture<T, E> {
    /// The request, by which it can be cancelled; `None` once it has ended.
    pub fn request(&self) -> Option<&PoolRequest> {
        self.request.as_ref()
    }
}

pub(super) fn future<J: Job>(
    event_loop: &EventLoop,
    request_type: RequestType,
    kind: TaskKind,
    job: J,
) -> PoolFuture<J::Output, J::Error> {
    let (sender, result) = oneshot::channel();
    let request = queue(event_loop, request_type, kind, job, |_, outcome| sender.send(outcome));
    PoolFuture { request: Some(request), result }
}

impl<T, E> Future for PoolFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.result).poll(context) {
            Poll::Ready(Ok(result)) => {
                self.request = None;
                Poll::Ready(result)
            }
            // The loop has ended, and with it whatever could still call back.
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }
}

impl<T, E> Drop for PoolFuture<T, E> {
    fn drop(&mut self) {
        if let Some(request) = &self.request {
            let _ = request.cancel();
        }
    }
}
