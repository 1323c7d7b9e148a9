//! Starting processes, and sending them signals.

mod child;

use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use libc::c_int;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use self::child::Child;
use super::errno;

/// Where programs are looked for without a `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// What is to be started, and how.
pub(crate) struct Plan {
    pub(crate) program: CString,
    /// The first is the name that the program is told.
    pub(crate) arguments: Vec<CString>,
    /// `NAME=value`; `None` for this process's own.
    pub(crate) environment: Option<Vec<CString>>,
    pub(crate) folder: Option<CString>,
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    /// Whether it leads a session of its own.
    pub(crate) detached: bool,
    /// Its descriptors from 0 on; `None` for none, which of the first three is `/dev/null`.
    pub(crate) stdio: Vec<Option<RawFd>>,
}

/// What failed, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) operation: &'static str,
    pub(crate) errno: Errno,
}

impl Plan {
    /// The files to try, in their order: the program is looked for on the path that it will have.
    fn files(&self) -> Vec<CString> {
        let name = self.program.as_bytes();
        if name.is_empty() || name.contains(&b'/') {
            return vec![self.program.clone()];
        }
        let path = match &self.environment {
            Some(environment) => {
                let entries = environment.iter().map(|entry| entry.as_bytes());
                entries.filter_map(|entry| entry.strip_prefix(b"PATH=")).next_back().map(<[u8]>::to_vec)
            }
            None => std::env::var_os("PATH").map(OsString::into_vec),
        };
        let path = path.unwrap_or_else(|| DEFAULT_PATH.to_vec());
        let file = |folder: &[u8]| match folder {
            [] => Ok(self.program.clone()),
            folder => CString::new([folder, b"/", name].concat()),
        };
        path.split(|byte| *byte == b':').filter_map(|folder| file(folder).ok()).collect()
    }
}

/// Starts a process; gives its number.
pub(crate) fn spawn(plan: &Plan) -> Result<u32, Failure> {
    let files = plan.files();
    let mut child = Child::new(plan, &files);
    let pid = child.start().map_err(|errno| Failure { operation: "clone", errno })?;
    match child.failure() {
        None => Ok(pid as u32),
        Some(failure) => {
            // It has ended.
            // SAFETY: no place for the status is given.
            while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } < 0 && errno::last() == Errno::INTR {}
            Err(failure)
        }
    }
}

/// The descriptor of a process, which is ready once it has ended; since Linux 5.3.
pub(crate) fn descriptor(pid: u32) -> Result<OwnedFd, Errno> {
    pidfd_open(process_id(pid)?, PidfdFlags::empty())
}

/// Sends a signal by the process's descriptor: it reaches that process or none.
pub(crate) fn send_signal(process: &OwnedFd, signal: i32) -> Result<(), Errno> {
    // SAFETY: the descriptor is open; no further information is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    errno::done(result as c_int)
}

pub(crate) fn kill(pid: u32, signal: i32) -> Result<(), Errno> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| Errno::SRCH)?;
    // SAFETY: the call takes numbers.
    errno::done(unsafe { libc::kill(pid, signal) })
}

pub(super) fn process_id(pid: u32) -> Result<Pid, Errno> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)
}

/// Whether a number is that of an open descriptor.
pub(crate) fn is_open(number: RawFd) -> bool {
    // SAFETY: the call takes numbers, and changes nothing.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}
