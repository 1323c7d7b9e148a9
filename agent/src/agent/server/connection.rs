//! One connection: its handshake, its requests, its end.
//!
//! It has [`HANDSHAKE_TIMEOUT`] for TLS and [`HEADER_TIMEOUT`] to send the header of a request, is closed when an answer makes no
//! progress for [`SEND_TIMEOUT`], and lives no longer than [`CONNECTION_AGE_MAX`]: a scraper notices nothing of that but a
//! new connection every few minutes. With HTTP/2, where the library has no such time for a header, a connection is
//! closed that has brought no request which was let in: at once after [`HEADER_TIMEOUT`], later after [`IDLE_TIMEOUT`]. Bodies of
//! requests are not read.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use model::time::Monotonic;
use serve::accept::FINISH_TIMEOUT;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::agent::routes::Routes;
use crate::clock;
use crate::web::Web;

const HEADER_BYTES_MAX: usize = 16 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// Scrapers come every minute or more often, as a rule.
const IDLE_TIMEOUT: Duration = Duration::from_secs(65);
/// Requests at the same time on one connection: as many answers may wait for a client that does not read them.
const STREAMS_MAX: u32 = 4;
/// Requests that a client took back before they were answered, and may.
const RESETS_MAX: usize = 16;

/// Serves one connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    routes: Arc<Routes>,
    web: Arc<Web>,
    mut stopping: watch::Receiver<bool>,
) {
    // Where the kernel refuses, a client that does not read is cut off by the connection's age.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, SEND_TIMEOUT.as_millis() as u32);
    let Some(tls) = web.current().tls() else {
        return serve_http(stream, Version::One, routes, web, stopping).await;
    };
    let handshake = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls).accept(stream));
    let stream = tokio::select! {
        shaken = handshake => shaken,
        _ = stopping.wait_for(|stopping| *stopping) => return,
    };
    // What goes wrong in it is the client's affair: it speaks no TLS, or has no certificate that is accepted.
    let Ok(Ok(stream)) = stream else { return };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Two,
        _ => Version::One,
    };
    serve_http(stream, version, routes, web, stopping).await;
}

/// The version of HTTP, which TLS has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    version: Version,
    routes: Arc<Routes>,
    web: Arc<Web>,
    mut stopping: watch::Receiver<bool>,
) {
    let activity = Arc::new(Activity::new());
    let service_activity = Arc::clone(&activity);
    // With HTTP/2 each request is answered by a task of its own.
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let (routes, web) = (Arc::clone(&routes), Arc::clone(&web));
        let activity = Arc::clone(&service_activity);
        async move {
            let access = web.current();
            let mut answer = match web.admit(&access, request.headers()).await {
                Ok(()) => {
                    let _active = activity.begin();
                    routes.answer(&request).await?
                }
                Err(refusal) => Routes::refuse(refusal),
            };
            access.add_headers(answer.headers_mut());
            Ok::<_, std::convert::Infallible>(answer)
        }
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
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX);
    let builder = match version {
        Version::One => builder.http1_only(),
        Version::Two => builder.http2_only(),
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // What goes wrong on a connection is the client's affair: it went away, or sent what is no HTTP.
        _ = &mut connection => return,
        () = sleep(CONNECTION_AGE_MAX) => {}
        () = activity.idle(), if version == Version::Two => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(FINISH_TIMEOUT, connection).await;
}

/// Whether a connection is of use. Its requests and its own task share it, all on one thread; tasks ask for atomic cells all the same,
/// and no order among these matters.
struct Activity {
    requests: AtomicUsize,
    /// When the last request was let in, in nanoseconds of the monotonic clock; with how long it keeps the connection.
    last_ns: AtomicU64,
    keeps_ns: AtomicU64,
}

/// A request that is being answered.
struct Active<'a>(&'a Activity);

impl Activity {
    fn new() -> Self {
        Self {
            requests: AtomicUsize::new(0),
            last_ns: AtomicU64::new(clock::monotonic().as_ns()),
            keeps_ns: AtomicU64::new(HEADER_TIMEOUT.as_nanos() as u64),
        }
    }

    fn begin(&self) -> Active<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.keeps_ns.store(IDLE_TIMEOUT.as_nanos() as u64, Ordering::Relaxed);
        Active(self)
    }

    /// Completes when nothing has come for too long.
    async fn idle(&self) {
        loop {
            let since_ns =
                clock::monotonic().since_ns(Monotonic::from_ns(self.last_ns.load(Ordering::Relaxed)));
            let keeps_ns = self.keeps_ns.load(Ordering::Relaxed);
            if since_ns >= keeps_ns && self.requests.load(Ordering::Relaxed) == 0 {
                return;
            }
            sleep(Duration::from_nanos(keeps_ns.saturating_sub(since_ns)).max(Duration::from_millis(100)))
                .await;
        }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
        self.0.last_ns.store(clock::monotonic().as_ns(), Ordering::Relaxed);
    }
}
