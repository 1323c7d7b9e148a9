//! What is served: which path leads where.

mod connect;
mod otlp;

use std::num::NonZero;
use std::sync::Arc;
use std::time::Instant;

use formats::decode::Limits;
use formats::otlp::Distributions;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, VARY};
use hyper::{Method, Request, Response, StatusCode};
use model::label::IngestOutcome;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::body::{AnswerBody, BodyError, Received, Room};
use super::compress;
use crate::api::{self, ApiError, Content, Parameters};
use crate::config::Settings;
use crate::ingest::{IngestError, pyroscope};
use crate::lag::{Lag, Taken};
use crate::own_metrics::{OwnMetrics, outcome_of};
use crate::store::embedded::EmbeddedStore;
use crate::store::{AppendError, Batch, Store, StoreError};
use crate::web;

/// An answer, all there.
pub(super) type Answer = Response<AnswerBody>;

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// Where the lag is asked for.
const LAG: &str = "/api/v1/lag";

/// The answers to all requests.
#[derive(Debug)]
pub(super) struct Routes {
    store: Arc<EmbeddedStore>,
    lag: Arc<Lag>,
    limits: Limits,
    room: Room,
    /// Turns of those that decode: each may take many times what its body does.
    decoding: Arc<Semaphore>,
    /// Turns of those that query.
    querying: Arc<Semaphore>,
    own: Arc<OwnMetrics>,
}

impl Routes {
    pub(super) fn new(store: EmbeddedStore, lag: Lag, settings: &Settings) -> Self {
        let room = Room::new(settings.body_bytes_max, settings.bodies_bytes_max, settings.body_time_max);
        Self {
            store: Arc::new(store),
            lag: Arc::new(lag),
            limits: settings.limits.clone(),
            room,
            decoding: turns(),
            querying: turns(),
            own: Arc::default(),
        }
    }

    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if let (&Method::POST, Some((signal, transport))) = (request.method(), otlp::of_path(path)) {
            return otlp::take(self, request, signal, transport).await;
        }
        match path {
            "/ingest" if request.method() == Method::POST => self.ingest(request).await,
            "/push.v1.PusherService/Push" if request.method() == Method::POST => {
                connect::push(self, request).await
            }
            _ if path.starts_with(connect::QUERIER) && request.method() == Method::POST => {
                connect::query(self, request).await
            }
            _ if path.starts_with("/api/v1/") && reads => self.query(request).await,
            "/metrics" if reads => self.metrics(request.headers()).await,
            "/-/healthy" if reads => content(StatusCode::OK, PLAIN_TEXT, "loopscope-collector is healthy\n"),
            "/-/ready" if reads => content(StatusCode::OK, PLAIN_TEXT, "loopscope-collector is ready\n"),
            _ if !reads => error(StatusCode::METHOD_NOT_ALLOWED, "this is not taken here"),
            _ => match web::answer(path, request.headers()) {
                Some(file) => file.map(AnswerBody::new),
                None => error(StatusCode::NOT_FOUND, "not found; docs/collector.md tells what there is"),
            },
        }
    }

    async fn query(&self, request: Request<Incoming>) -> Answer {
        let (store, lag, own) = (Arc::clone(&self.store), Arc::clone(&self.lag), Arc::clone(&self.own));
        let path = request.uri().path().to_owned();
        let parameters = Parameters::new(request.uri().query().unwrap_or(""));
        let takes_gzip = compress::is_accepted(request.headers());
        let turn = Arc::clone(&self.querying).acquire_owned().await.expect("never closed");
        let answered = spawn_blocking(move || {
            let _turn = turn;
            let begun = Instant::now();
            let answered = match path.as_str() {
                LAG => lag.answer(&parameters),
                path => api::answer(&*store, path, &parameters),
            };
            own.queried(begun);
            answered.map(|Content { media_type, body }| {
                let compressed = takes_gzip.then(|| compress::gzip(&body)).flatten();
                (media_type, body, compressed)
            })
        });
        let answered = answered.await;
        match answered {
            Ok(Ok((media_type, _, Some(compressed)))) => {
                let mut answer = content(StatusCode::OK, media_type, compressed);
                answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                answer.headers_mut().insert(VARY, HeaderValue::from_static("accept-encoding"));
                answer
            }
            Ok(Ok((media_type, body, None))) => content(StatusCode::OK, media_type, body),
            Ok(Err(ApiError::Request(message))) => error(StatusCode::BAD_REQUEST, &message),
            Ok(Err(ApiError::NotFound)) => {
                error(StatusCode::NOT_FOUND, "not found; docs/collector.md tells what there is")
            }
            Ok(Err(ApiError::Store(failure @ StoreError::TooMuch { .. }))) => {
                error(StatusCode::UNPROCESSABLE_ENTITY, &failure.to_string())
            }
            Ok(Err(ApiError::Store(failure))) => {
                error(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string())
            }
            Err(_) => {
                error(StatusCode::INTERNAL_SERVER_ERROR, "the query failed; its reason is a defect of ours")
            }
        }
    }

    async fn ingest(&self, request: Request<Incoming>) -> Answer {
        let given = Parameters::new(request.uri().query().unwrap_or(""));
        let text = |name| given.get(name).map(str::to_owned);
        let parameters = pyroscope::Parameters {
            name: text("name").unwrap_or_default(),
            from: text("from"),
            format: text("format"),
            sample_rate: text("sampleRate"),
            units: text("units"),
            content_type: header(request.headers(), CONTENT_TYPE),
        };
        let received = match self.body(request).await {
            Ok(received) => received,
            Err(refusal) => return refused_body(&refusal),
        };
        match self.store(received, move |body, limits| pyroscope::read(&parameters, body, limits)).await {
            Ok(()) => content(StatusCode::OK, PLAIN_TEXT, ""),
            Err(refusal) => refused(&refusal),
        }
    }

    /// The body of a request that brings something to keep.
    async fn body(&self, request: Request<Incoming>) -> Result<Received, BodyError> {
        let begun = Instant::now();
        let received = self.received(request).await;
        if let Err(refusal) = &received {
            let outcome = match refusal {
                BodyError::TooLarge => IngestOutcome::Limited,
                BodyError::Busy => IngestOutcome::Busy,
                BodyError::Slow | BodyError::Broken(_) => IngestOutcome::Malformed,
            };
            self.own.ingested(outcome, begun);
        }
        received
    }

    /// The body of any request.
    async fn received(&self, request: Request<Incoming>) -> Result<Received, BodyError> {
        let (head, body) = request.into_parts();
        self.room.read(&head.headers, body).await
    }

    /// Reads what was sent and stores it, beside the threads that serve sockets; no more at once than there is memory for.
    async fn store(
        &self,
        received: Received,
        read: impl FnOnce(&[u8], &Limits) -> Result<Batch, IngestError> + Send + 'static,
    ) -> Result<(), IngestError> {
        let begun = Instant::now();
        let (store, limits) = (Arc::clone(&self.store), self.limits.clone());
        let turn = Arc::clone(&self.decoding).acquire_owned().await.expect("never closed");
        let stored = spawn_blocking(move || {
            let batch = read(&received.plain()?, &limits)?;
            // What waits for the disk takes no decoder's turn; its body is no longer needed.
            drop((turn, received));
            Ok(store.append(batch)?)
        });
        let stored = stored.await.unwrap_or(Err(IngestError::Defect));
        let outcome = stored.as_ref().err().map_or(IngestOutcome::Stored, outcome_of);
        self.own.ingested(outcome, begun);
        stored
    }

    /// Keeps what metrics tell of lag, likewise.
    async fn keep_lag(
        &self,
        received: Received,
        read: impl FnOnce(&[u8], &Limits) -> Result<Distributions, IngestError> + Send + 'static,
    ) -> Result<(), IngestError> {
        let begun = Instant::now();
        let (lag, limits) = (Arc::clone(&self.lag), self.limits.clone());
        let turn = Arc::clone(&self.decoding).acquire_owned().await.expect("never closed");
        let taken = spawn_blocking(move || {
            let found = read(&received.plain()?, &limits)?;
            drop((turn, received));
            lag.keep(found)
        });
        let taken: Result<Taken, _> = taken.await.unwrap_or(Err(IngestError::Defect));
        self.own.ingested(taken.as_ref().err().map_or(IngestOutcome::Stored, outcome_of), begun);
        taken.map(|taken| self.own.points(taken))
    }

    async fn metrics(&self, headers: &HeaderMap) -> Answer {
        let (store, lag, own) = (Arc::clone(&self.store), Arc::clone(&self.lag), Arc::clone(&self.own));
        let accept = header(headers, ACCEPT);
        // Sizes are the stores' to tell, whose locks a query may hold for a while.
        let told = spawn_blocking(move || own.exposition(&accept, &store.sizes().and(&lag.sizes())));
        match told.await {
            Ok((media_type, body)) => content(StatusCode::OK, media_type, body),
            Err(_) => {
                error(StatusCode::INTERNAL_SERVER_ERROR, "a defect of ours kept the metrics from being told")
            }
        }
    }
}

