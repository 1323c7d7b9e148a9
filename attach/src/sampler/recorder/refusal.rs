//! What it means that the kernel refuses, and what can still be tried.

use std::io;
use std::os::fd::OwnedFd;

use super::system;
use crate::Error;
use crate::sys::process;

/// Calls `open`; if that has no descriptors left, once more with as many as this process may have.
pub(crate) fn with_more_descriptors(open: impl Fn() -> io::Result<OwnedFd>) -> io::Result<OwnedFd> {
    match open() {
        Err(error) if error.raw_os_error() == Some(libc::EMFILE) => {
            process::raise_descriptor_limit();
            open()
        }
        result => result,
    }
}

/// What it means that the kernel refuses to open an event on process `pid`.
pub(crate) fn refusal(source: io::Error, pid: u32, opened: usize) -> Error {
    match source.raw_os_error() {
        Some(libc::ESRCH) => Error::ProcessEnded { pid },
        Some(libc::EACCES | libc::EPERM) => not_permitted(source, pid),
        Some(libc::ENOSYS | libc::ENOENT | libc::EOPNOTSUPP) => Error::NoPerfEvents { source },
        Some(libc::EMFILE | libc::ENFILE) => {
            Error::TooManyDescriptors { opened, limit: process::raise_descriptor_limit() }
        }
        _ => Error::System { doing: "opening a performance event", source },
    }
}

/// Why this user may not look into process `pid`.
pub(crate) fn not_permitted(source: io::Error, pid: u32) -> Error {
    let user = rustix::process::geteuid().as_raw();
    match system::owner(pid) {
        Some(owner) if owner != user => Error::OtherUser { pid, owner, user },
        _ => Error::NotPermitted { paranoid: system::paranoid(), source },
    }
}

/// Whether the kernel refused for want of a permission.
pub(crate) fn is_permission(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}
