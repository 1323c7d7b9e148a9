//! The body of a request, within bounds of size and time.
//!
//! All bodies together have a bound, too: a place for what a request may send is taken before the first byte is read, so many clients
//! that send slowly cost no more memory than few that do not. Who finds no place is told to come back.

use std::convert::Infallible;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The unit in which places are counted.
const PLACE_BYTES: usize = 4096;

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

/// A body that was read, and its place.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
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
        Self { places: Arc::new(Semaphore::new(all_bytes_max / PLACE_BYTES)), body_bytes_max, time_max }
    }

    /// Reads a body as it was sent.
    pub(super) async fn read(&self, body: Incoming) -> Result<Received, BodyError> {
        let size = body.size_hint();
        if size.lower() > self.body_bytes_max as u64 {
            return Err(BodyError::TooLarge);
        }
        // Without a length it may become as large as any.
        let expected =
            size.upper().map_or(self.body_bytes_max, |upper| (upper as usize).min(self.body_bytes_max));
        let places = (expected.div_ceil(PLACE_BYTES) as u32).max(1);
        let place = Arc::clone(&self.places).try_acquire_many_owned(places).map_err(|_| BodyError::Busy)?;
        let bytes = timeout(self.time_max, self.collect(body)).await.map_err(|_| BodyError::Slow)??;
        Ok(Received { bytes, _place: place })
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

    /// A body without the encoding that its header names; at most four times as large as a body may be sent.
    pub(super) fn decoded(&self, headers: &HeaderMap, bytes: Bytes) -> Result<Bytes, BodyError> {
        let limit = self.body_bytes_max as u64 * 4;
        match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes()) {
            None | Some(b"identity" | b"") => Ok(bytes),
            Some(b"gzip") => {
                let mut plain = Vec::new();
                let mut gzip = MultiGzDecoder::new(&*bytes).take(limit + 1);
                gzip.read_to_end(&mut plain).map_err(|_| BodyError::Broken("the body is no gzip"))?;
                if plain.len() as u64 > limit { Err(BodyError::TooLarge) } else { Ok(plain.into()) }
            }
            Some(_) => Err(BodyError::Broken("content-encoding: only gzip is read")),
        }
    }
}
