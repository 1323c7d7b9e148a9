//! One request to a server: a connection of its own, over TLS where that is asked for, and one answer.
//!
//! What is sent, and what an answer means, is the business of whoever asks: the exporter, and `loopscope upload`.

mod tls;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::{Protocol, TlsFiles};
pub(crate) use tls::config as tls_config;

/// Who asks.
pub(crate) const USER_AGENT: &str = concat!("loopscope/", env!("CARGO_PKG_VERSION"));

/// Of an answer no more is read: it says a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A server, and how it is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server<'a> {
    /// A name or an address, without brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// The version of HTTP goes by it: gRPC's is 2.
    pub(crate) protocol: Protocol,
    /// `None`: without TLS.
    pub(crate) tls: Option<&'a TlsFiles>,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body and the trailers, or why they are not whole.
    pub(crate) rest: Result<(Bytes, Option<HeaderMap>), String>,
}

impl Server<'_> {
    /// Sends a request, and waits for the answer as long as the caller does.
    ///
    /// # Errors
    /// What broke on the way.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let stream = TcpStream::connect((self.host, self.port)).await;
        let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
        // Without it the end of a request may wait for the kernel's pleasure.
        let _ = stream.set_nodelay(true);
        let Some(files) = self.tls else { return self.exchange(stream, request).await };
        // Read anew each time: certificates are renewed while the agent runs.
        let connector = TlsConnector::from(tls_config(files, self.protocol)?);
        let name = ServerName::try_from(self.host.to_owned())
            .map_err(|_| format!("{} is no name that a certificate could have", self.host))?;
        let stream = connector.connect(name, stream).await;
        self.exchange(stream.map_err(|error| format!("no TLS: {error}"))?, request).await
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: hyper::Error| format!("the connection broke: {}", with_cause(&error));
        let stream = TokioIo::new(stream);
        let (response, _connection) = match self.protocol {
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
        Ok(Answer::read(response).await)
    }
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let rest = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(collected) => {
                let trailers = collected.trailers().cloned();
                Ok((collected.to_bytes(), trailers))
            }
            Err(error) => Err(format!("the answer broke off: {error}")),
        };
        Self { status: parts.status, headers: parts.headers, rest }
    }

    /// The body, as far as it is whole.
    pub(crate) fn body(&self) -> &[u8] {
        self.rest.as_ref().map_or(&[], |(body, _)| body)
    }
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