fn turns() -> Arc<Semaphore> {
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    Arc::new(Semaphore::new(cores.clamp(2, 16)))
}

/// The status of a refusal.
fn status_of(refusal: &IngestError) -> StatusCode {
    match refusal {
        IngestError::Request(_) => StatusCode::BAD_REQUEST,
        IngestError::Decode(formats::decode::DecodeError::TooMuch { .. }) => StatusCode::UNPROCESSABLE_ENTITY,
        IngestError::Decode(_) => StatusCode::BAD_REQUEST,
        IngestError::Label(_) => StatusCode::UNPROCESSABLE_ENTITY,
        IngestError::Append(AppendError::Time { .. } | AppendError::TooManySeries { .. }) => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        IngestError::TooLarge | IngestError::Append(AppendError::TooLarge { .. }) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        IngestError::Append(AppendError::Busy) => StatusCode::TOO_MANY_REQUESTS,
        IngestError::Append(AppendError::Full(_)) => StatusCode::INSUFFICIENT_STORAGE,
        IngestError::Append(AppendError::Io(_)) | IngestError::Defect => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn refused(refusal: &IngestError) -> Answer {
    let status = status_of(refusal);
    with_retry_after(error(status, &refusal.to_string()))
}

/// Who sent too much at once is told when to come back.
fn with_retry_after(mut answer: Answer) -> Answer {
    if answer.status() == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

impl From<BodyError> for IngestError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Broken(what) => Self::Request(what.to_owned()),
            // Those that are read have neither.
            BodyError::Busy | BodyError::Slow => Self::Defect,
        }
    }
}

fn refused_body(refusal: &BodyError) -> Answer {
    match refusal {
        BodyError::TooLarge => error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too large: send less at once, or raise the limit body",
        ),
        BodyError::Busy => {
            let message = "too many bodies are under way: try again later";
            with_retry_after(error(StatusCode::TOO_MANY_REQUESTS, message))
        }
        BodyError::Slow => error(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"),
        BodyError::Broken(what) => error(StatusCode::BAD_REQUEST, what),
    }
}

fn header(headers: &HeaderMap, name: hyper::header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned()
}

fn error(status: StatusCode, message: &str) -> Answer {
    content(status, "application/json", json!({ "error": message }).to_string())
}

fn content(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(AnswerBody::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, media_type.parse().expect("a valid header"));
    answer
}
