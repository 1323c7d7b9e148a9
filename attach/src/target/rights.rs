//! What keeps this program from reading a process or from placing probes, and what to do about it.
//!
//! The kernel only says that it refuses. Which of its rules did that is told by what this program has: the advice to run as root helps nobody
//! who is root.

use std::fs;
use std::sync::OnceLock;

/// A capability: its name, and its number in `linux/capability.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Capability(&'static str, u32);

const SYS_PTRACE: Capability = Capability("SYS_PTRACE", 19);
const SYS_ADMIN: Capability = Capability("SYS_ADMIN", 21);
const PERFMON: Capability = Capability("PERFMON", 38);
const BPF: Capability = Capability("BPF", 39);

/// What the kernel calls its first user namespace, and its first pid namespace, in `/proc/self/ns`: numbers that never change.
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What is done with probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeStep {
    /// Their programs are loaded.
    Load,
    /// They are placed on a process.
    Place,
}

/// What this program has of what reading processes of others and placing probes takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rights {
    is_root: bool,
    /// `CapEff`: a bit for each capability.
    effective: u64,
    in_first_user_namespace: bool,
    /// `kernel.yama.ptrace_scope`; zero without that module.
    yama_scope: u32,
}

/// What a person can do so that this program may read a process that it may not read.
pub fn remedy() -> &'static str {
    own().remedy()
}

/// What a person can do so that this program may load or place probes, which it may not. `multi` tells of placing many in one call, which
/// needs fewer rights.
pub(crate) fn probe_remedy(step: ProbeStep, multi: bool) -> String {
    own().probe_remedy(step, multi)
}

fn own() -> Rights {
    static RIGHTS: OnceLock<Rights> = OnceLock::new();
    *RIGHTS.get_or_init(Rights::read)
}

/// Whether ids of processes and threads are those that the kernel itself counts by: in another pid namespace than its first they are not.
pub fn pids_are_the_kernels() -> bool {
    is_in(FIRST_PID_NAMESPACE, "pid")
}

fn is_in(first: &str, kind: &str) -> bool {
    // A kernel without such namespaces has only one.
    fs::read_link(format!("/proc/self/ns/{kind}")).map_or(true, |link| link.to_str() == Some(first))
}

impl Rights {
    fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        Self {
            in_first_user_namespace: is_in(FIRST_USER_NAMESPACE, "user"),
            yama_scope: scope.trim().parse().unwrap_or(0),
            ..Self::of(&status)
        }
    }

    /// What `/proc/self/status` tells.
    fn of(status: &str) -> Self {
        let words = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        // Real, effective, saved, file system.
        let is_root = words("Uid:").split_whitespace().nth(1) == Some("0");
        let effective = u64::from_str_radix(words("CapEff:").trim(), 16).unwrap_or(0);
        Self { is_root, effective, in_first_user_namespace: true, yama_scope: 0 }
    }

    fn has(self, Capability(_, number): Capability) -> bool {
        self.effective & 1 << number != 0
    }

    fn remedy(self) -> &'static str {
        let may_trace = self.has(SYS_PTRACE);
        match self {
            Self { yama_scope: 3.., .. } => {
                "kernel.yama.ptrace_scope is 3, so nobody may until the host is booted with another"
            }
            Self { in_first_user_namespace: false, .. } if may_trace => {
                "CAP_SYS_PTRACE counts within this user namespace only: run outside of it, in the host's"
            }
            _ if may_trace => {
                "CAP_SYS_PTRACE is there, so something else forbids it: a security module such as AppArmor or SELinux, or a seccomp profile"
            }
            Self { is_root: true, .. } => {
                "root is not enough without CAP_SYS_PTRACE, which containers get only if it is asked for (--cap-add SYS_PTRACE)"
            }
            Self { yama_scope: 1.., .. } => {
                "run as root or with CAP_SYS_PTRACE; being the same user is not enough, for kernel.yama.ptrace_scope is not 0"
            }
            _ => "run as the same user, as root, or with CAP_SYS_PTRACE",
        }
    }

    fn probe_remedy(self, step: ProbeStep, multi: bool) -> String {
        let of_probes: &[Capability] = if multi { &[BPF, PERFMON] } else { &[SYS_ADMIN] };
        let needed = match step {
            ProbeStep::Place if multi => [of_probes, &[SYS_PTRACE]].concat(),
            ProbeStep::Load | ProbeStep::Place => of_probes.to_vec(),
        };
        // It stands for what was once a part of it.
        let stands_in = |needed| [BPF, PERFMON].contains(&needed) && self.has(SYS_ADMIN);
        let lacks = |&capability: &Capability| !self.has(capability) && !stands_in(capability);
        let missing: Vec<Capability> = needed.iter().copied().filter(lacks).collect();
        if !self.in_first_user_namespace {
            return "capabilities count within this user namespace only: run outside of it, in the host's"
                .to_owned();
        }
        let names = names(&missing);
        let calls = if multi { "bpf" } else { "bpf and perf_event_open" };
        let others = if missing.contains(&SYS_PTRACE) {
            "; CAP_SYS_PTRACE is for processes of other users only"
        } else {
            ""
        };
        match (missing.as_slice(), self.is_root) {
            ([], _) => format!(
                "{} there, so something else forbids it: in a container the seccomp profile must allow {calls}; a security module such as SELinux, or the kernel's lockdown, may refuse it as well",
                self::names(&needed)
            ),
            (missing, true) => {
                let options: Vec<_> = missing.iter().map(|it| format!("--cap-add {}", it.0)).collect();
                format!(
                    "{names} missing, which root has not in a container unless asked for ({}), nor in a service that bounds it; the seccomp profile must allow {calls}, too{others}",
                    options.join(" ")
                )
            }
            (missing, false) => {
                let them = if missing.len() == 1 { "it" } else { "them" };
                format!("{names} missing: run with {them}, or as root{others}")
            }
        }
    }
}

