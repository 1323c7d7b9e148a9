//! UNIX sockets.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType};

use crate::handle::pipe_name::PipeName;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// A UNIX socket that does not block.
pub(crate) fn socket() -> Result<OwnedFd, Errno> {
    net::socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)
}

/// Two sockets that are connected with each other and do not block.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    net::socketpair(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)
}

pub(crate) fn bind(socket: impl AsFd, name: &PipeName) -> Result<(), Errno> {
    match name {
        // An address without a name: the kernel chooses an abstract one.
        PipeName::Any => net::bind(socket, &SocketAddrUnix::new_unnamed()),
        name => net::bind(socket, &address(name)?),
    }
}

/// Connects, which a UNIX socket does at once or not at all.
pub(crate) fn connect(socket: impl AsFd, name: &PipeName) -> Result<(), Errno> {
    match net::connect(socket, &address(name)?) {
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(()),
        result => result,
    }
}

fn address(name: &PipeName) -> Result<SocketAddrUnix, Errno> {
    match name {
        PipeName::Path(path) if path.as_os_str().is_empty() => Err(Errno::INVAL),
        PipeName::Path(path) => SocketAddrUnix::new(path.as_path()),
        PipeName::Abstract(name) => SocketAddrUnix::new_abstract_name(name),
        PipeName::Any => Err(Errno::INVAL),
    }
}

/// The name of this side; `None` if it has none.
pub(crate) fn local_name(socket: impl AsFd) -> Result<Option<PipeName>, Errno> {
    name_of(net::getsockname(socket)?)
}

/// The name of the other side; `None` if it has none.
pub(crate) fn peer_name(socket: impl AsFd) -> Result<Option<PipeName>, Errno> {
    net::getpeername(socket)?.map_or(Ok(None), name_of)
}

fn name_of(address: SocketAddrAny) -> Result<Option<PipeName>, Errno> {
    let address = SocketAddrUnix::try_from(address)?;
    let path = address.path_bytes().map(|path| {
        let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
        PipeName::Path(Path::new(std::ffi::OsStr::from_bytes(path)).to_owned())
    });
    // The kernel gives a socket that was never bound an empty name.
    let name = address.abstract_name().filter(|name| !name.is_empty());
    Ok(path.or_else(|| name.map(|name| PipeName::Abstract(name.to_owned()))))
}

/// Adds permissions for everybody to the file that a socket is bound to.
pub(crate) fn add_permissions(path: &Path, readable: bool, writable: bool) -> Result<(), Errno> {
    let mut mode = Mode::from_raw_mode(rustix::fs::stat(path)?.st_mode);
    if readable {
        mode |= Mode::RUSR | Mode::RGRP | Mode::ROTH;
    }
    if writable {
        mode |= Mode::WUSR | Mode::WGRP | Mode::WOTH;
    }
    rustix::fs::chmod(path, mode)
}
