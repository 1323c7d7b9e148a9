//! How the bytes of a stream are read and written.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{self, Errno};
use rustix::net::{
    self, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// How many descriptors one message carries at most that is received; what a peer sends beyond is closed by the kernel.
const DESCRIPTORS_MAX: usize = 60;

/// What kind of descriptor a stream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A socket.
    Socket,
    /// A UNIX socket over which descriptors are passed.
    Passing,
    /// Something else: a FIFO, a terminal.
    File,
}

impl Transport {
    /// Reads once. Descriptors that come with the bytes are put behind `received`.
    pub(crate) fn read(
        self,
        descriptor: impl AsFd,
        buffer: &mut [u8],
        received: &mut VecDeque<OwnedFd>,
    ) -> Result<usize, Errno> {
        match self {
            Self::Socket => net::recv(descriptor, buffer, RecvFlags::empty()).map(|(length, _)| length),
            Self::Passing => receive_passed(descriptor, buffer, received),
            Self::File => io::read(descriptor, buffer),
        }
    }

    /// Writes as much as the descriptor takes. A socket's peer that is gone gives `EPIPE`, not a signal. `sent` goes with
    /// the first byte.
    pub(crate) fn write(
        self,
        descriptor: impl AsFd,
        slices: &[IoSlice<'_>],
        sent: Option<&OwnedFd>,
    ) -> Result<usize, Errno> {
        match (self, slices) {
            (Self::File, [one]) => io::write(descriptor, one),
            (Self::File, many) => io::writev(descriptor, many),
            (_, [one]) if sent.is_none() => net::send(descriptor, one, SendFlags::NOSIGNAL),
            (_, many) => send_message(descriptor, many, sent),
        }
    }
}

fn send_message(socket: impl AsFd, slices: &[IoSlice<'_>], sent: Option<&OwnedFd>) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let sent = sent.map(|sent| [sent.as_fd()]);
    if let Some(sent) = &sent {
        control.push(SendAncillaryMessage::ScmRights(sent));
    }
    net::sendmsg(socket, slices, &mut control, SendFlags::NOSIGNAL)
}

fn receive_passed(
    socket: impl AsFd,
    buffer: &mut [u8],
    received: &mut VecDeque<OwnedFd>,
) -> Result<usize, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message =
        net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            received.extend(descriptors);
        }
    }
    Ok(message.bytes)
}
