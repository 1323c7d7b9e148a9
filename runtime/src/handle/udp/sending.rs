//! Sending datagrams.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;

use model::label::RequestType;
use rustix::io::Errno;

use super::{Udp, UdpState};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::buffer::Buffer;
use crate::request::ActiveRequest;
use crate::sys::datagram::{self, BATCH_MAX, Outgoing};

type SendCallback = Box<dyn FnOnce(&EventLoop, &Udp, Result<(), Error>)>;

/// What is to be sent, and what was and has not called back.
#[derive(Default)]
pub(super) struct SendQueue {
    waiting: VecDeque<Send>,
    done: VecDeque<(Send, Result<(), Error>)>,
    bytes: u64,
}

struct Send {
    data: Vec<Buffer>,
    to: Option<SocketAddr>,
    callback: SendCallback,
    active: ActiveRequest,
}

impl Send {
    fn bytes(&self) -> u64 {
        self.data.iter().map(|buffer| buffer.len() as u64).sum()
    }

    fn outgoing(&self) -> Outgoing<'_> {
        (self.data.iter().map(|buffer| IoSlice::new(buffer)).collect(), self.to)
    }
}

impl SendQueue {
    fn push(&mut self, send: Send) {
        self.bytes += send.bytes();
        self.waiting.push_back(send);
    }

    /// Whether something is to be sent.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many requests have not called back.
    pub(super) fn count(&self) -> usize {
        self.waiting.len() + self.done.len()
    }

    /// Sends until everything is sent, the socket takes no more, or one fails: then that one has ended. Tells whether
    /// any has.
    fn flush(&mut self, send: impl Fn(&[Outgoing<'_>]) -> Result<usize, Errno>) -> bool {
        let before = self.done.len();
        while !self.waiting.is_empty() {
            let batch: Vec<_> = self.waiting.iter().take(BATCH_MAX).map(Send::outgoing).collect();
            match send(&batch) {
                Ok(sent) => self.end_first(sent, Ok(())),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS) => break,
                Err(errno) => {
                    self.end_first(1, Err(Error::system("sendmsg", errno)));
                    break;
                }
            }
        }
        self.done.len() > before
    }

    fn end_first(&mut self, count: usize, result: Result<(), Error>) {
        let ended = self.waiting.drain(..count.min(self.waiting.len()));
        self.done.extend(ended.map(|send| (send, result)));
    }

    pub(super) fn cancel(&mut self) {
        self.end_first(usize::MAX, Err(Error::Cancelled));
    }

    fn next_done(&mut self) -> Option<(Send, Result<(), Error>)> {
        let (send, result) = self.done.pop_front()?;
        self.bytes -= send.bytes();
        Some((send, result))
    }
}

impl Udp {
    /// Sends a datagram: to an address, or, with `None`, to the one that the socket is connected to. What the socket takes at
    /// once is sent at once; the callback runs later in any case.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Invalid`] of an address where the socket is connected, or of none where it is not; where
    /// the system gives no socket. The callback is then dropped. Everything else that goes wrong is told to the callback.
    pub fn send(
        &self,
        data: impl Into<Buffer>,
        to: impl Into<Option<SocketAddr>>,
        callback: impl FnOnce(&EventLoop, &Udp, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        self.send_vectored([data.into()], to, callback)
    }

    /// Sends several buffers as one datagram; see [`Udp::send`].
    ///
    /// # Errors
    /// Those of [`Udp::send`].
    pub fn send_vectored(
        &self,
        data: impl IntoIterator<Item = Buffer>,
        to: impl Into<Option<SocketAddr>>,
        callback: impl FnOnce(&EventLoop, &Udp, Result<(), Error>) + 'static,
    ) -> Result<(), Error> {
        let to = to.into();
        self.0.prepare_to_send(to)?;
        let active = ActiveRequest::begin(self.0.handle.core(), RequestType::UdpSend);
        let data = data.into_iter().collect();
        self.0.send(Send { data, to, callback: Box::new(callback), active })
    }

    /// Sends a datagram if the socket takes it at once, and tells whether it did: not while others are on their way.
    ///
    /// # Errors
    /// Those of [`Udp::send`], and what the system says.
    pub fn try_send(&self, data: &[u8], to: impl Into<Option<SocketAddr>>) -> Result<bool, Error> {
        self.try_send_many(&[(data, to.into())]).map(|sent| sent == 1)
    }

    /// Sends as many of the datagrams as the socket takes at once, with few system calls, and gives their number.
    ///
    /// # Errors
    /// Those of [`Udp::send`]; what the system says of the first. One behind it that fails is not sent, and none after it.
    pub fn try_send_many(&self, datagrams: &[(&[u8], Option<SocketAddr>)]) -> Result<usize, Error> {
        if self.0.sends.borrow().count() > 0 {
            return Ok(0);
        }
        let mut sent = 0;
        for batch in datagrams.chunks(BATCH_MAX) {
            for (_, to) in batch {
                self.0.prepare_to_send(*to)?;
            }
            let outgoing: Vec<Outgoing<'_>> =
                batch.iter().map(|(data, to)| (vec![IoSlice::new(data)], *to)).collect();
            match datagram::send(&*self.0.socket()?, &outgoing) {
                Ok(count) => sent += count,
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => break,
                Err(errno) if sent == 0 => return Err(Error::system("sendmsg", errno)),
                Err(_) => break,
            }
            if sent % BATCH_MAX != 0 {
                break;
            }
        }
        Ok(sent)
    }

    /// How many bytes were given to [`Udp::send`] whose callbacks have not run.
    pub fn send_queue_bytes(&self) -> u64 {
        self.0.sends.borrow().bytes
    }

    /// How many calls of [`Udp::send`] there were whose callbacks have not run.
    pub fn send_queue_count(&self) -> usize {
        self.0.sends.borrow().count()
    }
}

impl UdpState {
    fn prepare_to_send(&self, to: Option<SocketAddr>) -> Result<(), Error> {
        self.handle.expect_open()?;
        match (to, self.connected.get()) {
            (Some(_), true) => Err(Error::Invalid { reason: "the socket is connected: give no address" }),
            (None, false) => Err(Error::Invalid { reason: "the socket is not connected: give an address" }),
            (None, true) => Ok(()),
            (Some(to), false) => self.bound_socket_for(to).map(drop),
        }
    }

