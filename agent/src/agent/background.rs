//! An agent beside something else, on a thread of its own.

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use serve::web::Ready;
use tokio::sync::oneshot;

use super::own_metrics::OwnMetrics;
use crate::cli::Address;
use crate::config::Settings;
use crate::error::Error;

/// An agent that runs until it is stopped.
pub(crate) struct Background {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Background {
    /// Starts an agent, and waits until it listens. `ended` is called when it has ended, however it did.
    pub(crate) fn start(
        listen: Address,
        settings: Settings,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = channel();
        let thread = std::thread::Builder::new()
            .name("agent".into())
            .spawn(move || {
                let _ended = OnDrop(Some(ended));
                let listening = tell.clone();
                let served = super::listen(listen).and_then(|listener| {
                    super::event_loop()?.block_on(async {
                        // Stopped, or whoever could stop it is gone.
                        let stop = async { drop(stopped.await) };
                        super::serve(
                            listener,
                            settings,
                            Ready::default(),
                            None,
                            OwnMetrics::new(),
                            stop,
                            |address| drop(listening.send(Ok(address))),
                        )
                        .await
                    })
                });
                if let Err(error) = served {
                    // After it has listened, serving does not fail any more.
                    drop(tell.send(Err(error)));
                }
            })
            .map_err(|source| Error::System { doing: "cannot start a thread", source })?;
        let address = told.recv().expect("the thread tells how it started")?;
        Ok(Self { address, stop, thread })
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the agent, when the scrapes that are under way are answered.
    pub(crate) fn stop(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Calls it at the end, even at that of a panic.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call();
        }
    }
}
