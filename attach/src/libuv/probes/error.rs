//! Why probes cannot be placed.

use std::{fmt, io};

use super::object::Refused;
use crate::kernel::KernelVersion;
use crate::target::{Pid, ProbeStep, probe_remedy};

/// Why probes cannot be placed. The message tells what to do.
#[derive(Debug)]
pub enum ProbeError {
    /// This user may not load BPF programs.
    NotPermitted {
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel has no bpf(2).
    NoBpf,
    /// The kernel is older than what the programs need.
    TooOld {
        /// Its version.
        version: KernelVersion,
        /// What it refused.
        what: String,
    },
    /// The kernel has no uprobes.
    NoUprobes,
    /// The kernel takes a map or program not.
    Refused {
        /// Which one.
        what: String,
        /// What the kernel said.
        source: io::Error,
        /// The last words of its verifier.
        words: String,
    },
    /// This user may not place probes on a process.
    PlaceNotPermitted {
        /// The process.
        pid: Pid,
        /// Whether the way that needs fewer rights was used.
        multi: bool,
        /// What the kernel said.
        source: io::Error,
    },
    /// A probe cannot be placed.
    Place {
        /// The process.
        pid: Pid,
        /// Which probe.
        program: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The process has ended.
    Vanished {
        /// The process.
        pid: Pid,
    },
    /// As many processes are probed as can be.
    TooManyTargets,
    /// A call into the kernel failed for a reason that has no name here.
    System {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl ProbeError {
    pub(super) fn load(refused: Refused) -> Self {
        let Refused { what, source, words } = refused;
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) if words.is_empty() => Self::NotPermitted { source },
            Some(libc::ENOSYS) => Self::NoBpf,
            Some(libc::EINVAL) => match KernelVersion::running() {
                Some(version) if version < KernelVersion::COOKIES => Self::TooOld { version, what },
                _ => Self::Refused { what, source, words },
            },
            _ => Self::Refused { what, source, words },
        }
    }

    pub(super) fn place(pid: Pid, program: &'static str, multi: bool, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::ESRCH | libc::ENOENT) => Self::Vanished { pid },
            Some(libc::EPERM | libc::EACCES) => Self::PlaceNotPermitted { pid, multi, source },
            _ => Self::Place { pid, program, source },
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted { source } => write!(
                f,
                "the kernel refuses BPF programs ({source}): {}",
                probe_remedy(
                    ProbeStep::Load,
                    KernelVersion::running().is_none_or(|it| it >= KernelVersion::UPROBE_MULTI)
                )
            ),
            Self::NoBpf => f.write_str("this kernel has no BPF (CONFIG_BPF_SYSCALL)"),
            Self::TooOld { version, what } => write!(
                f,
                "probes need {}, and this is {version}, which refuses {what}",
                KernelVersion::COOKIES
            ),
            Self::NoUprobes => f.write_str("this kernel has no uprobes (CONFIG_UPROBE_EVENTS)"),
            Self::Refused { what, source, words } => {
                write!(f, "this kernel refuses {what}: {source}")?;
                if words.is_empty() { Ok(()) } else { write!(f, ": {words}") }
            }
            Self::PlaceNotPermitted { pid, multi, source } => write!(
                f,
                "process {pid}: the kernel refuses probes ({source}): {}",
                probe_remedy(ProbeStep::Place, *multi)
            ),
            Self::Place { pid, program, source } => {
                write!(f, "process {pid}: the probe {program} cannot be placed: {source}")
            }
            Self::Vanished { pid } => write!(f, "process {pid}: has ended"),
            Self::TooManyTargets => {
                write!(f, "{} processes are probed, and no more can be", super::abi::TARGETS_MAX)
            }
            Self::System { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

impl std::error::Error for ProbeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotPermitted { source }
            | Self::Refused { source, .. }
            | Self::PlaceNotPermitted { source, .. }
            | Self::Place { source, .. }
            | Self::System { source, .. } => Some(source),
            Self::NoBpf
            | Self::TooOld { .. }
            | Self::NoUprobes
            | Self::Vanished { .. }
            | Self::TooManyTargets => None,
        }
    }
}
