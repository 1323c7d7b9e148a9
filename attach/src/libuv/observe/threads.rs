//! Finding the loops of threads.
//!
//! A thread that waits in the kernel's poll tells in `/proc/PID/task/TID/syscall` on which descriptor, and where its stack is.
//! Close by on the stack lies the address of its loop, which knows the same descriptor.

use std::collections::HashMap;
use std::fs;

use model::time::Monotonic;

use super::super::locate::Located;
use super::loops::ObservedLoop;
use super::remote::Remote;
use crate::target::{Pid, ProcessError};

/// How much of a stack is searched: `uv__io_poll` has a buffer of 1024 events of 12 bytes in its frame.
const STACK_BYTES: usize = 24 << 10;

/// Node.js gives its workers stacks of 4 MiB; what lies further from the stack pointer lies elsewhere.
const STACK_SIZE_MAX: u64 = 64 << 20;

/// Threads that are remembered.
const THREADS_MAX: usize = 4096;

/// A thread that had no loop is looked at again after this, then after twice this, and so on.
const AGAIN_NS: u64 = 1_500_000_000;
const AGAIN_MAX_NS: u64 = 60_000_000_000;

/// Addresses of processes lie below; on x86-64 even below half of it.
const ADDRESS_MAX: u64 = 1 << 48;

/// The calls that wait for events: `epoll_wait`, `epoll_pwait`, `epoll_pwait2`.
#[cfg(target_arch = "x86_64")]
const POLLS: &[u64] = &[232, 281, 441];
#[cfg(target_arch = "aarch64")]
const POLLS: &[u64] = &[22, 441];

/// The threads of a process.
#[derive(Debug)]
pub(super) struct Threads {
    pid: Pid,
    known: HashMap<u32, Looked>,
    workers: u32,
    loops: u32,
}

#[derive(Clone, Copy, Debug)]
struct Looked {
    next: Monotonic,
    wait_ns: u64,
}

/// A thread that waits in a poll.
struct Waiting {
    descriptor: u64,
    stack: u64,
}

impl Threads {
    pub(super) fn new(pid: Pid) -> Self {
        Self { pid, known: HashMap::new(), workers: 0, loops: 0 }
    }

    /// Whether a thread was there at the last look.
    pub(super) fn has(&self, tid: u32) -> bool {
        self.known.contains_key(&tid)
    }

    /// Looks for loops that are not known yet.
    pub(super) fn look(
        &mut self,
        remote: &Remote,
        located: &Located,
        known_loops: &[u64],
        now: Monotonic,
    ) -> Result<Vec<ObservedLoop>, ProcessError> {
        let path = format!("/proc/{}/task", self.pid);
        let entries = fs::read_dir(&path).map_err(|error| ProcessError::new(self.pid, &path, error))?;
        let mut tids: Vec<u32> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .take(THREADS_MAX)
            .collect();
        tids.sort_unstable();
        self.known.retain(|tid, _| tids.binary_search(tid).is_ok());
        let mut found: Vec<ObservedLoop> = Vec::new();
        for tid in tids {
            let looked = self.known.entry(tid).or_insert(Looked { next: now, wait_ns: AGAIN_NS });
            if now < looked.next {
                continue;
            }
            looked.next = now.plus_ns(looked.wait_ns);
            looked.wait_ns = (2 * looked.wait_ns).min(AGAIN_MAX_NS);
            let Some(waiting) = self.waiting(tid) else { continue };
            let addresses: Vec<u64> =
                known_loops.iter().copied().chain(found.iter().map(|observed| observed.address)).collect();
            if let Some(observed) = self.search(remote, located, tid, &waiting, &addresses)? {
                found.push(observed);
            }
        }
        Ok(found)
    }

    fn waiting(&self, tid: u32) -> Option<Waiting> {
        // "281 0x9 0x7ffd… … SP PC": the call, its six arguments, the stack pointer, the instruction pointer.
        let text = fs::read_to_string(format!("/proc/{}/task/{tid}/syscall", self.pid)).ok()?;
        let mut fields = text.split_ascii_whitespace();
        if !POLLS.contains(&fields.next()?.parse().ok()?) {
            return None;
        }
        let mut number = |skip| u64::from_str_radix(fields.nth(skip)?.strip_prefix("0x")?, 16).ok();
        Some(Waiting { descriptor: number(0)?, stack: number(5)? })
    }

    /// Searches a stack for the address of a loop that polls the same descriptor.
    fn search(
        &mut self,
        remote: &Remote,
        located: &Located,
        tid: u32,
        waiting: &Waiting,
        known_loops: &[u64],
    ) -> Result<Option<ObservedLoop>, ProcessError> {
        let stack = remote.read_up_to(waiting.stack, STACK_BYTES)?;
        let layout = &located.libuv.image.layout;
        let mut tried = Vec::new();
        for word in stack.chunks_exact(8) {
            let address = u64::from_ne_bytes(word.try_into().expect("chunks of eight"));
            let is_address = address > 0xffff && address < ADDRESS_MAX && address.is_multiple_of(8);
            if !is_address || tried.contains(&address) {
                continue;
            }
            tried.push(address);
            let candidate = ObservedLoop::open(remote, layout, address, Some(tid), String::new())?;
            let Some(mut observed) = candidate else { continue };
            let polls_the_same = observed.backend_fd() as u64 == waiting.descriptor;
            if !polls_the_same || !is_ring(remote, address.wrapping_add(layout.loop_handle_queue.into()))? {
                continue;
            }
            if known_loops.contains(&address) {
                return Ok(None);
            }
            let on_own_stack = address.wrapping_sub(waiting.stack) < STACK_SIZE_MAX;
            return Ok(self.name(located, tid, on_own_stack).map(|name| {
                observed.name = name;
                observed
            }));
        }
        Ok(None)
    }

    /// The name of a loop that was found on a thread; `None` of one that is Node.js's own: workers have theirs on their
    /// stacks, the platform's lies elsewhere.
    fn name(&mut self, located: &Located, tid: u32, on_own_stack: bool) -> Option<String> {
        if tid == self.pid.get() {
            return Some("main".to_owned());
        }
        if located.is_node() {
            return on_own_stack.then(|| {
                self.workers += 1;
                format!("worker-{}", self.workers)
            });
        }
        self.loops += 1;
        Some(format!("loop-{}", self.loops))
    }
}

/// Whether a list's head looks like one: what it points to points back.
fn is_ring(remote: &Remote, head: u64) -> Result<bool, ProcessError> {
    let Some(first) = remote.word(head)?.filter(|&first| first != 0) else { return Ok(false) };
    Ok(remote.word(first.wrapping_add(8))? == Some(head))
}
