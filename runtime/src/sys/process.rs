//! Starting processes, and sending them signals.
//!
//! **Between fork and exec** the child is a copy of one thread of this process, and locks that others held are held for
//! ever. So everything is prepared beforehand, and the child makes system calls only: it allocates nothing. All signals
//! are blocked until its handlers are the system's own, so that none of ours runs there. What goes wrong comes back through
//! a descriptor that `exec` closes.

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::errno;

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

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

/// The steps that a child may fail at; it tells their numbers.
const STEPS: [&str; 8] = ["signal", "fcntl", "open", "dup2", "chdir", "setgid", "setuid", "execvp"];
const SIGNAL: i32 = 0;
const FCNTL: i32 = 1;
const OPEN: i32 = 2;
const DUP2: i32 = 3;
const CHDIR: i32 = 4;
const SETGID: i32 = 5;
const SETUID: i32 = 6;
const EXEC: i32 = 7;

/// Starts a process; gives its number.
pub(crate) fn spawn(mut plan: Plan) -> Result<u32, Failure> {
    let failed = |operation| move |errno| Failure { operation, errno };
    let (reading, low) =
        rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(failed("pipe2"))?;
    // Out of the way of the descriptors that the child gets.
    let lowest = plan.stdio.len().max(3) as RawFd;
    let writing = rustix::io::fcntl_dupfd_cloexec(&low, lowest).map_err(failed("fcntl"))?;
    drop(low);
    let arguments = pointers(&plan.arguments);
    let environment = plan.environment.as_deref().map(pointers);
    let mut stdio: Vec<RawFd> =
        std::mem::take(&mut plan.stdio).into_iter().map(|fd| fd.unwrap_or(-1)).collect();
    let child = ChildPlan {
        program: &plan.program,
        arguments: &arguments,
        environment: environment.as_deref(),
        folder: plan.folder.as_deref(),
        user: plan.user,
        group: plan.group,
        detached: plan.detached,
        errors: writing.as_raw_fd(),
    };

    let pid = {
        let _blocked = BlockedSignals::new();
        // SAFETY: the child keeps to what the head of this module says, and does not return.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: this is the child.
                let (step, errno) = unsafe { child.become_it(&mut stdio) };
                child.tell(step, errno);
            }
            pid => pid,
        }
    };
    if pid < 0 {
        return Err(failed("fork")(errno::last()));
    }
    drop(writing);
    match read_failure(&reading) {
        None => Ok(pid as u32),
        Some(failure) => {
            // It ends at once.
            // SAFETY: no place for the status is given.
            while unsafe { libc::waitpid(pid, ptr::null_mut(), 0) } < 0 && errno::last() == Errno::INTR {}
            Err(failure)
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// What the child tells before it ends; nothing if it has become the program.
fn read_failure(reading: &OwnedFd) -> Option<Failure> {
    let mut told = [0; 8];
    let mut length = 0;
    while length < told.len() {
        match rustix::io::read(reading, &mut told[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Some(Failure { operation: "read", errno }),
        }
    }
    let number = |at: usize| i32::from_ne_bytes([told[at], told[at + 1], told[at + 2], told[at + 3]]);
    (length == told.len()).then(|| Failure {
        operation: STEPS.get(number(0) as usize).copied().unwrap_or("fork"),
        errno: Errno::from_raw_os_error(number(4)),
    })
}

/// All signals of this thread are blocked until dropped.
struct BlockedSignals(libc::sigset_t);

impl BlockedSignals {
    fn new() -> Self {
        // SAFETY: both sets are filled in by the calls.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) =
                (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            Self(before)
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set is the one that the thread had.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
    }
}

struct ChildPlan<'a> {
    program: &'a CStr,
    arguments: &'a [*const c_char],
    environment: Option<&'a [*const c_char]>,
    folder: Option<&'a CStr>,
    user: Option<u32>,
    group: Option<u32>,
    detached: bool,
    errors: RawFd,
}

impl ChildPlan<'_> {
    /// Gives the step that failed, and its error. Does not return if none does.
    ///
    /// # Safety
    /// Only in a child that has just been forked.
    unsafe fn become_it(&self, stdio: &mut [RawFd]) -> (i32, i32) {
        // SAFETY: all pointers are of strings and lists that end as they should and outlive this; nothing here
        // allocates or locks.
        unsafe {
            for signal in 1..=libc::SIGRTMAX() {
                // Some cannot be set: two are the kernel's, and some the C library keeps for itself and refuses like them.
                let refused = libc::signal(signal, libc::SIG_DFL) == libc::SIG_ERR;
                if refused && errno::number() != libc::EINVAL {
                    return (SIGNAL, errno::number());
                }
            }
            if self.detached {
                libc::setsid();
            }
            if let Err(failure) = set_descriptors(stdio) {
                return failure;
            }
            if let Some(folder) = self.folder
                && libc::chdir(folder.as_ptr()) != 0
            {
                return (CHDIR, errno::number());
            }
            if self.user.is_some() || self.group.is_some() {
                // Rights that come from other groups go too; that only root may do this is no matter.
                libc::setgroups(0, ptr::null());
            }
            if let Some(group) = self.group
                && libc::setgid(group) != 0
            {
                return (SETGID, errno::number());
            }
            if let Some(user) = self.user
                && libc::setuid(user) != 0
            {
                return (SETUID, errno::number());
            }
            if let Some(environment) = self.environment {
                // The program is looked for on the path that it will have.
                environ = environment.as_ptr();
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
            libc::execvp(self.program.as_ptr(), self.arguments.as_ptr());
            (EXEC, errno::number())
        }
    }

    /// Tells the parent what failed, and ends.
    fn tell(&self, step: i32, errno: i32) -> ! {
        let told = [step, errno];
        // SAFETY: the numbers are readable for their length; the descriptor is this child's copy.
        unsafe {
            while libc::write(self.errors, told.as_ptr().cast(), size_of_val(&told)) < 0
                && errno::number() == libc::EINTR
            {}
            libc::_exit(127)
        }
    }
}

/// Puts each descriptor to its number.
///
/// # Safety
/// Only in a child that has just been forked.
unsafe fn set_descriptors(stdio: &mut [RawFd]) -> Result<(), (i32, i32)> {
    let count = stdio.len() as RawFd;
    // SAFETY: these calls take numbers and one string that ends in a zero.
    unsafe {
        // Those that lie where others go first move out of the way.
        for (target, source) in stdio.iter_mut().enumerate() {
            if *source >= 0 && *source < target as RawFd {
                *source = libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, count);
                if *source < 0 {
                    return Err((FCNTL, errno::number()));
                }
            }
        }
        for (target, source) in stdio.iter().enumerate() {
            let target = target as RawFd;
            match *source {
                ..0 if target > 2 => {}
                ..0 => {
                    libc::close(target);
                    let flags = if target == 0 { libc::O_RDONLY } else { libc::O_RDWR };
                    let null = libc::open(c"/dev/null".as_ptr(), flags);
                    if null < 0 {
                        return Err((OPEN, errno::number()));
                    }
                    if null != target {
                        if libc::dup2(null, target) < 0 {
                            return Err((DUP2, errno::number()));
                        }
                        libc::close(null);
                    }
                }
                source => {
                    let moved = match source == target {
                        true => libc::fcntl(source, libc::F_SETFD, 0),
                        false => libc::dup2(source, target),
                    };
                    if moved < 0 {
                        return Err((if source == target { FCNTL } else { DUP2 }, errno::number()));
                    }
                    // Programs expect their standard input and output to block.
                    let flags = libc::fcntl(target, libc::F_GETFL);
                    if target <= 2 && flags & libc::O_NONBLOCK != 0 {
                        libc::fcntl(target, libc::F_SETFL, flags & !libc::O_NONBLOCK);
                    }
                }
            }
        }
    }
    Ok(())
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
