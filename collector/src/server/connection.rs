//! One connection: its requests, its end.
//!
//! It has [`HEADER_TIMEOUT`] to send the header of a request, is closed when an answer makes no progress for [`SEND_TIMEOUT`], and lives
//! no longer than [`CONNECTION_AGE_MAX`]. With HTTP/2 the library asks a silent client whether it is there. How long a body may
//! take is the [body's](super::body) affair.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use serve::accept::FINISH_TIMEOUT;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::routes::Routes;

const HEADER_BYTES_MAX: usize = 32 * 1024;
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(600);
/// Requests at the same time on one connection.
const STREAMS_MAX: u32 = 32;
/// Requests that a client took back before they were answered, and may.
const RESETS_MAX: usize = 16;
const PING_EVERY: Duration = Duration::from_secs(30);

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, routes: Arc<Routes>, mut stopping: watch::Receiver<bool>) {
    // Where the kernel refuses, a client that does not read is cut off by the connection's age.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, SEND_TIMEOUT.as_millis() as u32);
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(routes.answer(request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // What goes wrong on a connection is the client's affair: it went away, or sent what is no HTTP.
        _ = &mut connection => return,
        () = sleep(CONNECTION_AGE_MAX) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(FINISH_TIMEOUT, connection).await;
}
