//! Finding the loops of threads.
//!
//! A thread that waits in the kernel's poll tells in `/proc/PID/task/TID/syscall` on which descriptor, and where its stack is.
//! Close by on the stack lies the address of its loop, which knows the same descriptor.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use model::time::Monotonic;

use super::super::locate::Located;
use super::loops::ObservedLoop;
use super::remote::Remote;
use crate::target::{Pid, ProcessError};

/// How much of a stack is searched: `uv__io_poll` has a buffer of 1024 events of 12 bytes in its frame.
const STACK_BYTES: usize = 24 << 10;

/// Node.js gives its workers stacks of 4 MiB; what lies further from the stack pointer lies elsewhere.
const STACK_SIZE_MAX: u64 = 64 << 20;

/// Mappings of a process that are looked at.
const MAPS_BYTES_MAX: u64 = 8 << 20;

/// Threads that are remembered.
const THREADS_MAX: usize = 4096;

/// Addresses that are tried at one look as those of loops, whatever stacks hold: two reads each. A thread has hundreds on its stack; those
/// that are left over are looked at the next time.
const CANDIDATES_MAX: usize = 8192;

/// How the kernel calls a thread of its own that polls, for the process, a ring of submissions: followed by the id of who made the ring.
const SUBMISSION_POLLER: &str = "iou-sqp-";

/// A thread that had no loop is looked at again after this, then after twice this, and so on.
const AGAIN_NS: u64 = 1_500_000_000;
const AGAIN_MAX_NS: u64 = 60_000_000_000;

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
    /// Threads whose loops are Node.js's own, and what those poll.
    own: Vec<(u32, u64)>,
    workers: u32,
    loops: u32,
    polls_submissions: bool,
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

/// The memory that a process can write to: a loop lies there. What lies elsewhere is not even read: below a stack that could
/// grow the kernel would log that somebody tried.
struct Writable(Vec<Range<u64>>);

impl Writable {
    fn read(pid: Pid) -> Result<Self, ProcessError> {
        let path = format!("/proc/{pid}/maps");
        let read = File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MAPS_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = read.map_err(|error| ProcessError::new(pid, &path, error))?;
        Ok(Self::of_maps(&bytes))
    }

    /// Paths in the list may be of any bytes but a line's end.
    fn of_maps(maps: &[u8]) -> Self {
        Self(String::from_utf8_lossy(maps).lines().filter_map(Self::parse).collect())
    }

    /// `7f0000000000-7f0000021000 rw-p …`; the kernel lists them in order.
    fn parse(line: &str) -> Option<Range<u64>> {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
        rest.starts_with("rw").then_some(hexadecimal(start)?..hexadecimal(end)?)
    }

    /// How much can be written from an address on.
    fn length_from(&self, address: u64) -> u64 {
        let behind = self.0.partition_point(|range| range.start <= address);
        let holds = self.0[..behind].last().filter(|range| range.contains(&address));
        holds.map_or(0, |range| range.end - address)
    }
}

impl Threads {
    pub(super) fn new(pid: Pid) -> Self {
        Self { pid, known: HashMap::new(), own: Vec::new(), workers: 0, loops: 0, polls_submissions: false }
    }

    /// The main thread.
    pub(super) fn main(&self) -> u32 {
        self.pid.get()
    }

    /// Whether a thread was there at the last look.
    pub(super) fn has(&self, tid: u32) -> bool {
        self.known.contains_key(&tid)
    }

    /// Whether a thread runs a loop of Node.js's own.
    pub(super) fn is_nodes_own(&self, tid: u32) -> bool {
        self.own.iter().any(|&(own, _)| own == tid)
    }

    /// Whether a thread is there now.
    pub(super) fn lives(&self, tid: u32) -> bool {
        Path::new(&format!("/proc/{}/task/{tid}", self.pid)).exists()
    }

