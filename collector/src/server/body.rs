//! The body of a request, within bounds of size and time.
//!
//! All bodies together have a bound, too: a place for what a request may send is taken before the first byte is read, so many clients
//! that send slowly cost no more memory than few that do not. Who finds no place is told to come back.
//!
//! A body stays as it was sent until somebody works on it: inflating takes a CPU for as long as decoding does, and is done where that is.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use formats::decode::{InflateError, inflate};
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The unit in which places are counted.
const PLACE_BYTES: usize = 4096;
/// How many times as large as a body may be sent it may become.
const INFLATED_MAX: usize = 4;

/// The body of an answer: one piece, and trailers where the protocol has them.
#[derive(Debug)]
pub(super) struct AnswerBody {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl AnswerBody {
    /// Without trailers.
    pub(super) fn new(data: impl Into<Bytes>) -> Self {
        Self { data: Some(data.into()).filter(|data| !data.is_empty()), trailers: None }
    }

    /// With trailers.
    pub(super) fn with_trailers(data: Bytes, trailers: HeaderMap) -> Self {
        Self { data: Some(data), trailers: Some(trailers) }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// Room for bodies.
#[derive(Debug)]
pub(super) struct Room {
    places: Arc<Semaphore>,
    body_bytes_max: usize,
    time_max: Duration,
}

/// A body as it was sent, and its place.
#[derive(Debug)]
pub(super) struct Received {
    sent: Bytes,
    is_gzip: bool,
    plain_bytes_max: usize,
    _place: OwnedSemaphorePermit,
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge,
    /// There is no room.
    Busy,
    Slow,
    /// The connection broke, or it is not encoded as it says.
    Broken(&'static str),
}

impl Room {
    pub(super) fn new(body_bytes_max: usize, all_bytes_max: usize, time_max: Duration) -> Self {
        // Rounded as the places of a body are: one that is as large as all may be has a place.
        let places = all_bytes_max.max(body_bytes_max).div_ceil(PLACE_BYTES).max(1);
        Self { places: Arc::new(Semaphore::new(places)), body_bytes_max, time_max }
    }

    /// Reads a body.
    pub(super) async fn read(&self, headers: &HeaderMap, body: Incoming) -> Result<Received, BodyError> {
        let is_gzip = match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
            None | Some(b"identity" | b"") => false,
            Some(b"gzip") => true,
            Some(_) => return Err(BodyError::Broken("content-encoding: only gzip is read")),
        };
        let size = body.size_hint();
        if size.lower() > self.body_bytes_max as u64 {
            return Err(BodyError::TooLarge);
        }
        // Without a length it may become as large as any.
        let expected =
            size.upper().map_or(self.body_bytes_max, |upper| (upper as usize).min(self.body_bytes_max));
        let places = (expected.div_ceil(PLACE_BYTES) as u32).max(1);
        let place = Arc::clone(&self.places).try_acquire_many_owned(places).map_err(|_| BodyError::Busy)?;
        let sent = timeout(self.time_max, self.collect(body)).await.map_err(|_| BodyError::Slow)??;
        let plain_bytes_max = self.body_bytes_max.saturating_mul(INFLATED_MAX);
        Ok(Received { sent, is_gzip, plain_bytes_max, _place: place })
    }

    async fn collect(&self, mut body: Incoming) -> Result<Bytes, BodyError> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| BodyError::Broken("the connection ended within the body"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > self.body_bytes_max {
                return Err(BodyError::TooLarge);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes.into())
    }
}

impl Received {
    /// The body without the encoding that its header names. Not for threads that serve sockets: it takes its time.
    pub(super) fn plain(&self) -> Result<Cow<'_, [u8]>, BodyError> {
        self.plain_within(self.plain_bytes_max)
    }

    /// The same of a body that may have no more than so many bytes.
    pub(super) fn plain_within(&self, bytes_max: usize) -> Result<Cow<'_, [u8]>, BodyError> {
        if !self.is_gzip {
            let is_within = self.sent.len() <= bytes_max;
            return if is_within { Ok(Cow::Borrowed(&self.sent)) } else { Err(BodyError::TooLarge) };
        }
        inflate(&self.sent, bytes_max).map(Cow::Owned).map_err(|error| match error {
            InflateError::Malformed => BodyError::Broken("the body is no gzip"),
            InflateError::TooLarge(_) => BodyError::TooLarge,
        })
    }
}
