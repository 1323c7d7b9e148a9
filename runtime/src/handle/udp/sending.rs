//! Sending datagrams.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::rc::Rc;

use model::label::RequestType;
use rustix::io::Errno;

use super::send_queue::{Data, Send, SendCallback};
use super::{Udp, UdpState};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::handle::buffer::Buffer;
use crate::request::ActiveRequest;
use crate::sys::datagram::{self, BATCH_MAX, Outgoing};

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
        self.send_data(to.into(), || Data::One(data.into()), Box::new(callback))
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
        self.send_data(to.into(), || Data::Many(data.into_iter().collect()), Box::new(callback))
    }

    fn send_data(
        &self,
        to: Option<SocketAddr>,
        data: impl FnOnce() -> Data,
        callback: SendCallback,
    ) -> Result<(), Error> {
        self.0.prepare_to_send(to)?;
        let active = ActiveRequest::begin(self.0.handle.core(), RequestType::UdpSend);
        self.0.send(Send { data: data(), to, callback, active, result: Ok(()) })
    }

    /// Sends a datagram if the socket takes it at once, and tells whether it did: not while others are on their way.
    ///
    /// # Errors
    /// Those of [`Udp::send`], and what the system says.
    pub fn try_send(&self, data: &[u8], to: impl Into<Option<SocketAddr>>) -> Result<bool, Error> {
        if self.0.sends.borrow().count() > 0 {
            return Ok(false);
        }
        let to = to.into();
        self.0.prepare_to_send(to)?;
        match datagram::send_one(&*self.0.socket()?, data, to) {
            Ok(()) => Ok(true),
            Err(errno) if would_wait(errno) => Ok(false),
            Err(errno) => Err(Error::system("sendmsg", errno)),
        }
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
                Err(errno) if would_wait(errno) => break,
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

/// Whether the socket takes nothing at the moment.
fn would_wait(errno: Errno) -> bool {
    matches!(errno, Errno::AGAIN | Errno::NOBUFS | Errno::INTR)
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
            Some(socket) => self.sends.borrow_mut().flush(socket),
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
            let ended = self.sends.borrow_mut().next_ended();
            let Some(Send { callback, active, result, .. }) = ended else { return };
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
        if udp.sends.borrow().any_ended() {
            udp.put_off();
        }
        // Should the kernel refuse to wait for the socket, the next round of what was put off tries again.
        if udp.update_interest().is_err() {
            udp.put_off();
        }
    }
}
