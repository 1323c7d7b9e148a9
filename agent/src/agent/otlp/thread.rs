//! A thread with an event loop of its own, which goes on until it is told to end.

use std::thread::JoinHandle;

use tokio::sync::watch;

use crate::error::Error;

/// The thread, and the way to end it.
pub(super) struct LoopThread<T> {
    stopping: watch::Sender<bool>,
    thread: JoinHandle<T>,
}

/// Told when the thread is to end.
pub(super) struct Stopped(watch::Receiver<bool>);

impl<T: Send + 'static> LoopThread<T> {
    /// Starts a thread of that name which runs what `main` gives.
    ///
    /// # Errors
    /// Where the system refuses, which is told as a failure of `doing`.
    pub(super) fn start<F: Future<Output = T>>(
        name: String,
        doing: &'static str,
        main: impl FnOnce(Stopped) -> F + Send + 'static,
    ) -> Result<Self, Error> {
        let system = |source| Error::System { doing, source };
        let (stopping, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let run = move || {
            let done = runtime.block_on(main(Stopped(stopped)));
            // A look-up of a name that hangs has a thread that nobody waits for.
            runtime.shutdown_background();
            done
        };
        let thread = std::thread::Builder::new().name(name).spawn(run).map_err(system)?;
        Ok(Self { stopping, thread })
    }

    /// Tells it to end.
    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether it has.
    pub(super) fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, and waits for that.
    pub(super) fn finish(self) -> T {
        self.stop();
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Stopped {
    /// Waits until the thread is told to end, or nobody is left to tell it.
    pub(super) async fn wait(mut self) {
        drop(self.0.wait_for(|&stopping| stopping).await);
    }
}
