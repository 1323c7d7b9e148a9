//! One request: post, and read the answer.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};

use crate::config::{Protocol, TlsFiles};
use crate::http::{self, Server};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Posts a body; the error is what went wrong, or what the receiver said.
pub(super) fn post(to: &Uri, target: &str, body: Vec<u8>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let attempt = tokio::time::timeout(TIMEOUT, attempt(to, target, body)).await;
        attempt.unwrap_or_else(|_| Err(format!("no answer within {}", humantime::format_duration(TIMEOUT))))
    })
}

async fn attempt(to: &Uri, target: &str, body: Vec<u8>) -> Result<(), String> {
    let request = Request::post(target)
        .header(HOST, to.authority().map_or("", |authority| authority.as_str()))
        .header(USER_AGENT, http::USER_AGENT)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let (is_secure, files) = (to.scheme_str() == Some("https"), TlsFiles::default());
    let server = Server {
        host: to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']'),
        port: to.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
        protocol: Protocol::Http,
        tls: is_secure.then_some(&files),
    };
    let answer = server.ask(request).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let said = serde_json::from_slice::<serde_json::Value>(answer.body()).ok();
    let said = said.as_ref().and_then(|said| said.get("error").or(said.get("message"))?.as_str());
    let said = said.map_or_else(|| String::from_utf8_lossy(answer.body()).trim().to_owned(), str::to_owned);
    Err(format!("{}: {said}", answer.status))
}
