//! Waiting for a time, and giving others their turn.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::oneshot;
use crate::event_loop::EventLoop;
use crate::handle::timer::Timer;
use crate::immediates::Immediate;

/// Ends after a time. Made by [`EventLoop::sleep`].
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    timer: TimerOf,
    over: oneshot::Receiver<()>,
}

/// A future with a time limit. Made by [`EventLoop::timeout_after`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

/// Ends in the next check phase. Made by [`EventLoop::yield_now`].
#[derive(Debug)]
#[must_use = "a yield does nothing unless it is awaited"]
pub struct YieldNow {
    turn: oneshot::Receiver<()>,
    immediate: ImmediateOf,
}

/// The time limit came before the future's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// Stopped when dropped.
struct TimerOf(Timer);

/// Cleared when dropped.
struct ImmediateOf(Immediate);

impl EventLoop {
    /// Ends `duration` from now, in the phase `timers`.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        let (sender, over) = oneshot::channel();
        let (timer, mut sender) = (Timer::new(self), Some(sender));
        let wake = move |_: &EventLoop, _: &Timer| {
            if let Some(sender) = sender.take() {
                sender.send(());
            }
        };
        // Of a loop that has ended there is nobody left to wait.
        let _ = timer.start(duration, wake);
        Sleep { timer: TimerOf(timer), over }
    }

    /// The future's output, or [`Elapsed`] if that takes longer than `duration` from now; the future is then dropped with
    /// what this gave.
    ///
    /// ```
    /// use std::time::Duration;
    /// use loopscope_runtime::{EventLoop, future::Elapsed};
    ///
    /// let event_loop = EventLoop::new()?;
    /// let limited = event_loop.timeout_after(Duration::from_millis(1), std::future::pending::<()>());
    /// assert_eq!(event_loop.block_on(limited), Err(Elapsed));
    /// # Ok::<(), loopscope_runtime::Error>(())
    /// ```
    pub fn timeout_after<F: Future>(&self, duration: Duration, future: F) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: self.sleep(duration) }
    }

    /// Lets the loop do what else there is: the task goes on in the check phase, after the poll's callbacks. What computes
    /// for long should do this every few milliseconds.
    pub fn yield_now(&self) -> YieldNow {
        let (sender, turn) = oneshot::channel();
        let immediate = ImmediateOf(self.set_immediate(|_| sender.send(())));
        YieldNow { turn, immediate }
    }
}

impl Sleep {
    /// Lets the loop end while this waits. A task that awaits it keeps the loop alive by itself: see
    /// [`JoinHandle::unreference`](super::JoinHandle::unreference).
    pub fn unreference(&self) {
        self.timer.0.unreference();
    }

    /// Begins anew: ends `duration` from now, unless it has ended already.
    pub fn reset(&self, event_loop: &EventLoop, duration: Duration) {
        let timer = &self.timer.0;
        if timer.is_active() {
            // The callback is kept: a timer that repeats starts anew, and is told before it calls back that it was the last.
            event_loop.update_time();
            timer.set_repeat(duration.max(Duration::from_nanos(1)));
            let _ = timer.again();
            timer.set_repeat(Duration::ZERO);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        ended(&mut self.over, context)
    }
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        debug_assert!(self.immediate.0.has_ref());
        ended(&mut self.turn, context)
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(&mut self.sleep).poll(context).map(|()| Err(Elapsed))
    }
}

/// A sender that was dropped belonged to a loop that has ended.
fn ended(receiver: &mut oneshot::Receiver<()>, context: &mut Context<'_>) -> Poll<()> {
    match Pin::new(receiver).poll(context) {
        Poll::Ready(Ok(())) => Poll::Ready(()),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
    }
}

impl Drop for TimerOf {
    fn drop(&mut self) {
        // Stopped and referred to by nobody it ends at once, without a turn in the close phase.
        self.0.stop();
    }
}

impl Drop for ImmediateOf {
    fn drop(&mut self) {
        self.0.clear();
    }
}

impl fmt::Debug for TimerOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.due_in())
    }
}

impl fmt::Debug for ImmediateOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an immediate")
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time limit came first")
    }
}

impl std::error::Error for Elapsed {}
