//! Opening and steering performance events.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use perf_event_open_sys as perf;
pub(crate) use perf_event_open_sys::bindings;

/// Opens an event on one thread, and on one CPU or all. The descriptor is closed when a program is executed.
pub(crate) fn open(
    attributes: &bindings::perf_event_attr,
    tid: u32,
    cpu: Option<u32>,
) -> io::Result<OwnedFd> {
    let mut attributes = *attributes;
    attributes.size = size_of::<bindings::perf_event_attr>() as u32;
    let cpu = cpu.map_or(-1, |cpu| cpu as i32);
    let flags = bindings::PERF_FLAG_FD_CLOEXEC as libc::c_ulong;
    // SAFETY: `attributes` is a valid attribute structure that says its own size; the kernel writes at most its size
    // field back.
    let fd = unsafe { perf::perf_event_open(&mut attributes, tid as i32, cpu, -1, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call just returned this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes `event` write its records into the ring of `owner`, which must be of the same CPU and the same clock.
pub(crate) fn redirect(event: BorrowedFd<'_>, owner: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: SET_OUTPUT takes a descriptor number; both descriptors are open for the length of the call.
    let result = unsafe { perf::ioctls::SET_OUTPUT(event.as_raw_fd(), owner.as_raw_fd() as libc::c_int) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Stops an event, and those that were inherited from it.
pub(crate) fn disable(event: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: DISABLE takes a number, zero for the event alone and not its group.
    let result = unsafe { perf::ioctls::DISABLE(event.as_raw_fd(), 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The number that the event's records carry, and those of events that are inherited from it.
pub(crate) fn id(event: BorrowedFd<'_>) -> io::Result<u64> {
    let mut id = 0;
    // SAFETY: ID takes the address of a valid place for the answer.
    let result = unsafe { perf::ioctls::ID(event.as_raw_fd(), &mut id) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(id) }
}
