//! What keeps this program from reading a process, and what to do about it.
//!
//! The kernel only says that it refuses. Which of its rules did that is told by what this program has: the advice to run as root helps nobody
//! who is root.

use std::fs;
use std::sync::OnceLock;

/// `CAP_SYS_PTRACE`, as `linux/capability.h` numbers it.
const SYS_PTRACE: u32 = 19;

/// What the kernel calls its first user namespace, and its first pid namespace, in `/proc/self/ns`: numbers that never change.
const FIRST_USER_NAMESPACE: &str = "user:[4026531837]";
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// What this program has of what reading processes of others takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rights {
    is_root: bool,
    may_trace: bool,
    in_first_user_namespace: bool,
    /// `kernel.yama.ptrace_scope`; zero without that module.
    yama_scope: u32,
}

/// What a person can do so that this program may read a process that it may not read.
pub fn remedy() -> &'static str {
    static RIGHTS: OnceLock<Rights> = OnceLock::new();
    RIGHTS.get_or_init(Rights::own).remedy()
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
    fn own() -> Self {
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
        let may_trace = effective & 1 << SYS_PTRACE != 0;
        Self { is_root, may_trace, in_first_user_namespace: true, yama_scope: 0 }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self { yama_scope: 3.., .. } => {
                "kernel.yama.ptrace_scope is 3, so nobody may until the host is booted with another"
            }
            Self { may_trace: true, in_first_user_namespace: false, .. } => {
                "CAP_SYS_PTRACE counts within this user namespace only: run outside of it, in the host's"
            }
            Self { may_trace: true, .. } => {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_right_is_not_told_to_get_it() {
        let user = Rights { is_root: false, may_trace: false, in_first_user_namespace: true, yama_scope: 0 };
        let root = Rights { is_root: true, may_trace: true, ..user };
        for (rights, told, not_told) in [
            (user, "as the same user, as root, or with CAP_SYS_PTRACE", "yama"),
            (Rights { yama_scope: 1, ..user }, "being the same user is not enough", "nobody"),
            (Rights { may_trace: false, ..root }, "--cap-add SYS_PTRACE", "run as root"),
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
        assert!(rights.is_root && rights.may_trace, "{rights:?}");
        assert!(!Rights::of("CapEff:\t000001fffff7ffff\n").may_trace);
        assert_eq!(Rights::of(""), Rights { is_root: false, may_trace: false, ..rights });
    }
}
