//! Event loops and thread pools of processes that run on libuv and know nothing of it: Node.js, uvloop, C programs.
//!
//! No code is injected, no signal is sent, nothing is stopped. What is measured comes in tiers whose cost is known:
//! [`observe`] reads libuv's own state from outside, at no cost to the process; [`probes`] places uprobes on a few of
//! libuv's instructions, whose BPF programs keep sums in the kernel. Both need to know where in a binary things lie:
//! [`image`] finds that out once for each binary, [`locate`] where a process has it in memory.
//!
//! Read in this order: [`tiers`], [`image`], [`locate`], [`observe`], [`probes`].

pub mod image;
pub mod locate;
pub mod observe;
pub mod probes;
pub mod tiers;
