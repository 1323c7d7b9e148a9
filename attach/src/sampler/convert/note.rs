//! What a reader of a profile should know about what is missing from it.

use std::fmt;

/// Something that is missing, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The kernel hides the addresses of its functions.
    KernelSymbolsHidden {
        /// What `/proc/sys/kernel/kptr_restrict` says; empty where it cannot be read.
        kptr_restrict: String,
    },
    /// A program made code while it ran and does not tell its names.
    JitWithoutNames {
        /// The process.
        pid: u32,
        /// The name of its program.
        program: String,
    },
    /// A map of code that a program made was too long to be read as a whole.
    PerfMapCut {
        /// The process.
        pid: u32,
    },
    /// A file has no symbols, so functions are called by where they begin in it.
    Stripped {
        /// The path as the process saw it.
        path: String,
        /// What identifies debug information for it; may be empty.
        build_id: String,
    },
    /// A file that code was mapped from could not be opened, or another lies at its path now.
    FileUnreadable {
        /// The path as the process saw it.
        path: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::KernelSymbolsHidden { kptr_restrict } => {
                f.write_str("kernel functions have no names: ")?;
                match kptr_restrict.as_str() {
                    "" | "0" => f.write_str(
                        "/proc/kallsyms gives no addresses; run as root or with CAP_SYSLOG, or set \
                         kernel.kptr_restrict to 0 and kernel.perf_event_paranoid to at most 1",
                    ),
                    "1" => f.write_str("kernel.kptr_restrict is 1; run as root or with CAP_SYSLOG"),
                    level => write!(
                        f,
                        "kernel.kptr_restrict is {level}; set it to 1, and run as root or with CAP_SYSLOG"
                    ),
                }
            }
            Note::JitWithoutNames { pid, program } if program == "node" => {
                write!(f, "JavaScript of node (pid {pid}) has no names: run node with --perf-basic-prof")
            }
            Note::JitWithoutNames { pid, program } => write!(
                f,
                "code that {program} (pid {pid}) made while it ran has no names: it wrote no /tmp/perf-{pid}.map"
            ),
            Note::PerfMapCut { pid } => {
                write!(
                    f,
                    "/tmp/perf-{pid}.map is too long: names that it gives beyond its first part are missing"
                )
            }
            Note::Stripped { path, build_id } => {
                write!(f, "{path} is stripped: its functions are called by their offset in the file; ")?;
                f.write_str("install its debug information in /usr/lib/debug")?;
                if build_id.is_empty() { Ok(()) } else { write!(f, " (build id {build_id})") }
            }
            Note::FileUnreadable { path } => write!(
                f,
                "functions of {path} have no names: the file was replaced, or needs CAP_SYS_PTRACE to be read"
            ),
        }
    }
}
