//! Starting a program that waits before its first instruction.
//!
//! The child is forked and waits on a pipe; the parent opens its events on it and lets it go on; the child executes the
//! program. A second pipe, closed by a successful execution, carries the error of a failed one. Refused: `ptrace`, which
//! would stop the child at every signal, and `std::process::Command`, which does not return before the program
//! was executed.
//!
//! Between fork and execution the child calls only what is safe after a fork of a program with threads: no allocation,
//! no locks. All strings are prepared by the parent.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use super::process::reap;

const SHELL: &CStr = c"/bin/sh";
/// What a shell says for a command that could not be executed. Nobody sees it but who waits for a child that never ran.
const NEVER_EXECUTED: i32 = 126;

/// A program and its arguments, ready to be executed.
pub(crate) struct Image {
    /// The paths to try, in order.
    pub(crate) candidates: Vec<CString>,
    /// All arguments; the first is the program's own name.
    pub(crate) arguments: Vec<CString>,
    /// The environment, as `NAME=value`.
    pub(crate) environment: Vec<CString>,
}

/// A forked child that waits for [`Waiting::execute`]. If dropped, it ends without having run anything.
pub(crate) struct Waiting {
    pid: u32,
    /// Writing lets the child go on, closing ends it. `None` once it was let go.
    go: Option<OwnedFd>,
    failure: OwnedFd,
    executed: bool,
}

impl Waiting {
    /// Forks a child that will execute `image`.
    pub(crate) fn fork(image: &Image) -> io::Result<Self> {
        let (go_read, go_write) = pipe()?;
        let (failure_read, failure_write) = pipe()?;
        let arguments = pointers(&image.arguments);
        let environment = pointers(&image.environment);
        let candidates = pointers(&image.candidates);
        // As a shell does it, a file that is executable but no program is run as a shell script: sh PATH ARGUMENTS...
        let mut script = vec![SHELL.as_ptr(), ptr::null()];
        script.extend(&arguments[1..]);
        // SAFETY: the child calls only functions that are safe after a fork, see `child`.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // SAFETY: we are the forked child; the pointer arrays end in null and point to strings that live on in
                // this copy of the parent's memory.
                unsafe {
                    let pipes = (go_read.as_raw_fd(), go_write.as_raw_fd(), failure_write.as_raw_fd());
                    child(&candidates, &arguments, &mut script, &environment, pipes)
                }
            }
            pid => Ok(Self { pid: pid as u32, go: Some(go_write), failure: failure_read, executed: false }),
        }
    }

    /// The child's process id, which stays the program's.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the child execute its program; returns when it runs.
    ///
    /// # Errors
    /// Why it could not be executed. The child has ended then.
    pub(crate) fn execute(mut self) -> io::Result<()> {
        let go = self.go.take().expect("only this method takes it, and takes self");
        // SAFETY: writes one byte from a valid place.
        if unsafe { libc::write(go.as_raw_fd(), [1u8].as_ptr().cast(), 1) } != 1 {
            return Err(io::Error::last_os_error());
        }
        let mut errno = [0u8; 4];
        let read = loop {
            // SAFETY: reads at most four bytes into a valid place.
            let read =
                unsafe { libc::read(self.failure.as_raw_fd(), errno.as_mut_ptr().cast(), errno.len()) };
            if read >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                break read;
            }
        };
        match read {
            0 => {
                self.executed = true;
                Ok(())
            }
            4 => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.executed {
            // The closed pipe ends the child, so this does not block for long.
            self.go = None;
            let _ = reap(self.pid, true);
        }
    }
}

/// The forked child's life.
///
/// # Safety
/// Only in a forked child. The arrays end in null and point to strings; `script` has one null more, at position 1.
unsafe fn child(
    candidates: &[*const libc::c_char],
    arguments: &[*const libc::c_char],
    script: &mut [*const libc::c_char],
    environment: &[*const libc::c_char],
    (go, go_of_parent, failure): (RawFd, RawFd, RawFd),
) -> ! {
    // SAFETY: only calls that are safe in a signal handler, with valid pointers; `_exit` does not return.
    unsafe {
        // Without this the child would keep its own pipe open and never notice that the parent ended.
        libc::close(go_of_parent);
        let mut byte = 0u8;
        let read = loop {
            let read = libc::read(go, (&raw mut byte).cast(), 1);
            if read >= 0 || *libc::__errno_location() != libc::EINTR {
                break read;
            }
        };
        if read != 1 {
            libc::_exit(NEVER_EXECUTED);
        }
        // What Rust programs change, and what a program that is started expects.
        let mut no_signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut no_signals);
        libc::sigprocmask(libc::SIG_SETMASK, &no_signals, ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);

        let mut error = libc::ENOENT;
        for &candidate in candidates.iter().take_while(|candidate| !candidate.is_null()) {
            libc::execve(candidate, arguments.as_ptr(), environment.as_ptr());
            match *libc::__errno_location() {
                // Not in this directory.
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => error = libc::EACCES,
                libc::ENOEXEC => {
                    script[1] = candidate;
                    libc::execve(SHELL.as_ptr(), script.as_ptr(), environment.as_ptr());
                    error = libc::ENOEXEC;
                    break;
                }
                other => {
                    error = other;
                    break;
                }
            }
        }
        libc::write(failure, (&raw const error).cast(), size_of::<i32>());
        libc::_exit(NEVER_EXECUTED)
    }
}

/// A pipe, as reading and writing end, both closed when a program is executed.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: `fds` has room for the two descriptors.
    if unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call just returned these descriptors, and nothing else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// The strings as C wants a list of them: ended by null.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}
