//! Descriptors of any kind.

use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;

use model::label::HandleType;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;

/// Lets go of a descriptor. The standard ones stay open, as in libuv: whatever is opened next would become the
/// program's standard input or output.
pub(crate) fn close_unless_standard(descriptor: Rc<OwnedFd>) {
    if descriptor.as_raw_fd() <= libc::STDERR_FILENO
        && let Ok(descriptor) = Rc::try_unwrap(descriptor)
    {
        let _ = descriptor.into_raw_fd();
    }
}

/// Whether reads and writes wait until they can be done.
pub(crate) fn set_blocking(descriptor: impl AsFd, on: bool) -> Result<(), Errno> {
    let flags = fcntl_getfl(&descriptor)?;
    let mut changed = flags;
    changed.set(OFlags::NONBLOCK, !on);
    if changed == flags { Ok(()) } else { fcntl_setfl(descriptor, changed) }
}

/// Whether it can be read and written, by the mode that it was opened with.
pub(crate) fn directions(descriptor: impl AsFd) -> Result<(bool, bool), Errno> {
    let mode = fcntl_getfl(descriptor)? & OFlags::ACCMODE;
    Ok((mode != OFlags::WRONLY, mode != OFlags::RDONLY))
}

/// A descriptor to be kept for a time when there are none.
pub(crate) fn spare() -> Result<OwnedFd, Errno> {
    rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty())
        .or_else(|_| rustix::fs::open("/", OFlags::RDONLY | OFlags::CLOEXEC, rustix::fs::Mode::empty()))
}

/// Whether it is a socket.
pub(crate) fn is_socket(descriptor: impl AsFd) -> bool {
    rustix::net::sockopt::socket_type(descriptor).is_ok()
}

/// The type of handle that a descriptor is for; `None` if there is none.
pub(crate) fn handle_type(descriptor: impl AsFd) -> Option<HandleType> {
    use rustix::net::{AddressFamily as Family, SocketType, sockopt};
    if rustix::termios::isatty(&descriptor) {
        return Some(HandleType::Tty);
    }
    let Ok(socket_type) = sockopt::socket_type(&descriptor) else {
        let file_type = FileType::from_raw_mode(fstat(descriptor).ok()?.st_mode);
        return (file_type == FileType::Fifo).then_some(HandleType::Pipe);
    };
    match (socket_type, sockopt::socket_domain(descriptor).ok()?) {
        (SocketType::STREAM, Family::INET | Family::INET6) => Some(HandleType::Tcp),
        (SocketType::DGRAM, Family::INET | Family::INET6) => Some(HandleType::Udp),
        (SocketType::STREAM, Family::UNIX) => Some(HandleType::Pipe),
        _ => None,
    }
}
