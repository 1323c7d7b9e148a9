//! Streams to be awaited: one layer over the callbacks of whatever is a [`Stream`].
//!
//! A stream that is read goes on reading into a buffer of its own while its task does something else, and stops while that
//! buffer is full; so a task that reads piece by piece costs neither a callback's memory nor a change of what the poll
//! watches each time.

use std::cell::RefCell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::oneshot;
use super::waiters::{Awaited, Source, Sourced, Waiter};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::buffer::Buffer;
use crate::handle::stream::Read;

/// How much a stream reads ahead of its task.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// A stream by callbacks: what [`AsyncStream`] needs of it.
pub trait Stream: Clone + 'static {
    /// Reads from now on; `callback` gets everything.
    ///
    /// # Errors
    /// Where the stream is closed, or cannot be watched.
    fn start_reading(
        &self,
        callback: impl FnMut(&EventLoop, &Self, Result<Read<'_>, Error>) + 'static,
    ) -> Result<(), Error>;

    /// Reads no more.
    fn stop_reading(&self);

    /// Writes all of `data`.
    ///
    /// # Errors
    /// Where the stream is closed, or nothing may be written any more.
    fn start_writing(
        &self,
        data: impl IntoIterator<Item = Buffer>,
        callback: impl FnOnce(&EventLoop, &Self, Result<(), Error>) + 'static,
    ) -> Result<(), Error>;

    /// Tells the other side that nothing more comes.
    ///
    /// # Errors
    /// Where the stream is closed, or that was told already.
    fn start_shutdown(
        &self,
        callback: impl FnOnce(&EventLoop, &Self, Result<(), Error>) + 'static,
    ) -> Result<(), Error>;

    /// Closes the stream.
    fn start_close(&self, callback: impl FnOnce(&EventLoop) + 'static);
}

/// Makes a [`Stream`] of a handle whose methods have the names and the shapes of a TCP stream's.
macro_rules! async_stream {
    ($stream:ty) => {
        impl $crate::future::Stream for $stream {
            fn start_reading(
                &self,
                callback: impl FnMut(&$crate::EventLoop, &Self, Result<$crate::Read<'_>, $crate::Error>) + 'static,
            ) -> Result<(), $crate::Error> {
                self.read_start(callback)
            }

            fn stop_reading(&self) {
                self.read_stop();
            }

            fn start_writing(
                &self,
                data: impl IntoIterator<Item = $crate::Buffer>,
                callback: impl FnOnce(&$crate::EventLoop, &Self, Result<(), $crate::Error>) + 'static,
            ) -> Result<(), $crate::Error> {
                self.write_vectored(data, callback)
            }

            fn start_shutdown(
                &self,
                callback: impl FnOnce(&$crate::EventLoop, &Self, Result<(), $crate::Error>) + 'static,
            ) -> Result<(), $crate::Error> {
                self.shutdown(callback)
            }

            fn start_close(&self, callback: impl FnOnce(&$crate::EventLoop) + 'static) {
                self.close_with(callback);
            }
        }
    };
}

pub(super) use async_stream;

/// A stream whose operations are awaited. It is closed when it is dropped.
///
/// Once it was read from, it keeps its loop alive until it has ended or is dropped.
pub struct AsyncStream<S: Stream> {
    stream: S,
    input: Rc<RefCell<Input>>,
}

#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
    /// How many of the bytes the task has got.
    taken: usize,
    /// The end, or the error that was it.
    end: Option<Result<(), Error>>,
    reading: bool,
    waiter: Waiter,
}

impl Awaited for Input {
    fn wakers(&mut self) -> impl IntoIterator<Item = Waker> + use<> {
        self.waiter.take()
    }
}

impl Sourced for Input {
    /// Whoever reads next begins anew, or learns why not.
    fn cut_off(&mut self) {
        self.reading = false;
    }
}

impl<S: Stream> AsyncStream<S> {
    /// A stream that is connected, or about to be. Nothing else should read from it.
    pub fn new(stream: S) -> Self {
        Self { stream, input: Rc::default() }
    }

    /// Awaits a connection that `start` begins, given the callback for its end.
    ///
    /// # Errors
    /// Where it cannot begin, or fails.
    pub async fn connect_with(start: impl FnOnce(OnConnect<S>) -> Result<S, Error>) -> Result<Self, Error> {
        let (sender, connected) = oneshot::channel();
        let stream = Self::new(start(Box::new(|_, _, result| sender.send(result)))?);
        connected.await.unwrap_or(Err(Error::Cancelled)).map(|()| stream)
    }

    /// Some bytes that came, at least one; 0 where the other side has sent everything, or `into` is empty.
    ///
    /// # Errors
    /// What the system says; [`Error::Closed`] once something else has closed the stream.
    pub async fn read(&mut self, into: &mut [u8]) -> Result<usize, Error> {
        self.readable().await?;
        Ok(self.input.borrow_mut().take(into))
    }

    /// Everything that has come; `None` where the other side has sent everything.
    ///
    /// # Errors
    /// Those of [`AsyncStream::read`].
    pub async fn read_chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let any = self.readable().await?;
        Ok(any.then(|| self.input.borrow_mut().take_all()))
    }

    /// Waits until there is something; gives `false` at the end.
    fn readable(&mut self) -> impl Future<Output = Result<bool, Error>> + '_ {
        poll_fn(|context| {
            {
                let mut input = self.input.borrow_mut();
                if input.taken < input.bytes.len() {
                    return Poll::Ready(Ok(true));
                }
                if let Some(end) = input.end {
                    return Poll::Ready(end.map(|()| false));
                }
                input.waiter.wait(context);
            }
            match self.read_ahead() {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
    }

    fn read_ahead(&self) -> Result<(), Error> {
        if self.input.borrow().reading {
            return Ok(());
        }
        let mut source = Source::new(&self.input);
        self.stream.start_reading(move |_, stream, read| {
            let mut full = false;
            // Reading stops before anybody is woken who might start it again.
            source.change(|input| {
                full = input.arrived(read);
                if full {
                    stream.stop_reading();
                }
            });
            if full {
                source.release();
            }
        })?;
        self.input.borrow_mut().reading = true;
        Ok(())
    }

    /// Writes all of `data`, behind everything that was written before. It is written also if this is not awaited to its
    /// end.
    ///
    /// # Errors
    /// What the system says; [`Error::ShutDown`].
    pub async fn write(&mut self, data: impl Into<Buffer>) -> Result<(), Error> {
        self.write_vectored([data.into()]).await
    }

    /// Writes several buffers at once; see [`AsyncStream::write`].
    ///
    /// # Errors
    /// Those of [`AsyncStream::write`].
    pub async fn write_vectored(&mut self, data: impl IntoIterator<Item = Buffer>) -> Result<(), Error> {
        let (sender, written) = oneshot::channel();
        self.stream.start_writing(data, |_, _, result| sender.send(result))?;
        written.await.unwrap_or(Err(Error::Cancelled))
    }

    /// Tells the other side, once everything is written, that nothing more comes.
    ///
    /// # Errors
    /// What the system says; [`Error::ShutDown`] if that was told already.
    pub async fn shutdown(&mut self) -> Result<(), Error> {
        let (sender, told) = oneshot::channel();
        self.stream.start_shutdown(|_, _, result| sender.send(result))?;
        told.await.unwrap_or(Err(Error::Cancelled))
    }

    /// Closes the stream, and waits until its requests have ended. Dropping it closes it, too.
    pub async fn close(self) {
        let (sender, closed) = oneshot::channel();
        self.stream.start_close(|_| sender.send(()));
        // The callback of a stream that something else closed is dropped.
        let _ = closed.await;
    }

    /// The stream by callbacks: to write to it from elsewhere, or to set options.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

/// What a connection calls at its end.
pub type OnConnect<S> = Box<dyn FnOnce(&EventLoop, &S, Result<(), Error>)>;

impl Input {
    /// Keeps what a read gave. Tells whether reading is to stop for now.
    fn arrived(&mut self, read: Result<Read<'_>, Error>) -> bool {
        match read {
            Ok(Read::Data(data)) => {
                self.bytes.drain(..self.taken);
                self.taken = 0;
                self.bytes.extend_from_slice(data);
                let full = self.bytes.len() >= READ_AHEAD_BYTES;
                self.reading = !full;
                full
            }
            Ok(Read::End) => {
                self.end = Some(Ok(()));
                false
            }
            Err(error) => {
                self.end = Some(Err(error));
                false
            }
        }
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let bytes = &self.bytes[self.taken..];
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.taken += length;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
        length
    }

    fn take_all(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..std::mem::take(&mut self.taken));
        bytes
    }
}

impl<S: Stream> Drop for AsyncStream<S> {
    fn drop(&mut self) {
        self.stream.start_close(|_| {});
    }
}

impl<S: Stream> fmt::Debug for AsyncStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncStream").finish_non_exhaustive()
    }
}
