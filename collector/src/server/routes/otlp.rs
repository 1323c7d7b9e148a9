//! OTLP over HTTP and over gRPC: profiles, and metrics, of which the lag is kept.
//!
//! Points of other metrics are taken all the same, and counted: that they were rejected would be told at every export to everybody who sends
//! what they always do, as something to repair.
//!
//! A call of gRPC is a request of HTTP/2 whose message has five bytes before it, and an answer with a status behind its message.

use std::borrow::Cow;

use formats::decode::{InflateError, Limits, inflate};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};

use super::{Answer, Routes, content, error, header, refused, refused_body, status_of};
use crate::ingest::{IngestError, otlp};
use crate::lag;
use crate::server::body::{AnswerBody, BodyError, Received};

/// Where each signal is sent to. Profiles are under development, and their paths say so.
const PATHS: &[(&str, Signal, Transport)] = &[
    ("/v1development/profiles", Signal::Profiles, Transport::Http),
    (
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        Signal::Profiles,
        Transport::Grpc,
    ),
    ("/v1/metrics", Signal::Metrics, Transport::Http),
    ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", Signal::Metrics, Transport::Grpc),
];

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Profiles,
    Metrics,
}

/// How it is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transport {
    Http,
    Grpc,
}

/// What is sent to a path, and how.
pub(super) fn of_path(path: &str) -> Option<(Signal, Transport)> {
    PATHS.iter().find(|(own, ..)| *own == path).map(|(_, signal, transport)| (*signal, *transport))
}

/// Takes a signal.
pub(super) async fn take(
    routes: &Routes,
    request: Request<Incoming>,
    signal: Signal,
    transport: Transport,
) -> Answer {
    match transport {
        Transport::Http => http(routes, request, signal).await,
        Transport::Grpc => grpc(routes, request, signal).await,
    }
}

async fn keep(
    routes: &Routes,
    received: Received,
    signal: Signal,
    transport: Transport,
) -> Result<(), IngestError> {
    match signal {
        Signal::Profiles => {
            let read = move |body: &[u8], limits: &Limits| {
                otlp::read(&transport.message(body, limits.profile_bytes)?, limits)
            };
            routes.store(received, read).await
        }
        Signal::Metrics => {
            let read = move |body: &[u8], limits: &Limits| {
                lag::read(&transport.message(body, limits.profile_bytes)?, limits)
            };
            routes.keep_lag(received, read).await
        }
    }
}

/// The status codes of gRPC that are used here.
const INVALID_ARGUMENT: &str = "3";
const RESOURCE_EXHAUSTED: &str = "8";
const INTERNAL: &str = "13";
const UNAVAILABLE: &str = "14";

async fn http(routes: &Routes, request: Request<Incoming>, signal: Signal) -> Answer {
    let media_type = header(request.headers(), CONTENT_TYPE);
    if !media_type.starts_with("application/x-protobuf") {
        let message = "content-type: application/x-protobuf is understood";
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    }
    let received = match routes.body(request).await {
        Ok(received) => received,
        Err(refusal) => return refused_body(&refusal),
    };
    match keep(routes, received, signal, Transport::Http).await {
        // An empty message: nothing was rejected.
        Ok(()) => content(StatusCode::OK, "application/x-protobuf", ""),
        Err(refusal) => refused(&refusal),
    }
}

async fn grpc(routes: &Routes, request: Request<Incoming>, signal: Signal) -> Answer {
    let received = match routes.body(request).await {
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
    match keep(routes, received, signal, Transport::Grpc).await {
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
                StatusCode::INSUFFICIENT_STORAGE | StatusCode::PAYLOAD_TOO_LARGE => RESOURCE_EXHAUSTED,
                StatusCode::INTERNAL_SERVER_ERROR => INTERNAL,
                _ => INVALID_ARGUMENT,
            };
            trailers_only(status, &refusal.to_string())
        }
    }
}

impl Transport {
    /// The one message in a body.
    fn message(self, body: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, IngestError> {
        let malformed = |what: &str| IngestError::Request(what.to_owned());
        let Self::Grpc = self else { return Ok(Cow::Borrowed(body)) };
        let single = "the body is no single message of gRPC";
        let (head, message) = body.split_first_chunk::<5>().ok_or(malformed(single))?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        match head[0] {
            _ if message.len() != length => Err(malformed(single)),
            0 => Ok(Cow::Borrowed(message)),
            1 => inflate(message, bytes_max).map(Cow::Owned).map_err(|error| match error {
                InflateError::Malformed => malformed("the message is compressed, and not by gzip"),
                InflateError::TooLarge(_) => IngestError::TooLarge,
            }),
            _ => Err(malformed(single)),
        }
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
