//! One request: post, and read the answer.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};

use super::receiver::Receiver;
use crate::console::shown;
use crate::http;

const TIMEOUT: Duration = Duration::from_secs(60);

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
    let mut request = Request::post(target)
        .header(HOST, to.authority())
        .header(USER_AGENT, http::USER_AGENT)
        .header(CONTENT_TYPE, "application/octet-stream")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    for (name, value) in to.headers() {
        request.headers_mut().insert(name, value.clone());
    }
    let answer = to.server().ask(request).await?;
    if answer.status.is_success() {
        return Ok(());
    }
    let said = serde_json::from_slice::<serde_json::Value>(answer.body()).ok();
    let said = said.as_ref().and_then(|said| said.get("error").or(said.get("message"))?.as_str());
    let said = said.map_or_else(|| String::from_utf8_lossy(answer.body()).trim().to_owned(), str::to_owned);
    Err(format!("{}: {}", answer.status, shown(&said)))
}
