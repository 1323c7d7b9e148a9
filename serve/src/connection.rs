//! One connection: its handshake, its requests, its end.
//!
//! It has a time for TLS and one for the header of a request, is closed when an answer makes no progress, and has an age. With HTTP/2, where the
//! library has no time for a header, a connection is closed that has brought no request which was let in: at once after the time for a header,
//! later after the one for idle ones. Bodies are the affair of whoever answers.

use std::convert::Infallible;
use std::error::Error;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::accept::FINISH_TIMEOUT;
use crate::web::Web;

/// As much of a body is read that nobody asks for: HTTP/2 resets a stream that is answered before its end, and there are clients that take
/// the reset for the answer.
const DISCARD_BYTES_MAX: usize = 16 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// What a connection may do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long a handshake of TLS may take.
    pub handshake: Duration,
    /// How long the header of a request may take.
    pub header: Duration,
    /// How large it may be.
    pub header_bytes: u32,
    /// How long an answer may make no progress.
    pub send: Duration,
    /// How long a connection lives; what is under way then is finished.
    pub age: Duration,
    /// How long one of HTTP/2 may bring nothing.
    pub idle: Duration,
    /// Requests at the same time on one connection of HTTP/2.
    pub streams: u32,
    /// Requests that a client of HTTP/2 took back before they were answered, and may.
    pub resets: usize,
    /// How often a silent client of HTTP/2 is asked whether it is there, if at all.
    pub ping: Option<Duration>,
    /// Whether HTTP/2 is understood in the clear, from clients that know beforehand.
    pub clear_http2: bool,
}

/// Serves one connection to its end, by the rules of access; `answer` is asked for what they let in.
pub async fn serve<F, B>(
    stream: TcpStream,
    bounds: Bounds,
    web: Arc<Web>,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    mut stopping: watch::Receiver<bool>,
) where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + From<&'static str> + Send + 'static,
{
    // Where the kernel refuses, a client that does not read is cut off by the connection's age.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, bounds.send.as_millis() as u32);
    // Without it the end of an answer may wait for the kernel's pleasure.
    let _ = stream.set_nodelay(true);
    let Some(tls) = web.current().tls() else {
        let version = if bounds.clear_http2 { Version::Either } else { Version::One };
        return serve_http(stream, version, bounds, web, answer, stopping).await;
    };
    let handshake = timeout(bounds.handshake, TlsAcceptor::from(tls).accept(stream));
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
    serve_http(stream, version, bounds, web, answer, stopping).await;
}

/// The version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
    /// As the client begins.
    Either,
}

