//! What the kernel told, in our own words: the seam between recording and conversion.
//!
//! Events come by ascending time across all CPUs, so a consumer may keep the state of each process (its mappings, its
//! threads' names) as it goes, and unwind a sample against the state that held when it was taken.

use model::label::LossCause;
use model::time::Monotonic;

/// One thing that happened to a process that is being sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A thread was sampled.
    Sample(Sample<'a>),
    /// A file, or a region without one, was mapped.
    Mapped(Mapped<'a>),
    /// A process or thread was started by another. A new process begins with its parent's mappings.
    Forked {
        /// When.
        time: Monotonic,
        /// The process of the new thread.
        pid: u32,
        /// The new thread.
        tid: u32,
        /// The process of the thread that started it: `pid` itself for a thread.
        parent_pid: u32,
    },
    /// A thread got a name; with `exec`, its process began another program and lost all mappings.
    Renamed {
        /// When.
        time: Monotonic,
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
        /// The name, at most 15 bytes.
        name: &'a [u8],
        /// Whether the process began another program.
        exec: bool,
    },
    /// A thread ended; with `tid == pid`, usually its process.
    Exited {
        /// When.
        time: Monotonic,
        /// The process.
        pid: u32,
        /// The thread.
        tid: u32,
    },
    /// Records were lost.
    Lost {
        /// Why.
        cause: LossCause,
        /// How many.
        count: u64,
    },
}

/// A thread's place at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    /// When.
    pub time: Monotonic,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// How much the sample counts: one, or nanoseconds off the CPU.
    pub weight: u64,
    /// The kernel's part of the stack, innermost first; empty where the thread was in user mode.
    pub kernel: &'a [u64],
    /// The user part, innermost first, as far as the kernel could follow frame pointers.
    pub user_by_frame_pointer: &'a [u64],
    /// The user registers, `None` of a thread that has no user part.
    pub registers: Option<Registers>,
    /// A copy of the user stack, from the stack pointer upwards.
    pub stack: &'a [u8],
    /// Whether the copy was cut off at its bound, so that outer frames may be missing.
    pub stack_cut: bool,
}

/// The registers that unwinding begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// The instruction pointer.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The frame pointer (`rbp`, `x29`).
    pub fp: u64,
    /// The link register on arm64; zero on x86-64.
    pub lr: u64,
}

/// An executable mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped<'a> {
    /// When; the beginning of the recording for what was mapped before.
    pub time: Monotonic,
    /// The process.
    pub pid: u32,
    /// The first address.
    pub start: u64,
    /// The number of bytes.
    pub length: u64,
    /// The offset in the file.
    pub file_offset: u64,
    /// The device, as major and minor number; zero where there is no file.
    pub device: (u32, u32),
    /// The inode; zero where there is no file.
    pub inode: u64,
    /// The path as the process sees it, or what the kernel calls the region: `[vdso]`, `//anon`.
    pub path: &'a [u8],
}
