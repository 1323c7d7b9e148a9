//! OTLP profiles over HTTP and over gRPC.
//!
//! A call of gRPC is a request of HTTP/2 whose message has five bytes before it, and an answer with a status behind its message.

use flate2::read::MultiGzDecoder;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use std::io::Read;

use super::{Answer, Routes, content, error, header, refused, refused_body, status_of};
use crate::ingest::otlp;
use crate::server::body::{AnswerBody, BodyError};

/// Where OTLP/HTTP sends profiles while they are under development.
pub(super) const HTTP: &str = "/v1development/profiles";
/// Where OTLP/gRPC does.
pub(super) const GRPC: &str = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";

/// The status codes of gRPC that are used here.
const INVALID_ARGUMENT: &str = "3";
const RESOURCE_EXHAUSTED: &str = "8";
const INTERNAL: &str = "13";
const UNAVAILABLE: &str = "14";

/// Profiles over HTTP.
pub(super) async fn http(routes: &Routes, request: Request<Incoming>) -> Answer {
    let media_type = header(request.headers(), CONTENT_TYPE);
    if !media_type.starts_with("application/x-protobuf") {
        let message = "content-type: application/x-protobuf is understood";
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    }
    let received = match routes.body(request).await {
        Ok(received) => received,
        Err(refusal) => return refused_body(&refusal),
    };
    match routes.store(received, otlp::read).await {
        // An empty message: nothing was rejected.
        Ok(()) => content(StatusCode::OK, "application/x-protobuf", ""),
        Err(refusal) => refused(&refusal),
    }
}

/// Profiles over gRPC.
pub(super) async fn grpc(routes: &Routes, request: Request<Incoming>) -> Answer {
    let mut received = match routes.body(request).await {
        Ok(received) => received,
        Err(refusal) => {
            let (status, message) = match refusal {
                BodyError::TooLarge => (RESOURCE_EXHAUSTED, "the message is too large"),
                BodyError::Busy => (UNAVAILABLE, "too many messages are under way: try again later"),
                BodyError::Slow => (UNAVAILABLE, "the message did not arrive in time"),
                BodyError::Broken(what) => (INVALID_ARGUMENT, what),
            };
            return trailers_only(status, message);
        }
    };
    received.bytes = match message(&received.bytes, routes.limits.profile_bytes) {
        Ok(message) => message,
        Err(what) => return trailers_only(INVALID_ARGUMENT, what),
    };
    match routes.store(received, otlp::read).await {
        Ok(()) => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let mut answer = Response::new(AnswerBody::with_trailers(Bytes::from_static(&[0; 5]), trailers));
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            answer
        }
        Err(refusal) => {
            let status = match status_of(&refusal) {
                // Clients send those again.
                StatusCode::TOO_MANY_REQUESTS => UNAVAILABLE,
                StatusCode::INSUFFICIENT_STORAGE => RESOURCE_EXHAUSTED,
                StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
                _ => INVALID_ARGUMENT,
            };
            trailers_only(status, &refusal.to_string())
        }
    }
}

/// The one message of a call.
fn message(body: &Bytes, bytes_max: usize) -> Result<Bytes, &'static str> {
    let malformed = "the body is no single message of gRPC";
    let (head, message) = body.split_first_chunk::<5>().ok_or(malformed)?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if message.len() != length {
        return Err(malformed);
    }
    match head[0] {
        0 => Ok(body.slice(5..)),
        1 => {
            let mut plain = Vec::new();
            let mut gzip = MultiGzDecoder::new(message).take(bytes_max as u64 + 1);
            gzip.read_to_end(&mut plain).map_err(|_| "the message is compressed, and not by gzip")?;
            if plain.len() > bytes_max { Err("the message is too large") } else { Ok(plain.into()) }
        }
        _ => Err(malformed),
    }
}

/// An answer without a message.
fn trailers_only(status: &'static str, message: &str) -> Answer {
    let mut answer = content(StatusCode::OK, "application/grpc", "");
    let headers = answer.headers_mut();
    headers.insert("grpc-status", HeaderValue::from_static(status));
    // Percent-encoded, as gRPC wants what is no plain text.
    let text: String = message
        .bytes()
        .take(1000)
        .map(|byte| match byte {
            b' '..=b'~' if byte != b'%' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    if let Ok(text) = HeaderValue::from_str(&text) {
        headers.insert("grpc-message", text);
    }
    answer
}
