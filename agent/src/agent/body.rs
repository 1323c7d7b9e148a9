//! The body of an answer: whole, or in parts that are sent while the rest is still being made.
//!
//! What fits in one part is sent whole, with its length. A longer one is begun to be sent when its first part is full, so that making
//! it and sending it go on at the same time, and what has been sent need not be held. The thread that makes it never waits for the
//! one that sends it. A body whose end was not made is an error, not a shorter body.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Bytes, Frame, SizeHint};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// More than the answers of a few targets have.
const PART_BYTES: usize = 256 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it; `None` once it was taken.
    Whole(Option<Bytes>),
    /// As it comes.
    Parts(UnboundedReceiver<Part>),
}

/// A part of a body.
#[derive(Debug)]
pub(super) enum Part {
    Bytes(Bytes),
    End,
}

/// A body's end was never made.
#[derive(Debug)]
pub(super) struct Unfinished;

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer was not made to its end")
    }
}

impl std::error::Error for Unfinished {}

impl From<Infallible> for Unfinished {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::Whole(Some(bytes.into()).filter(|bytes| !bytes.is_empty()))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Unfinished;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Unfinished>>> {
        let parts = match self.get_mut() {
            Self::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Parts(parts) => parts,
        };
        Poll::Ready(match ready!(parts.poll_recv(context)) {
            Some(Part::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Part::End) => None,
            None => Some(Err(Unfinished)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Parts(_) => SizeHint::new(),
        }
    }
}

/// Makes a body for whoever waits for it. Writing fails where nobody does any more.
pub(super) struct Maker {
    part: Vec<u8>,
    progress: Progress,
}

enum Progress {
    /// Nothing was handed over yet.
    Waits(Option<oneshot::Sender<Body>>),
    Sends(UnboundedSender<Part>),
}

impl Maker {
    pub(super) fn new(answer: oneshot::Sender<Body>) -> Self {
        Self { part: Vec::new(), progress: Progress::Waits(Some(answer)) }
    }

    /// Hands over what is left.
    pub(super) fn finish(self) {
        match self.progress {
            Progress::Waits(answer) => {
                // Nobody waits any more: nothing to do, here as below.
                let _ = answer.map(|answer| answer.send(self.part.into()));
            }
            Progress::Sends(parts) => {
                let _ = parts.send(Part::Bytes(self.part.into()));
                let _ = parts.send(Part::End);
            }
        }
    }

    fn hand_over(&mut self) -> io::Result<()> {
        if let Progress::Waits(answer) = &mut self.progress {
            let (parts, body) = unbounded_channel();
            let sent = answer.take().ok_or_else(gone)?.send(Body::Parts(body));
            sent.map_err(|_| gone())?;
            self.progress = Progress::Sends(parts);
        }
        let Progress::Sends(parts) = &self.progress else { unreachable!("it was just begun") };
        let part = std::mem::replace(&mut self.part, Vec::with_capacity(PART_BYTES * 5 / 4));
        parts.send(Part::Bytes(part.into())).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Write for Maker {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        if self.part.len() >= PART_BYTES {
            self.hand_over()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use hyper::body::Body as _;

    use super::*;

    fn made(write: impl FnOnce(Maker)) -> Body {
        let (answer, mut body) = oneshot::channel();
        write(Maker::new(answer));
        body.try_recv().expect("it was handed over")
    }

    async fn bytes_of(body: Body) -> Result<Bytes, Unfinished> {
        body.collect().await.map(|collected| collected.to_bytes())
    }

    #[tokio::test]
    async fn a_short_body_has_its_length_and_a_long_one_comes_whole_in_parts() {
        let short = made(|mut maker| {
            maker.write_all(b"short").unwrap();
            maker.finish();
        });
        assert_eq!(short.size_hint().exact(), Some(5));
        assert_eq!(bytes_of(short).await.unwrap(), "short");
        let long: Vec<u8> = (0..3 * PART_BYTES + 17).map(|at| at as u8).collect();
        let in_parts = made(|mut maker| {
            long.chunks(1000).for_each(|chunk| maker.write_all(chunk).unwrap());
            maker.finish();
        });
        assert_eq!(in_parts.size_hint().exact(), None);
        assert_eq!(bytes_of(in_parts).await.unwrap(), long);
    }

    #[tokio::test]
    async fn a_body_whose_end_is_not_made_is_an_error() {
        let cut = made(|mut maker| maker.write_all(&vec![b'x'; 2 * PART_BYTES]).unwrap());
        bytes_of(cut).await.unwrap_err();
    }

    #[test]
    fn whoever_has_gone_away_gets_no_more_made() {
        let (answer, body) = oneshot::channel();
        drop(body);
        let mut maker = Maker::new(answer);
        assert!(maker.write_all(&vec![b'x'; PART_BYTES]).is_err());
    }
}
