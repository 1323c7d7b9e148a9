//! What is served: one function a path.

use std::sync::{Arc, Mutex, PoisonError};

use formats::prometheus;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use serve::encoding::accepts_gzip;

use super::body::Body;
use super::names::Names;
use super::own_metrics::OwnMetrics;
use super::slow_log::SlowLog;
use super::worker::{NoAnswer, Worker};
use crate::clock;
use crate::config::Settings;

const LANDING_PAGE: &str = include_str!("landing.html");
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// The answers to all requests.
pub(super) struct Routes {
    worker: Worker,
    own: Arc<OwnMetrics>,
    slow_log: Arc<SlowLog>,
    /// The names of a scrape that asks for none.
    names: Mutex<Names>,
}

/// An answer.
pub(super) type Answer = Response<Body>;

impl Routes {
    pub(super) fn new(worker: Worker, own: Arc<OwnMetrics>, slow_log: Arc<SlowLog>, names: Names) -> Self {
        Self { worker, own, slow_log, names: Mutex::new(names) }
    }

    /// Goes on by other settings.
    pub(super) fn reconfigure(&self, settings: Settings) {
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = settings.names;
        self.worker.reconfigure(settings);
    }

    /// Answers one request. Its body, if it has one, is not read.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are served here\n");
            refusal.headers_mut().insert(ALLOW, "GET, HEAD".parse().expect("a valid header"));
            return refusal;
        }
        match request.uri().path() {
            "/metrics" => match Names::asked(request.uri().query()) {
                Ok(names) => self.metrics(names, request.headers()).await,
                Err(message) => text(StatusCode::BAD_REQUEST, message),
            },
            "/slow" => with_type(StatusCode::OK, "application/json", self.slow_log.json(clock::now())),
            "/-/healthy" => text(StatusCode::OK, "loopscope is healthy\n"),
            "/-/ready" if self.worker.is_ready() => text(StatusCode::OK, "loopscope is ready\n"),
            "/-/ready" => text(StatusCode::SERVICE_UNAVAILABLE, "the first search for targets is not done\n"),
            "/" => with_type(
                StatusCode::OK,
                "text/html; charset=utf-8",
                LANDING_PAGE.replace("{version}", env!("CARGO_PKG_VERSION")),
            ),
            _ => text(StatusCode::NOT_FOUND, "not found; there are /metrics and /slow\n"),
        }
    }

    async fn metrics(&self, names: Option<Names>, headers: &HeaderMap) -> Answer {
        let names = names.unwrap_or_else(|| *self.names.lock().unwrap_or_else(PoisonError::into_inner));
        let format = prometheus::negotiate(&values(headers, ACCEPT).collect::<Vec<_>>().join(","));
        let gzip = accepts_gzip(values(headers, ACCEPT_ENCODING));
        match self.worker.scrape(names, format, gzip).await {
            Ok(body) => {
                let mut answer = with_type(StatusCode::OK, prometheus::content_type(format), body);
                let headers = answer.headers_mut();
                headers.insert(VARY, "accept, accept-encoding".parse().expect("a valid header"));
                if gzip {
                    headers.insert(CONTENT_ENCODING, "gzip".parse().expect("a valid header"));
                }
                answer
            }
            Err(NoAnswer::Busy) => {
                self.own.scrape_rejected();
                let mut refusal = text(StatusCode::SERVICE_UNAVAILABLE, "too many scrapes are under way\n");
                refusal.headers_mut().insert(RETRY_AFTER, "1".parse().expect("a valid header"));
                refusal
            }
            Err(NoAnswer::Ended) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the thread that measures has ended; restart loopscope\n",
            ),
        }
    }
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    with_type(status, PLAIN_TEXT, body)
}

fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Answer {
    let answer = Response::builder().status(status).header(CONTENT_TYPE, content_type);
    answer.body(body.into()).expect("status and header are valid")
}

/// A header that may be given several times.
fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}