    fn send(self: &Rc<Self>, send: Send) -> Result<(), Error> {
        let nothing_before = self.sends.borrow().count() == 0;
        self.sends.borrow_mut().push(send);
        if nothing_before && !self.calling_back.get() {
            self.flush();
        }
        self.update_interest()
    }

    /// Sends what the socket takes.
    fn flush(self: &Rc<Self>) {
        let any_ended = match &*self.socket.borrow() {
            Some(socket) => self.sends.borrow_mut().flush(|batch| datagram::send(&**socket, batch)),
            None => false,
        };
        if any_ended {
            self.put_off();
        }
    }

    /// The socket takes more, or something has ended.
    pub(super) fn send_on(self: &Rc<Self>, event_loop: &EventLoop) {
        if !self.handle.is_closing() {
            self.flush();
            self.call_back_sends(event_loop);
        }
    }

    /// Calls back for what has ended.
    pub(super) fn call_back_sends(self: &Rc<Self>, event_loop: &EventLoop) {
        if self.sends.borrow().count() == 0 {
            return;
        }
        let _calling_back = CallingBack::begin(self);
        loop {
            let done = self.sends.borrow_mut().next_done();
            let Some((Send { callback, active, .. }, result)) = done else { return };
            drop(active);
            let udp = Udp(Rc::clone(self));
            event_loop.call(|event_loop| callback(event_loop, &udp, result));
        }
    }
}

/// While send callbacks run. When it ends, by a panic too, what is left is put off.
struct CallingBack<'a>(&'a Rc<UdpState>);

impl<'a> CallingBack<'a> {
    fn begin(udp: &'a Rc<UdpState>) -> Self {
        udp.calling_back.set(true);
        Self(udp)
    }
}

impl Drop for CallingBack<'_> {
    fn drop(&mut self) {
        let udp = self.0;
        udp.calling_back.set(false);
        if udp.handle.is_closing() {
            return;
        }
        if !udp.sends.borrow().done.is_empty() {
            udp.put_off();
        }
        // Should the kernel refuse to wait for the socket, the next round of what was put off tries again.
        if udp.update_interest().is_err() {
            udp.put_off();
        }
    }
}
