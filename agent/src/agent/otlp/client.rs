//! Sending a batch: one connection, one request, one answer, within the time that an attempt may take.

use std::io::Write;
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, TE, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::answer::{self, Answer, GRPC_PREFIX_BYTES};
use super::buffer::Payload;
use super::tls;
use crate::config::{Export, Protocol};
use crate::error::Error;

const AGENT: &str = concat!("loopscope/", env!("CARGO_PKG_VERSION"));

/// Of an answer no more is read: it says a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Knows the receiver.
pub(super) struct Client {
    export: Export,
}

impl Client {
    /// Checks the certificates that are named.
    pub(super) fn new(export: &Export) -> Result<Self, Error> {
        if export.endpoint.tls {
            let checked = tls::config(&export.tls, export.endpoint.protocol);
            checked
                .map_err(|message| Error::Export { of: format!("export by {}", export.endpoint), message })?;
        }
        Ok(Self { export: export.clone() })
    }

    /// What is sent of a message: compressed, if it is to be.
    pub(super) fn payload(&self, message: Vec<u8>) -> Payload {
        let is_gzip = self.export.gzip;
        let bytes = if is_gzip {
            let mut out = GzEncoder::new(Vec::with_capacity(message.len() / 4), Compression::fast());
            out.write_all(&message).and_then(|()| out.finish()).expect("writing to memory cannot fail")
        } else {
            message
        };
        Payload { bytes: bytes.into(), is_gzip }
    }

    /// Makes one attempt.
    pub(super) async fn send(&self, payload: Payload) -> Answer {
        let limit = self.export.timeout;
        match tokio::time::timeout(limit, self.attempt(payload)).await {
            Ok(Ok(answer)) => answer,
            // Whatever breaks on the way may be whole again the next time.
            Ok(Err(why)) => Answer::Retry { after: None, why },
            Err(_) => {
                let limit = humantime::format_duration(limit);
                Answer::Retry { after: None, why: format!("the receiver did not answer within {limit}") }
            }
        }
    }

    async fn attempt(&self, payload: Payload) -> Result<Answer, String> {
        let endpoint = &self.export.endpoint;
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
        let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
        // Without it the end of a request may wait for the kernel's pleasure.
        let _ = stream.set_nodelay(true);
        if !endpoint.tls {
            return self.exchange(stream, payload).await;
        }
        // Read anew each time: certificates are renewed while the agent runs.
        let connector = TlsConnector::from(tls::config(&self.export.tls, endpoint.protocol)?);
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| format!("{} is no name that a certificate could have", endpoint.host))?;
        let stream = connector.connect(name, stream).await;
        self.exchange(stream.map_err(|error| format!("no TLS: {error}"))?, payload).await
    }

    async fn exchange<S>(&self, stream: S, payload: Payload) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| format!("the connection broke: {}", with_cause(&error));
        let stream = TokioIo::new(stream);
        let request = self.request(payload);
        let (response, _connection) = match self.export.endpoint.protocol {
            Protocol::Grpc => {
                let made = http2::handshake(TokioExecutor::new(), stream).await;
                let (mut sender, connection) = made.map_err(broken)?;
                let connection = Driven::new(connection);
                (sender.send_request(request).await.map_err(broken)?, connection)
            }
            Protocol::Http => {
                let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
                let connection = Driven::new(connection);
                (sender.send_request(request).await.map_err(broken)?, connection)
            }
        };
        self.answer(response).await
    }

    fn request(&self, payload: Payload) -> Request<Full<Bytes>> {
        let endpoint = &self.export.endpoint;
        let request = Request::builder().method(Method::POST).header(USER_AGENT, AGENT);
        let request = match endpoint.protocol {
            Protocol::Grpc => {
                let scheme = if endpoint.tls { "https" } else { "http" };
                let timeout = format!("{}m", self.export.timeout.as_millis().min(99_999_999));
                let request = request
                    .uri(format!("{scheme}://{}{}", endpoint.authority(), self.export.signal.grpc_method()))
                    .header(CONTENT_TYPE, "application/grpc")
                    .header(TE, "trailers")
                    .header("grpc-timeout", timeout);
                if payload.is_gzip { request.header("grpc-encoding", "gzip") } else { request }
            }
            Protocol::Http => {
                let request = request
                    .uri(&endpoint.path)
                    .header(HOST, endpoint.authority())
                    .header(CONTENT_TYPE, self.export.signal.content_type());
                if payload.is_gzip { request.header(CONTENT_ENCODING, "gzip") } else { request }
            }
        };
        let body = match endpoint.protocol {
            Protocol::Grpc => with_prefix(&payload),
            Protocol::Http => payload.bytes,
        };
        let request = request.body(Full::new(body));
        let mut request = request.expect("the parts were checked when they were read");
        let headers = self.export.headers.iter().cloned();
        headers.for_each(|(name, value): (_, HeaderValue)| drop(request.headers_mut().insert(name, value)));
        request
    }

    async fn answer(&self, response: Response<Incoming>) -> Result<Answer, String> {
        let (parts, body) = response.into_parts();
        let collected = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        if self.export.endpoint.protocol == Protocol::Http {
            // The status has said all that matters.
            let body = collected.map(|collected| collected.to_bytes()).unwrap_or_default();
            return Ok(answer::http(parts.status, &parts.headers, &body, SystemTime::now()));
        }
        // The trailers have the status, so without them nothing is known.
        let collected = collected.map_err(|error| format!("the answer broke off: {error}"))?;
        let trailers = collected.trailers().cloned();
        Ok(answer::grpc(parts.status, &parts.headers, trailers.as_ref(), &collected.to_bytes()))
    }
}

/// A message of gRPC: whether it is compressed, its length, and itself.
fn with_prefix(payload: &Payload) -> Bytes {
    let mut body = Vec::with_capacity(GRPC_PREFIX_BYTES + payload.bytes.len());
    body.push(u8::from(payload.is_gzip));
    body.extend_from_slice(&(payload.bytes.len() as u32).to_be_bytes());
    body.extend_from_slice(&payload.bytes);
    body.into()
}

/// A connection that is driven until this is dropped.
struct Driven(JoinHandle<()>);

impl Driven {
    fn new(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        // What goes wrong on it, its request is told.
        Self(tokio::spawn(async { drop(connection.await) }))
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An error of hyper says what it did; its source, what went wrong.
fn with_cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
