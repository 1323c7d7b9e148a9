//! Serving HTTP, within bounds that hold whatever a client does.
//!
//! At most [`CONNECTIONS_MAX`] connections are open; further ones wait in the kernel. What one of them may do is
//! [its own](connection) affair.

mod connection;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::routes::Routes;
use crate::console;
use crate::web::Web;

const CONNECTIONS_MAX: usize = 64;
/// How long requests that are under way may take to finish when the agent stops, or a connection is too old.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then finishes the requests that are under way. A listener that comes from `others` takes the place of the one
/// before; who had connected to that is served.
pub(super) async fn serve(
    mut listener: TcpListener,
    mut others: UnboundedReceiver<TcpListener>,
    routes: Arc<Routes>,
    web: Arc<Web>,
    stop: impl Future<Output = ()>,
) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, _) = watch::channel(false);
    let admit = |stream, place: OwnedSemaphorePermit| {
        let (routes, web, stopping) = (Arc::clone(&routes), Arc::clone(&web), stopping.subscribe());
        tokio::spawn(async move {
            connection::serve(stream, routes, web, stopping).await;
            drop(place);
        });
    };
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&free).acquire_owned().await.expect("never closed");
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(other) = others.recv() => {
                let before = std::mem::replace(&mut listener, other);
                while let Ok(place) = Arc::clone(&free).try_acquire_owned()
                    && let Ok(Ok((stream, _))) = timeout(Duration::ZERO, before.accept()).await
                {
                    admit(stream, place);
                }
            }
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => admit(stream, place),
                Err(error) => {
                    console::line(format_args!("cannot accept a connection: {error}"));
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let all_closed = free.acquire_many(CONNECTIONS_MAX as u32);
    // Whoever is not done by then is cut off.
    let _ = timeout(FINISH_TIMEOUT, all_closed).await;
}