/// "CAP_BPF is", "CAP_BPF and CAP_PERFMON are".
fn names(capabilities: &[Capability]) -> String {
    let names: Vec<_> = capabilities.iter().map(|Capability(name, _)| format!("CAP_{name}")).collect();
    match names.as_slice() {
        [name] => format!("{name} is"),
        [names @ .., last] => format!("{} and {last} are", names.join(", ")),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(capabilities: &[Capability]) -> u64 {
        capabilities.iter().map(|Capability(_, number)| 1 << number).sum()
    }

    #[test]
    fn the_right_that_probes_lack_is_named_and_no_other() {
        let user = Rights { is_root: false, effective: 0, in_first_user_namespace: true, yama_scope: 0 };
        let has = |capabilities: &[Capability]| Rights { effective: set(capabilities), ..user };
        let root = |capabilities: &[Capability]| Rights { is_root: true, ..has(capabilities) };
        use ProbeStep::{Load, Place};
        for (rights, step, multi, told, not_told) in [
            (user, Load, true, "CAP_BPF and CAP_PERFMON are missing: run with them, or as root", "PTRACE"),
            (has(&[PERFMON]), Load, true, "CAP_BPF is missing: run with it, or as root", "PERFMON"),
            (has(&[BPF]), Load, true, "CAP_PERFMON is missing: run with it", "BPF"),
            (has(&[BPF, PERFMON]), Load, true, "CAP_BPF and CAP_PERFMON are there", "missing"),
            (has(&[SYS_ADMIN]), Load, true, "are there, so something else", "missing"),
            (has(&[BPF, PERFMON]), Load, false, "CAP_SYS_ADMIN is missing", "BPF"),
            (has(&[BPF, PERFMON]), Place, true, "CAP_SYS_PTRACE is missing", "BPF"),
            (
                has(&[BPF, PERFMON]),
                Place,
                false,
                "CAP_SYS_ADMIN is missing: run with it, or as root",
                "PTRACE",
            ),
            (
                has(&[BPF, PERFMON, SYS_PTRACE]),
                Place,
                true,
                "CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE are there",
                "missing",
            ),
            (
                root(&[PERFMON]),
                Load,
                true,
                "CAP_BPF is missing, which root has not in a container unless asked for (--cap-add BPF)",
                "as root",
            ),
            (root(&[]), Load, true, "(--cap-add BPF --cap-add PERFMON)", "as root"),
            (root(&[BPF, PERFMON]), Load, true, "the seccomp profile must allow bpf", "missing"),
            (
                Rights { in_first_user_namespace: false, ..root(&[BPF, PERFMON]) },
                Load,
                true,
                "run outside of it",
                "root",
            ),
        ] {
            let remedy = rights.probe_remedy(step, multi);
            assert!(remedy.contains(told) && !remedy.contains(not_told), "{rights:?} {step:?}: {remedy}");
        }
    }

    #[test]
    fn who_has_a_right_is_not_told_to_get_it() {
        let user = Rights { is_root: false, effective: 0, in_first_user_namespace: true, yama_scope: 0 };
        let root = Rights { is_root: true, effective: set(&[SYS_PTRACE]), ..user };
        for (rights, told, not_told) in [
            (user, "as the same user, as root, or with CAP_SYS_PTRACE", "yama"),
            (Rights { yama_scope: 1, ..user }, "being the same user is not enough", "nobody"),
            (Rights { effective: 0, ..root }, "--cap-add SYS_PTRACE", "run as root"),
            (root, "security module", "run as root"),
            (Rights { in_first_user_namespace: false, ..root }, "user namespace", "run as root"),
            (Rights { yama_scope: 3, ..root }, "nobody may", "run as root"),
        ] {
            let remedy = rights.remedy();
            assert!(remedy.contains(told) && !remedy.contains(not_told), "{rights:?}: {remedy}");
        }
    }

    #[test]
    fn rights_are_read_as_the_kernel_tells_them() {
        let status = "Name:\tx\nUid:\t1000\t0\t0\t0\nCapPrm:\t0000000000000000\nCapEff:\t0000000000080000\n";
        let rights = Rights::of(status);
        assert!(rights.is_root && rights.has(SYS_PTRACE), "{rights:?}");
        assert!(!Rights::of("CapEff:\t000001fffff7ffff\n").has(SYS_PTRACE));
        assert_eq!(Rights::of(""), Rights { is_root: false, effective: 0, ..rights });
    }
}
