//! Serving HTTP, within bounds that hold whatever a client does.
//!
//! At most [`CONNECTIONS_MAX`] connections are open; further ones wait in the kernel. A connection has
//! [`HEADER_TIMEOUT`] to send the header of a request, is closed when an answer makes no progress for
//! [`SEND_TIMEOUT`], and lives no longer than [`CONNECTION_AGE_MAX`]: a scraper notices nothing of that but a new
//! connection every few minutes. Bodies of requests are not read.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::routes::Routes;
use crate::console;

const CONNECTIONS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// How long requests that are under way may take to finish when the agent stops, or a connection is too old.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` completes, then finishes the requests that are under way.
pub(super) async fn serve(listener: TcpListener, routes: Routes, stop: impl Future<Output = ()>) {
    let routes = Arc::new(routes);
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let (stopping, _) = watch::channel(false);
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&free).acquire_owned().await.expect("never closed");
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let (routes, stopping) = (Arc::clone(&routes), stopping.subscribe());
                    tokio::spawn(async move {
                        serve_connection(stream, &routes, stopping).await;
                        drop(place);
                    });
                }
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

async fn serve_connection(stream: TcpStream, routes: &Routes, mut stopping: watch::Receiver<bool>) {
    // Where the kernel refuses, a client that does not read is cut off by the connection's age.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, SEND_TIMEOUT.as_millis() as u32);
    let service = service_fn(|request| async move { routes.answer(&request).await });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // What goes wrong on a connection is the client's affair: it went away, or sent what is no HTTP.
        _ = &mut connection => return,
        () = sleep(CONNECTION_AGE_MAX) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(FINISH_TIMEOUT, connection).await;
}