async fn serve_http<F, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    version: Version,
    bounds: Bounds,
    web: Arc<Web>,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    mut stopping: watch::Receiver<bool>,
) where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + From<&'static str> + Send + 'static,
{
    let activity = Arc::new(Activity::new(bounds));
    let service_activity = Arc::clone(&activity);
    // With HTTP/2 each request is answered by a task of its own.
    let service = service_fn(move |request: Request<Incoming>| {
        let (answer, web) = (answer.clone(), Arc::clone(&web));
        let activity = Arc::clone(&service_activity);
        async move {
            if request.version() != hyper::Version::HTTP_2 {
                activity.is_bounded_otherwise();
            }
            let access = web.current();
            let mut answered = match web.admit(&access, request.headers()).await {
                Ok(()) => {
                    let active = activity.begin();
                    answer(request).await.map(|body| Sent { body: Box::pin(body), _active: Some(active) })
                }
                Err(refusal) => {
                    let _ = timeout(DISCARD_TIMEOUT, discard(request.into_body())).await;
                    refusal.answer().map(|body| Sent { body: Box::pin(body), _active: None })
                }
            };
            access.add_headers(answered.headers_mut());
            Ok::<_, Infallible>(answered)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header)
        .max_buf_size(bounds.header_bytes as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds.ping)
        .max_header_list_size(bounds.header_bytes)
        .max_concurrent_streams(bounds.streams)
        .max_pending_accept_reset_streams(bounds.resets);
    let builder = match version {
        Version::One => builder.http1_only(),
        Version::Two => builder.http2_only(),
        Version::Either => builder,
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // What goes wrong on a connection is the client's affair: it went away, or sent what is no HTTP.
        _ = &mut connection => return,
        () = sleep(bounds.age) => {}
        () = activity.idle(), if version != Version::One => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(FINISH_TIMEOUT, connection).await;
}

/// Reads the rest of a body, or what is bearable of it.
async fn discard(mut body: Incoming) {
    let mut left = DISCARD_BYTES_MAX;
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let length = frame.data_ref().map_or(0, |data| data.len());
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}

/// An answer, of which its connection is until it is sent, or nobody wants it any more.
struct Sent<B> {
    body: Pin<Box<B>>,
    _active: Option<Active>,
}

impl<B: Body> Body for Sent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.body.as_mut().poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether a connection is of use. Its requests, which may be answered by several threads, and its own task share it.
struct Activity {
    bounds: Bounds,
    state: Mutex<ActivityState>,
}

struct ActivityState {
    requests: usize,
    /// A connection of HTTP/1.1, which has a time for each header.
    is_bounded_otherwise: bool,
    /// When the last request was done; with how long it keeps the connection.
    last: Instant,
    keeps: Duration,
}

/// A request until its answer is sent.
struct Active(Arc<Activity>);

impl Activity {
    fn new(bounds: Bounds) -> Self {
        let state = ActivityState {
            requests: 0,
            is_bounded_otherwise: false,
            last: Instant::now(),
            keeps: bounds.header,
        };
        Self { bounds, state: Mutex::new(state) }
    }

    fn begin(self: &Arc<Self>) -> Active {
        self.with(|state| {
            state.requests += 1;
            state.keeps = self.bounds.idle;
        });
        Active(Arc::clone(self))
    }

    fn is_bounded_otherwise(&self) {
        self.with(|state| state.is_bounded_otherwise = true);
    }

    /// Completes when nothing has come for too long.
    async fn idle(&self) {
        loop {
            let left = self.with(|state| match state.requests {
                _ if state.is_bounded_otherwise => Duration::MAX,
                0 => state.keeps.saturating_sub(state.last.elapsed()),
                _ => state.keeps,
            });
            if left.is_zero() {
                return;
            }
            if left == Duration::MAX {
                return pending().await;
            }
            sleep(left.max(Duration::from_millis(100))).await;
        }
    }

    fn with<T>(&self, of: impl FnOnce(&mut ActivityState) -> T) -> T {
        of(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.with(|state| {
            state.requests -= 1;
            state.last = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Bytes;
    use std::io::{Read, Write};

    /// A body that takes its time: `left` pieces.
    struct Slow {
        left: usize,
        pause: Pin<Box<tokio::time::Sleep>>,
    }

    const PAUSE: Duration = Duration::from_millis(500);

    impl From<&'static str> for Slow {
        fn from(_: &'static str) -> Self {
            Self { left: 14, pause: Box::pin(sleep(PAUSE)) }
        }
    }

    impl Body for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            std::task::ready!(self.pause.as_mut().poll(context));
            self.left -= 1;
            self.pause = Box::pin(sleep(PAUSE));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"piece")))))
        }
    }

    #[test]
    fn an_answer_that_takes_longer_than_a_connection_may_be_idle_arrives_whole() {
        let second = Duration::from_secs(1);
        let bounds = Bounds {
            handshake: second,
            header: second,
            header_bytes: 16 * 1024,
            send: 60 * second,
            age: 60 * second,
            idle: Duration::from_millis(200),
            streams: 10,
            resets: 10,
            ping: None,
            clear_http2: true,
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::thread::spawn(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        });
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let web = Arc::new(Web::new(crate::web::Ready::default(), |_| ()));
            let (_stop, stopping) = watch::channel(false);
            let stream = TcpStream::from_std(stream).unwrap();
            let answer = |_| async { Response::new(Slow::from("")) };
            serve(stream, bounds, web, answer, stopping).await;
        });
        let text = client.join().unwrap();
        assert!(text.matches("piece").count() == 14 && text.ends_with("0\r\n\r\n"), "{text}");
    }
}
