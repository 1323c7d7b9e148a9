//! Answers, and why there is none.

use std::io;

use serde_json::{Value, json};

use crate::store::StoreError;

/// The content of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) media_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl Content {
    pub(crate) fn json(mut answer: Value, warnings: &[String]) -> Self {
        if !warnings.is_empty() {
            answer["warnings"] = json!(warnings);
        }
        Self { media_type: "application/json", body: answer.to_string().into_bytes() }
    }

    pub(super) fn pprof(body: Vec<u8>) -> Self {
        Self { media_type: "application/vnd.google.protobuf+gzip", body }
    }

    pub(super) fn text(body: Vec<u8>) -> Self {
        Self { media_type: "text/plain; charset=utf-8", body }
    }

    pub(super) fn svg(body: Vec<u8>) -> Self {
        Self { media_type: "image/svg+xml", body }
    }
}

/// Why a question is not answered.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// It does not say what it should.
    Request(String),
    /// There is no such path.
    NotFound,
    /// The store cannot tell.
    Store(StoreError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        Self::Store(StoreError::Io(error))
    }
}
