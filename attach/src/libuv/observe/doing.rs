//! What a thread does at a moment, as the kernel tells it: that does not hold the thread up.

use std::fs;

use crate::target::Pid;

/// The calls that wait for events: `epoll_wait`, `epoll_pwait`, `epoll_pwait2`.
#[cfg(target_arch = "x86_64")]
const POLLS: &[u64] = &[232, 281, 441];
#[cfg(target_arch = "aarch64")]
const POLLS: &[u64] = &[22, 441];

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It waits in a poll.
    Polls(Waiting),
    /// It runs, or would if there were a processor for it.
    Runs,
    /// It waits for something else, or has ended.
    Else,
}

/// A thread that waits in a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) descriptor: u64,
    pub(super) stack: u64,
}

impl Doing {
    pub(super) fn of(pid: Pid, tid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/syscall"));
        text.map_or(Self::Else, |text| Self::of_text(&text))
    }

    fn of_text(text: &str) -> Self {
        if text.trim_end() == "running" {
            return Self::Runs;
        }
        Self::polls(text).map_or(Self::Else, Self::Polls)
    }

    /// `281 0x9 0x7ffd… … SP PC`: the call, its six arguments, the stack pointer, the instruction pointer.
    fn polls(text: &str) -> Option<Waiting> {
        let mut fields = text.split_ascii_whitespace();
        if !POLLS.contains(&fields.next()?.parse().ok()?) {
            return None;
        }
        let mut number = |skip| u64::from_str_radix(fields.nth(skip)?.strip_prefix("0x")?, 16).ok();
        Some(Waiting { descriptor: number(0)?, stack: number(5)? })
    }
}

/// The time that a thread has run, in nanoseconds; `None` where the kernel does not count it.
pub(super) fn ran_ns(pid: Pid, tid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat")).ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_does_is_told_by_its_system_call() {
        let polls = format!("{} 0x9 0x1 0x2 0x3 0x4 0x5 0x7ffd1000 0x7f00\n", POLLS[0]);
        let waiting = Waiting { descriptor: 9, stack: 0x7ffd_1000 };
        assert_eq!(Doing::of_text(&polls), Doing::Polls(waiting));
        assert_eq!(Doing::of_text("running\n"), Doing::Runs);
        for other in ["202 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n", "-1 0x7ffd1000 0x7f00\n", "281", ""] {
            assert_eq!(Doing::of_text(other), Doing::Else, "{other}");
        }
    }
}
