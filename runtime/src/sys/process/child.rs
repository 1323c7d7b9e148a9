//! What a child does between its start and the program that it becomes.
//!
//! **It shares the memory** of this process, in which the calling thread waits for it: nothing is copied, however large the
//! process is, and where something fails it says so in a place of its parent's. It has a stack of its own. Other threads
//! run on meanwhile, and locks that they hold are held. So everything is prepared beforehand; the child makes system calls
//! only, allocates nothing, and changes nothing that others look at: neither `environ`, nor what the C library does for all
//! threads of a process when one calls `setuid`. All signals are blocked until its handlers, which are a copy, are the
//! system's own, so that none of ours runs there.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{MaybeUninit, zeroed};
use std::os::fd::RawFd;
use std::ptr;

use rustix::io::Errno;

use super::{Failure, Plan};
use crate::sys::errno;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// More than system calls and their wrappers need, also where nothing is optimized.
const STACK_BYTES: usize = 64 * 1024;

/// The kernel's `sigaction` of a signal that does what the system does by itself, with an empty set: it is zeros, and this more of
/// them than it has on any architecture.
const DEFAULT_ACTION: [u64; 8] = [0; 8];

/// A set of signals, as the kernel has it.
const SIGNAL_SET_BYTES: usize = 8;

/// A piece of stack, as aligned as a stack is.
type StackPiece = MaybeUninit<u128>;

/// What a child needs, and where it tells what failed.
pub(super) struct Child<'a> {
    plan: &'a Plan,
    files: &'a [CString],
    arguments: Vec<*const c_char>,
    /// Those of a shell that runs a file which is no program; the second one is the file.
    of_shell: Vec<*const c_char>,
    environment: *const *const c_char,
    /// What `environment` points to, unless that is this process's own.
    _environment: Option<Vec<*const c_char>>,
    stdio: Vec<RawFd>,
    failure: Option<Failure>,
}

impl<'a> Child<'a> {
    pub(super) fn new(plan: &'a Plan, files: &'a [CString]) -> Self {
        let own =
            plan.environment.as_ref().map(|environment| pointers(environment.iter().map(|entry| &**entry)));
        let behind_first = plan.arguments.iter().skip(1).map(|argument| &**argument);
        Self {
            plan,
            files,
            arguments: pointers(plan.arguments.iter().map(|argument| &**argument)),
            of_shell: pointers([c"/bin/sh", c""].into_iter().chain(behind_first)),
            // SAFETY: the C library's own list; who changes it while it is used breaks its rules.
            environment: own.as_ref().map_or_else(|| unsafe { environ }, |own| own.as_ptr()),
            _environment: own,
            stdio: plan.stdio.iter().map(|descriptor| descriptor.unwrap_or(-1)).collect(),
            failure: None,
        }
    }

    /// Starts it, and waits until it has become the program or has failed to. Gives its number.
    pub(super) fn start(&mut self) -> Result<libc::pid_t, Errno> {
        let mut stack: Vec<StackPiece> = Vec::with_capacity(STACK_BYTES / size_of::<StackPiece>());
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let _blocked = BlockedSignals::new();
        // SAFETY: the stack, which grows downwards, and this value are the child's alone until it lets this thread go on,
        // and live longer. It keeps to what the head of this module says.
        let pid = unsafe {
            let end = stack.as_mut_ptr().add(stack.capacity());
            libc::clone(run, end.cast(), flags, ptr::from_mut(self).cast())
        };
        errno::count(pid).map(|_| pid)
    }

