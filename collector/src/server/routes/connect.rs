//! Calls by the Connect protocol: a POST of one message, whose answer is one message or an error with a code.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{Answer, Routes, content, header, status_of, with_retry_after};
use crate::api::querier::{self, Codec, QuerierError};
use crate::ingest::{IngestError, push as pushed};
use crate::server::body::BodyError;

/// Where the methods of the query API are.
pub(super) const QUERIER: &str = "/querier.v1.QuerierService/";

/// Profiles that are pushed.
pub(super) async fn push(routes: &Routes, request: Request<Incoming>) -> Answer {
    let Some(codec) = codec(&request) else { return wrong_type() };
    let received = match routes.body(request).await {
        Ok(received) => received,
        Err(refusal) => return refused_body(&refusal),
    };
    let is_json = codec == Codec::Json;
    match routes.store(received, move |body, limits| pushed::read(body, is_json, limits)).await {
        Ok(()) => content(StatusCode::OK, media_type(codec), if is_json { "{}" } else { "" }),
        Err(refusal) => {
            let status = status_of(&refusal);
            let code = match status {
                StatusCode::TOO_MANY_REQUESTS | StatusCode::INSUFFICIENT_STORAGE => "resource_exhausted",
                StatusCode::INTERNAL_SERVER_ERROR => "internal",
                _ => "invalid_argument",
            };
            // Connect has a status for each code; ours say more, and clients look at the code.
            with_retry_after(error(status, code, &refusal.to_string()))
        }
    }
}

/// Questions.
pub(super) async fn query(routes: &Routes, request: Request<Incoming>) -> Answer {
    let Some(codec) = codec(&request) else { return wrong_type() };
    let method = request.uri().path().strip_prefix(QUERIER).unwrap_or("").to_owned();
    let received = match routes.received(request).await {
        Ok(received) => received,
        Err(refusal) => return refused_body(&refusal),
    };
    let (store, own) = (Arc::clone(&routes.store), Arc::clone(&routes.own));
    let turn = Arc::clone(&routes.querying).acquire_owned().await.expect("never closed");
    let answered = spawn_blocking(move || {
        let _turn = turn;
        let begun = Instant::now();
        let plain = received.plain_within(querier::QUESTION_BYTES_MAX).map_err(|refusal| match refusal {
            BodyError::TooLarge => QuerierError::InvalidArgument(format!(
                "a question of more than {} bytes",
                querier::QUESTION_BYTES_MAX
            )),
            refusal => QuerierError::InvalidArgument(IngestError::from(refusal).to_string()),
        });
        let answered = plain.and_then(|body| querier::answer(&*store, &method, codec, &body));
        own.queried(begun);
        answered
    });
    match answered.await {
        Ok(Ok(body)) => content(StatusCode::OK, media_type(codec), body),
        Ok(Err(refusal)) => match refusal {
            QuerierError::InvalidArgument(message) => {
                error(StatusCode::BAD_REQUEST, "invalid_argument", &message)
            }
            QuerierError::Unimplemented(message) => {
                error(StatusCode::NOT_IMPLEMENTED, "unimplemented", &message)
            }
            QuerierError::ResourceExhausted(message) => {
                error(StatusCode::TOO_MANY_REQUESTS, "resource_exhausted", &message)
            }
            QuerierError::Internal(message) => error(StatusCode::INTERNAL_SERVER_ERROR, "internal", &message),
        },
        Err(_) => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the query failed; its reason is a defect of ours",
        ),
    }
}

fn codec(request: &Request<Incoming>) -> Option<Codec> {
    let media_type = header(request.headers(), CONTENT_TYPE);
    match media_type.split(';').next().unwrap_or("").trim() {
        "application/proto" | "application/protobuf" | "application/x-protobuf" => Some(Codec::Protobuf),
        "application/json" => Some(Codec::Json),
        _ => None,
    }
}

fn media_type(codec: Codec) -> &'static str {
    match codec {
        Codec::Protobuf => "application/proto",
        Codec::Json => "application/json",
    }
}

fn wrong_type() -> Answer {
    let message = "content-type: application/proto and application/json are understood";
    error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_argument", message)
}

fn refused_body(refusal: &BodyError) -> Answer {
    let answer = super::refused_body(refusal);
    let (code, message) = match refusal {
        BodyError::TooLarge => ("resource_exhausted", "the body is too large"),
        BodyError::Busy => ("resource_exhausted", "too many bodies are under way: try again later"),
        BodyError::Slow => ("deadline_exceeded", "the body did not arrive in time"),
        BodyError::Broken(what) => ("invalid_argument", *what),
    };
    with_retry_after(error(answer.status(), code, message))
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    content(status, "application/json", json!({"code": code, "message": message}).to_string())
}
