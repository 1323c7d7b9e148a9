//! Processes, time and limits.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use model::time::Monotonic;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The present reading of the clock that all records are stamped with.
pub(crate) fn now() -> Monotonic {
    let time = clock_gettime(ClockId::Monotonic);
    Monotonic::from_ns(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// The number of CPUs that may come online; they are numbered from zero.
pub(crate) fn cpus() -> u32 {
    // SAFETY: takes a number, gives a number.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    u32::try_from(count).expect("a machine has a known number of CPUs")
}

/// A descriptor that becomes readable when the process ends.
pub(crate) fn open_pid(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Waits until one of the descriptors becomes readable, at most `timeout`, or until a signal was handled. Tells
/// whether the first one is readable.
pub(crate) fn wait_readable<'fd>(
    descriptors: impl IntoIterator<Item = BorrowedFd<'fd>>,
    timeout: Duration,
) -> io::Result<bool> {
    let mut polled: Vec<PollFd<'_>> =
        descriptors.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    match poll(&mut polled, Some(&timeout)) {
        Ok(_) => Ok(polled.first().is_some_and(|first| first.revents().contains(PollFlags::IN))),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Raises the limit on open descriptors as far as this process may; gives the limit that holds then.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    // Without a number the limit is that there is none.
    if raised.is_ok() { limit.maximum } else { limit.current }.unwrap_or(u64::MAX)
}

/// What a child that ended left behind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaped {
    /// The status as `wait(2)` encodes it.
    pub(crate) status: i32,
    /// User and system CPU time, with that of its own children that it waited for.
    pub(crate) cpu_time: Duration,
}

/// Reaps a child; `None` if it has not ended and `block` is false.
pub(crate) fn reap(pid: u32, block: bool) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: the structure is made of numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let flags = if block { 0 } else { libc::WNOHANG };
    loop {
        // SAFETY: `status` and `usage` are valid places for the answers.
        match unsafe { libc::wait4(pid as libc::pid_t, &mut status, flags, &mut usage) } {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ => {
                let part =
                    |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1_000);
                return Ok(Some(Reaped { status, cpu_time: part(usage.ru_utime) + part(usage.ru_stime) }));
            }
        }
    }
}
