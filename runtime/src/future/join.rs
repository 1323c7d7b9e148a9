//! Waiting for a task, and giving it up.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::task::Task;

/// A task to be waited for, or given up. Dropping it lets the task go on.
pub struct JoinHandle<T> {
    pub(super) task: Rc<Task>,
    pub(super) outcome: Rc<RefCell<Outcome<T>>>,
}

/// A task ended without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// It was aborted, or its loop ended.
    Aborted,
    /// It panicked.
    Panicked,
}

pub(super) enum Outcome<T> {
    Running(Option<Waker>),
    Ended(Result<T, JoinError>),
    Taken,
}

impl<T> Outcome<T> {
    pub(super) fn end(cell: &RefCell<Self>, result: Result<T, JoinError>) {
        let before = cell.replace(Self::Ended(result));
        if let Self::Running(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> JoinHandle<T> {
    /// Ends the task where it waits: what it holds is dropped before this returns. A task that aborts itself ends where
    /// it waits next. Does nothing if it has ended.
    pub fn abort(&self) {
        self.task.abort();
    }

    /// Whether the task has ended.
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Lets the loop end while the task waits; it is then dropped with the loop.
    pub fn unreference(&self) {
        if !self.is_finished() {
            self.task.set_referenced(false);
        }
    }

    /// Keeps the loop alive for the task, as it is from the beginning.
    pub fn reference(&self) {
        if !self.is_finished() {
            self.task.set_referenced(true);
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    /// If it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut outcome = self.outcome.borrow_mut();
        match &mut *outcome {
            Outcome::Running(waker) => {
                *waker = Some(context.waker().clone());
                Poll::Pending
            }
            Outcome::Ended(_) => match std::mem::replace(&mut *outcome, Outcome::Taken) {
                Outcome::Ended(result) => Poll::Ready(result),
                Outcome::Running(_) | Outcome::Taken => unreachable!("it was looked at just now"),
            },
            Outcome::Taken => panic!("a task's result can be taken once"),
        }
    }
}

/// Tells whoever joins that there will be no result, unless there was one.
pub(super) struct Ending<T> {
    pub(super) outcome: Rc<RefCell<Outcome<T>>>,
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        if matches!(*self.outcome.borrow(), Outcome::Running(_)) {
            let panics = std::thread::panicking();
            Outcome::end(&self.outcome, Err(if panics { JoinError::Panicked } else { JoinError::Aborted }));
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("is_finished", &self.is_finished()).finish_non_exhaustive()
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aborted => "the task was aborted before its end",
            Self::Panicked => "the task panicked",
        })
    }
}

impl std::error::Error for JoinError {}
