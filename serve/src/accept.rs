//! Accepting connections, within a bound that holds whatever clients do: further ones wait in the kernel.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

/// How long requests that are under way may take to finish when the program stops, or a connection is too old.
pub const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted, for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Lets connections in until `stop` completes, each to a task of its own that `connection` makes; then finishes what is under way. At most
/// `connections_max` are open at a time. What `connection` is given completes when it is time to finish.
///
/// A listener that comes from `others` takes the place of the one before; who had connected to that is served. `failed` is told of each
/// connection that cannot be accepted.
pub async fn serve<C>(
    mut listener: TcpListener,
    mut others: UnboundedReceiver<TcpListener>,
    connections_max: usize,
    connection: impl Fn(TcpStream, watch::Receiver<bool>) -> C,
    failed: impl Fn(io::Error),
    stop: impl Future<Output = ()>,
) where
    C: Future<Output = ()> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(connections_max));
    let (stopping, _) = watch::channel(false);
    let admit = |stream, place: OwnedSemaphorePermit| {
        let connection = connection(stream, stopping.subscribe());
        tokio::spawn(async move {
            connection.await;
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
                    failed(error);
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let all = u32::try_from(connections_max).expect("fewer connections than descriptors");
    // Whoever is not done by then is cut off.
    let _ = timeout(FINISH_TIMEOUT, free.acquire_many(all)).await;
}
