//! What can go wrong with measuring a process, and what to do about it.

use std::ffi::OsString;
use std::fmt;
use std::io;

/// Why a process cannot be measured. The message tells the evidence and what to do.
#[derive(Debug)]
pub enum Error {
    /// No process has this id.
    NoSuchProcess {
        /// The id that was asked for.
        pid: u32,
    },
    /// The process ended while it was being attached to.
    ProcessEnded {
        /// Its id.
        pid: u32,
    },
    /// The process belongs to another user, and this one lacks the capability to look into it.
    OtherUser {
        /// The process.
        pid: u32,
        /// Who owns it. Root also owns processes that forbid inspection.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// This user may not sample anything, even own processes.
    NotPermitted {
        /// `kernel.perf_event_paranoid`, where it can be read.
        paranoid: Option<i32>,
        /// What the kernel said.
        source: io::Error,
    },
    /// This user may not see what happens in the kernel, and without that there is nothing to record.
    KernelNotPermitted {
        /// `kernel.perf_event_paranoid`, where it can be read.
        paranoid: Option<i32>,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has no performance events.
    NoPerfEvents {
        /// What the kernel said.
        source: io::Error,
    },
    /// One descriptor per thread and CPU is needed, and there are not as many.
    TooManyDescriptors {
        /// How many were opened before the limit was reached.
        opened: usize,
        /// The limit on descriptors of this process, raised as far as it may be.
        limit: u64,
    },
    /// The kernel refuses to lock even the smallest buffers that are of use.
    LockedMemory {
        /// How many bytes were asked for, on each CPU.
        bytes: u64,
        /// `kernel.perf_event_mlock_kb`, where it can be read.
        mlock_kb: Option<u64>,
        /// What the kernel said.
        source: io::Error,
    },
    /// The sampling frequency is out of range.
    Frequency {
        /// What was asked for, in Hz.
        asked_hz: u32,
    },
    /// There is no such command.
    CommandNotFound {
        /// As it was given.
        program: OsString,
    },
    /// The command is there but cannot be executed.
    CommandNotExecutable {
        /// As it was given.
        program: OsString,
        /// What the kernel said.
        source: io::Error,
    },
    /// A call into the kernel failed for a reason that has no name here.
    System {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchProcess { pid } => write!(f, "there is no process {pid}"),
            Error::ProcessEnded { pid } => write!(f, "process {pid} ended before it could be measured"),
            Error::OtherUser { pid, owner, user } => write!(
                f,
                "process {pid} belongs to user {owner}, not to user {user}: run as that user, as root, or with \
                 CAP_PERFMON and CAP_SYS_PTRACE"
            ),
            Error::NotPermitted { paranoid: Some(level), .. } if *level > 2 => write!(
                f,
                "sampling needs CAP_PERFMON or kernel.perf_event_paranoid at most 2; it is {level}: \
                 run as root, or `sysctl kernel.perf_event_paranoid=2`"
            ),
            Error::NotPermitted { paranoid, source } => {
                write!(f, "the kernel refuses to sample ({source})")?;
                if let Some(level) = paranoid {
                    write!(f, ", though kernel.perf_event_paranoid is {level}")?;
                }
                write!(
                    f,
                    ": run with CAP_PERFMON, and CAP_SYS_PTRACE if the process is protected from inspection; in a \
                     container, the seccomp profile must allow perf_event_open"
                )
            }
            Error::KernelNotPermitted { paranoid, source } => {
                write!(f, "threads leave the CPU inside the kernel; seeing that needs CAP_PERFMON or ")?;
                write!(f, "kernel.perf_event_paranoid at most 1")?;
                match paranoid {
                    Some(level) => write!(f, "; it is {level}"),
                    None => write!(f, " ({source})"),
                }
            }
            Error::NoPerfEvents { source } => {
                write!(f, "this kernel has no performance events (CONFIG_PERF_EVENTS): {source}")
            }
            Error::TooManyDescriptors { opened, limit } => write!(
                f,
                "sampling needs a descriptor for each thread on each CPU; {opened} are open and the limit is \
                 {limit}: raise it (`ulimit -n`)"
            ),
            Error::LockedMemory { bytes, mlock_kb, source } => {
                write!(f, "the kernel refuses {bytes} bytes of buffer on each CPU ({source})")?;
                if let Some(kb) = mlock_kb {
                    write!(f, "; kernel.perf_event_mlock_kb is {kb}")?;
                }
                write!(f, ": raise it or `ulimit -l`, stop other profilers, or run with CAP_IPC_LOCK")
            }
            Error::Frequency { asked_hz } => {
                write!(f, "a sampling frequency is 1 to 10000 Hz, not {asked_hz}")
            }
            Error::CommandNotFound { program } => write!(f, "{}: command not found", program.display()),
            Error::CommandNotExecutable { program, source } => {
                write!(f, "{}: cannot be executed: {source}", program.display())
            }
            Error::System { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::NotPermitted { source, .. }
            | Error::KernelNotPermitted { source, .. }
            | Error::NoPerfEvents { source }
            | Error::LockedMemory { source, .. }
            | Error::CommandNotExecutable { source, .. }
            | Error::System { source, .. } => Some(source),
            Error::NoSuchProcess { .. }
            | Error::ProcessEnded { .. }
            | Error::OtherUser { .. }
            | Error::TooManyDescriptors { .. }
            | Error::Frequency { .. }
            | Error::CommandNotFound { .. } => None,
        }
    }
}
