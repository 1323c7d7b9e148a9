//! The operating system: every system call of this crate, one a function, with owned descriptors.
//!
//! Linux only today. Another system is another file beside each of these, with the same functions.

#![allow(unsafe_code, reason = "the fence: unsafe code is allowed here and nowhere else in the crate")]

pub(crate) mod address;
pub(crate) mod datagram;
pub(crate) mod descriptor;
pub(crate) mod dns;
pub(crate) mod epoll;
mod errno;
pub(crate) mod fork;
pub(crate) mod fs;
pub(crate) mod inotify;
pub(crate) mod multicast;
pub(crate) mod once_box;
pub(crate) mod process;
pub(crate) mod random;
pub(crate) mod reaper;
pub(crate) mod signal;
pub(crate) mod socket;
pub(crate) mod transport;
pub(crate) mod tty;
pub(crate) mod unix;
pub(crate) mod wake;
