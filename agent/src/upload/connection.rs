//! One request: connect, over TLS where the URL says so, post, read the answer.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::receiver::Receiver;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Of an answer no more is read: it says a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Posts a body; the error is what went wrong, or what the receiver said.
pub(super) fn post(to: &Receiver, target: &str, body: Vec<u8>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let attempt = tokio::time::timeout(TIMEOUT, attempt(to, target, body)).await;
        attempt.unwrap_or_else(|_| Err(format!("no answer within {}", humantime::format_duration(TIMEOUT))))
    })
}

async fn attempt(to: &Receiver, target: &str, body: Vec<u8>) -> Result<(), String> {
    let (host, port) = to.address();
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|error| format!("cannot connect: {error}"))?;
    let Some(tls) = to.tls()? else { return exchange(stream, to, target, body).await };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} is no name that a certificate could have"))?;
    let stream =
        TlsConnector::from(tls).connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))?;
    exchange(stream, to, target, body).await
}

async fn exchange<S>(stream: S, to: &Receiver, target: &str, body: Vec<u8>) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("the connection broke: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // What goes wrong on it, its request is told.
    tokio::spawn(async { drop(connection.await) });
    let mut request = Request::post(target)
        .header(HOST, to.authority())
        .header(USER_AGENT, concat!("loopscope/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    for (name, value) in to.headers() {
        request.headers_mut().insert(name, value.clone());
    }
    let response = sender.send_request(request).await.map_err(broken)?;
    let (parts, body) = response.into_parts();
    let body =
        Limited::new(body, ANSWER_BYTES_MAX).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if parts.status.is_success() {
        return Ok(());
    }
    let said = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let said = said.as_ref().and_then(|said| said.get("error").or(said.get("message"))?.as_str());
    let said = said.map_or_else(|| String::from_utf8_lossy(&body).trim().to_owned(), str::to_owned);
    Err(format!("{}: {said}", parts.status))
}