    /// What failed; `None` if it has become the program, or was ended by someone else before.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Gives the step that failed, and its error. Does not return if none does.
    ///
    /// # Safety
    /// Only in a child that has just been started.
    unsafe fn become_it(&mut self) -> Failure {
        let plan = self.plan;
        // SAFETY: all pointers are of strings and lists that end as they should and outlive this; nothing here
        // allocates or locks.
        unsafe {
            // Not by the C library's `sigaction`, which may take a lock for the sake of `abort`.
            let default = ptr::from_ref(&DEFAULT_ACTION);
            for signal in 1..=libc::SIGRTMAX() {
                let none = ptr::null_mut::<c_void>();
                let refused =
                    libc::syscall(libc::SYS_rt_sigaction, signal, default, none, SIGNAL_SET_BYTES) != 0;
                // Two are the kernel's and cannot be set.
                if refused && errno::number() != libc::EINVAL {
                    return failed("signal");
                }
            }
            if plan.detached {
                libc::setsid();
            }
            if let Err(failure) = set_descriptors(&mut self.stdio) {
                return failure;
            }
            if let Some(folder) = &plan.folder
                && libc::chdir(folder.as_ptr()) != 0
            {
                return failed("chdir");
            }
            if plan.user.is_some() || plan.group.is_some() {
                // Rights that come from other groups go too; that only root may do this is no matter.
                libc::syscall(libc::SYS_setgroups, 0usize, ptr::null::<libc::gid_t>());
            }
            if let Some(group) = plan.group
                && libc::syscall(libc::SYS_setgid, group) != 0
            {
                return failed("setgid");
            }
            if let Some(user) = plan.user
                && libc::syscall(libc::SYS_setuid, user) != 0
            {
                return failed("setuid");
            }
            let mut none: libc::sigset_t = zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
            self.execute()
        }
    }

    /// Becomes the first of the files that it can become, by the rules of `execvp`.
    ///
    /// # Safety
    /// As above.
    unsafe fn execute(&mut self) -> Failure {
        let (mut refused, mut last) = (false, libc::ENOENT);
        for file in self.files {
            // SAFETY: the lists and what they point to outlive this, and end as they should.
            unsafe { libc::execve(file.as_ptr(), self.arguments.as_ptr(), self.environment) };
            last = errno::number();
            match last {
                libc::EACCES => refused = true,
                libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG => {}
                libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
                libc::ENOEXEC => {
                    self.of_shell[1] = file.as_ptr();
                    // SAFETY: as above.
                    unsafe { libc::execve(self.of_shell[0], self.of_shell.as_ptr(), self.environment) };
                    return failed("execvp");
                }
                _ => return failed("execvp"),
            }
        }
        let number = if refused { libc::EACCES } else { last };
        Failure { operation: "execvp", errno: Errno::from_raw_os_error(number) }
    }
}

fn pointers<'a>(strings: impl Iterator<Item = &'a CStr>) -> Vec<*const c_char> {
    strings.map(CStr::as_ptr).chain([ptr::null()]).collect()
}

/// The child, from its beginning to its end.
extern "C" fn run(child: *mut c_void) -> c_int {
    // SAFETY: this is what `start` gave, which waits meanwhile.
    unsafe {
        let child = &mut *child.cast::<Child<'_>>();
        child.failure = Some(child.become_it());
        libc::_exit(127)
    }
}

/// A step that failed just now.
fn failed(operation: &'static str) -> Failure {
    Failure { operation, errno: Errno::from_raw_os_error(errno::number()) }
}

/// Puts each descriptor to its number.
///
/// # Safety
/// Only in a child that has just been started.
unsafe fn set_descriptors(stdio: &mut [RawFd]) -> Result<(), Failure> {
    let count = stdio.len() as RawFd;
    // SAFETY: these calls take numbers and one string that ends in a zero.
    unsafe {
        // Those that lie where others go first move out of the way.
        for (target, source) in stdio.iter_mut().enumerate() {
            if *source >= 0 && *source < target as RawFd {
                *source = libc::fcntl(*source, libc::F_DUPFD_CLOEXEC, count);
                if *source < 0 {
                    return Err(failed("fcntl"));
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
                        return Err(failed("open"));
                    }
                    if null != target {
                        if libc::dup2(null, target) < 0 {
                            return Err(failed("dup2"));
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
                        return Err(failed(if source == target { "fcntl" } else { "dup2" }));
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