    /// Whether the kernel has ever polled a ring for the process: what libuv puts there goes around the pool.
    pub(super) fn polls_submissions(&self) -> bool {
        self.polls_submissions
    }

    /// Looks for loops that are not known yet: what polls one of the descriptors is.
    pub(super) fn look(
        &mut self,
        remote: &Remote,
        located: &Located,
        mut polled: Vec<u64>,
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
        self.own.retain(|(tid, _)| tids.binary_search(tid).is_ok());
        let mut found: Vec<ObservedLoop> = Vec::new();
        let (mut writable, mut candidates_left) = (None, CANDIDATES_MAX);
        for tid in tids {
            if !self.known.contains_key(&tid) {
                self.polls_submissions |= self.is_submission_poller(tid);
            }
            let looked = self.known.entry(tid).or_insert(Looked { next: now, wait_ns: AGAIN_NS });
            if now < looked.next || candidates_left == 0 {
                continue;
            }
            looked.next = now.plus_ns(looked.wait_ns);
            looked.wait_ns = (2 * looked.wait_ns).min(AGAIN_MAX_NS);
            let Some(waiting) = self.waiting(tid) else { continue };
            if polled.contains(&waiting.descriptor) || self.own.contains(&(tid, waiting.descriptor)) {
                continue;
            }
            let writable = match &mut writable {
                Some(writable) => writable,
                None => writable.insert(Writable::read(self.pid)?),
            };
            if let Some(observed) =
                self.search(remote, located, tid, &waiting, writable, &mut candidates_left)?
            {
                polled.push(waiting.descriptor);
                found.push(observed);
            }
        }
        Ok(found)
    }

    fn is_submission_poller(&self, tid: u32) -> bool {
        fs::read_to_string(format!("/proc/{}/task/{tid}/comm", self.pid))
            .is_ok_and(|name| name.starts_with(SUBMISSION_POLLER))
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
        writable: &Writable,
        candidates_left: &mut usize,
    ) -> Result<Option<ObservedLoop>, ProcessError> {
        let length = writable.length_from(waiting.stack).min(STACK_BYTES as u64) as usize;
        let stack = remote.read_up_to(waiting.stack, length)?;
        let layout = &located.libuv.image.layout;
        let mut tried = Vec::new();
        for word in stack.chunks_exact(8) {
            let address = u64::from_ne_bytes(word.try_into().expect("chunks of eight"));
            let is_address =
                address.is_multiple_of(8) && writable.length_from(address) >= u64::from(layout.loop_time) + 8;
            if !is_address || tried.contains(&address) {
                continue;
            }
            let Some(left) = candidates_left.checked_sub(1) else { break };
            *candidates_left = left;
            tried.push(address);
            let candidate = ObservedLoop::open(remote, layout, address, Some(tid), String::new())?;
            let Some(mut observed) = candidate else { continue };
            let polls_the_same = observed.backend_fd() as u64 == waiting.descriptor;
            if !polls_the_same || !is_ring(remote, address.wrapping_add(layout.loop_handle_queue.into()))? {
                continue;
            }
            let on_own_stack = address.wrapping_sub(waiting.stack) < STACK_SIZE_MAX;
            let Some(name) = self.name(located, tid, on_own_stack) else {
                self.own.push((tid, waiting.descriptor));
                return Ok(None);
            };
            observed.name = name;
            return Ok(Some(observed));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_written_to_counts_and_only_to_its_end() {
        let writable = Writable::of_maps(
            b"1000-3000 rw-p 0 0:0 0\n3000-4000 r--p 0 0:0 0 /a\xff\n7000-8000 rw-p 0 0:0 0 [stack]\nx",
        );
        for (address, length) in
            [(0xfff, 0), (0x1000, 0x2000), (0x2ff8, 8), (0x3000, 0), (0x7800, 0x800), (0x8000, 0)]
        {
            assert_eq!(writable.length_from(address), length, "{address:#x}");
        }
    }
}
