//! Requests that are not let in.
//!
//! Their answers are plain HTTP, whatever was asked: clients of gRPC take 401 for `UNAUTHENTICATED`, and 429 and 503 for `UNAVAILABLE`
//! (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>).

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Name or password are missing or wrong.
    Unknown,
    /// Too many requests; with the time after which to ask again.
    TooMany(Duration),
    /// Too many passwords wait to be checked.
    Busy,
}

impl Refusal {
    /// What is answered instead.
    pub(crate) fn answer<B: From<&'static str>>(self) -> Response<B> {
        let (status, body, name, value) = match self {
            Self::Unknown => (
                StatusCode::UNAUTHORIZED,
                "a user and the right password are needed\n",
                WWW_AUTHENTICATE,
                "Basic realm=\"loopscope\", charset=\"UTF-8\"".to_owned(),
            ),
            Self::TooMany(wait) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests\n",
                RETRY_AFTER,
                (wait.as_secs() + 1).to_string(),
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "too many passwords wait to be checked\n",
                RETRY_AFTER,
                "1".to_owned(),
            ),
        };
        let answer = Response::builder().status(status).header(CONTENT_TYPE, "text/plain; charset=utf-8");
        answer.header(name, value).body(body.into()).expect("status and headers are valid")
    }
}
