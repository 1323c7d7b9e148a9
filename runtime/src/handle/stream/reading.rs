//! Reading.

use std::cell::RefCell;
use std::rc::Rc;

use rustix::io::Errno;

use super::StreamState;
use crate::error::Error;
use crate::event_loop::EventLoop;

/// How much is read at once. It is twice libuv's suggestion, so that what a busy peer sends in an iteration comes with one
/// call; TCP then also acknowledges less often. The row `tcp_pump` of the bench `libuv` takes a fifth less with it.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// How many times a stream is read in a row before others get their turn; libuv's number.
const READ_ROUNDS: usize = 32;

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// Some bytes; at least one. They are the callback's only while it runs.
    Data(&'a [u8]),
    /// The peer has sent everything. Nothing more will be read.
    End,
}

pub(crate) type ReadCallback = Rc<RefCell<dyn FnMut(&EventLoop, &Rc<StreamState>, Result<Read<'_>, Error>)>>;

impl StreamState {
    pub(crate) fn read_start(self: &Rc<Self>, callback: ReadCallback) -> Result<(), Error> {
        self.descriptor()?;
        let replaced = self.reading.replace(Some(callback));
        drop(replaced);
        self.handle.set_active(true);
        let started = self.update_interest();
        if started.is_err() {
            self.read_stop();
        }
        started
    }

    pub(crate) fn read_stop(self: &Rc<Self>) {
        self.handle.set_active(false);
        let callback = self.reading.take();
        drop(callback);
        // Wanting less takes effect at the next poll, and is never refused.
        let _ = self.update_interest();
    }

    /// Reads what there is, and calls back for it.
    pub(super) fn read(self: &Rc<Self>, event_loop: &EventLoop) {
        let mut lent = LentBuffer::new(event_loop);
        for _ in 0..READ_ROUNDS {
            let callback = self.reading.borrow().clone();
            let (Some(callback), Ok(descriptor)) = (callback, self.descriptor()) else { return };
            // Datagrams may have made it larger.
            let buffer = &mut lent.buffer[..READ_BUFFER_BYTES];
            let read = self.transport().read(&*descriptor, buffer, &mut self.received.borrow_mut());
            let result = match read {
                Ok(0) => Ok(Read::End),
                Ok(length) => Ok(Read::Data(&lent.buffer[..length])),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return,
                Err(errno) => Err(Error::system("read", errno)),
            };
            // What does not fill the buffer was all that there was.
            let more = matches!(result, Ok(Read::Data(data)) if data.len() == READ_BUFFER_BYTES);
            if !matches!(result, Ok(Read::Data(_))) {
                self.read_stop();
            }
            event_loop.call(|event_loop| callback.borrow_mut()(event_loop, self, result));
            if !more {
                return;
            }
        }
    }

    /// Tells the end of a stream that hung up and has nothing left to read: terminals and pipes do, without a word of
    /// their own.
    pub(super) fn read_end(self: &Rc<Self>, event_loop: &EventLoop) {
        let callback = self.reading.borrow().clone();
        let Some(callback) = callback else { return };
        self.read_stop();
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, self, Ok(Read::End)));
    }
}

/// The loop's read buffer, of [`READ_BUFFER_BYTES`] or more, until dropped. One is enough, for a stream is never read from
/// within a read's callback.
pub(crate) struct LentBuffer<'a> {
    event_loop: &'a EventLoop,
    pub(crate) buffer: Vec<u8>,
}

impl<'a> LentBuffer<'a> {
    pub(crate) fn new(event_loop: &'a EventLoop) -> Self {
        let mut buffer = event_loop.core.read_buffer.take();
        if buffer.len() < READ_BUFFER_BYTES {
            buffer.resize(READ_BUFFER_BYTES, 0);
        }
        Self { event_loop, buffer }
    }
}

impl Drop for LentBuffer<'_> {
    fn drop(&mut self) {
        self.event_loop.core.read_buffer.replace(std::mem::take(&mut self.buffer));
    }
}
