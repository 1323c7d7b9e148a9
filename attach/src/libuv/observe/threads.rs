//! Finding the loops of threads.
//!
//! A thread that waits in the kernel's poll tells in `/proc/PID/task/TID/syscall` on which descriptor, and where its stack is.
//! Close by on the stack lies the address of its loop, which knows the same descriptor.
//!
//! A busy thread seldom waits there, and does so shortly. So one that is new, or that runs and has not been looked at for long enough, is
//! looked at with each reading, a bounded number of them by turns; only then less and less often. Where probes are placed, they tell
//! the loop of each thread that has one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use model::time::Monotonic;

use super::super::locate::Located;
use super::doing::{Doing, Waiting, ran_ns};
use super::looked::Looked;
use super::loops::ObservedLoop;
use super::remote::Remote;
use super::writable::Writable;
use crate::target::{Pid, ProcessError};

/// How much of a stack is searched: `uv__io_poll` has a buffer of 1024 events of 12 bytes in its frame.
const STACK_BYTES: usize = 24 << 10;

/// Node.js gives its workers stacks of 4 MiB; what lies further from the stack pointer lies elsewhere.
const STACK_SIZE_MAX: u64 = 64 << 20;

/// Threads that are remembered.
const THREADS_MAX: usize = 4096;

/// Addresses that are tried at one look as those of loops, whatever stacks hold: two reads each. A thread has hundreds on its stack; those
/// that are left over are looked at the next time.
const CANDIDATES_MAX: usize = 8192;

/// How the kernel calls a thread of its own that polls, for the process, a ring of submissions: followed by the id of who made the ring.
const SUBMISSION_POLLER: &str = "iou-sqp-";

/// Threads that are looked at with one reading, but for new ones: some 5 µs each.
const LOOKS_MAX: usize = 32;

/// What a descriptor of epoll is called in `/proc/PID/fd`.
const EPOLL: &str = "anon_inode:[eventpoll]";

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

/// A loop that a probe has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Seen {
    pub(in super::super) tid: u32,
    pub(in super::super) loop_address: u64,
    /// Where on the thread's stack it runs.
    pub(in super::super) stack: u64,
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

    /// Lists the threads.
    pub(super) fn list(&mut self, now: Monotonic) -> Result<(), ProcessError> {
        let path = format!("/proc/{}/task", self.pid);
        let entries = fs::read_dir(&path).map_err(|error| ProcessError::new(self.pid, &path, error))?;
        let mut tids: Vec<u32> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .take(THREADS_MAX)
            .collect();
        tids.sort_unstable();
        self.known.retain(|tid, _| tids.binary_search(tid).is_ok());
        self.own.retain(|(tid, _)| tids.binary_search(tid).is_ok());
        for tid in tids {
            if !self.known.contains_key(&tid) {
                self.polls_submissions |= self.is_submission_poller(tid);
                self.known.insert(tid, Looked::new(now));
            }
        }
        Ok(())
    }

    /// The threads that have none of these loops.
    pub(super) fn without(&self, loops: &[ObservedLoop]) -> Vec<u32> {
        let with: Vec<u32> = loops.iter().map(|observed| observed.tid.unwrap_or(self.main())).collect();
        self.known.keys().copied().filter(|tid| !with.contains(tid)).collect()
    }

    /// Looks for loops beside those that are known, on threads that are due. Whether one that may have a loop runs.
    pub(super) fn look(
        &mut self,
        remote: &Remote,
        located: &Located,
        loops: &mut Vec<ObservedLoop>,
        now: Monotonic,
    ) -> Result<bool, ProcessError> {
        let due = self.known.iter().filter(|(_, looked)| looked.is_due(now));
        let mut due: Vec<_> = due.map(|(&tid, looked)| (looked.next(), tid)).collect();
        // New ones first, then those that wait the longest.
        due.sort_unstable();
        let new = due.partition_point(|(next, _)| next.is_none());
        due.truncate(new.max(LOOKS_MAX));
        let mut any_runs = false;
        let (mut writable, mut candidates_left) = (None, CANDIDATES_MAX);
        for (_, tid) in due {
            if candidates_left == 0 {
                break;
            }
            let doing = Doing::of(self.pid, tid);
            let has_loop = loops.iter().any(|observed| observed.tid.unwrap_or(self.main()) == tid);
            any_runs |= doing == Doing::Runs && !has_loop;
            let Some(looked) = self.known.get_mut(&tid) else { continue };
            let Doing::Polls(waiting) = doing else {
                match has_loop {
                    true => looked.later(now),
                    false => looked.not_in_a_poll(now, || ran_ns(self.pid, tid)),
                }
                continue;
            };
            looked.later(now);
            let is_known = loops.iter().any(|observed| observed.backend_fd() as u64 == waiting.descriptor);
            if is_known || self.own.contains(&(tid, waiting.descriptor)) {
                continue;
            }
            let writable = match &mut writable {
                Some(writable) => writable,
                None => writable.insert(Writable::read(self.pid)?),
            };
            loops.extend(self.search(remote, located, tid, &waiting, writable, &mut candidates_left)?);
        }
        Ok(any_runs)
    }

    /// Takes up a loop that a probe has seen on a thread; `None` where nothing there looks like one, or it is Node.js's own.
    pub(super) fn take_up(
        &mut self,
        remote: &Remote,
        located: &Located,
        seen: &Seen,
        now: Monotonic,
    ) -> Result<Option<ObservedLoop>, ProcessError> {
        let (tid, address) = (seen.tid, seen.loop_address);
        let on_own_stack = is_above(address, seen.stack);
        if self.is_own(located, tid, on_own_stack) || !self.lives(tid) {
            return Ok(None);
        }
        let layout = &located.libuv.image.layout;
        let Some(mut observed) = ObservedLoop::open(remote, layout, address, Some(tid), String::new())?
        else {
            return Ok(None);
        };
        let polled = fs::read_link(format!("/proc/{}/fd/{}", self.pid, observed.backend_fd()));
        let is_epoll = polled.is_ok_and(|name| name == Path::new(EPOLL));
        if !is_epoll || !is_ring(remote, address.wrapping_add(layout.loop_handle_queue.into()))? {
            return Ok(None);
        }
        self.known.entry(tid).or_insert_with(|| Looked::new(now));
        observed.name = self.name(located, tid);
        Ok(Some(observed))
    }

    fn is_submission_poller(&self, tid: u32) -> bool {
        fs::read_to_string(format!("/proc/{}/task/{tid}/comm", self.pid))
            .is_ok_and(|name| name.starts_with(SUBMISSION_POLLER))
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
            if self.is_own(located, tid, is_above(address, waiting.stack)) {
                self.own.push((tid, waiting.descriptor));
                return Ok(None);
            }
            observed.name = self.name(located, tid);
            return Ok(Some(observed));
        }
        Ok(None)
    }

    /// Whether a loop on a thread is Node.js's own: workers have theirs on their stacks, the platform's lies elsewhere.
    fn is_own(&self, located: &Located, tid: u32, on_own_stack: bool) -> bool {
        tid != self.main() && located.is_node() && !on_own_stack
    }

    /// The name of a loop that was found on a thread.
    fn name(&mut self, located: &Located, tid: u32) -> String {
        if tid == self.main() {
            return "main".to_owned();
        }
        let (kind, count) = match located.is_node() {
            true => ("worker", &mut self.workers),
            false => ("loop", &mut self.loops),
        };
        *count += 1;
        format!("{kind}-{count}")
    }
}

/// Whether an address lies on the stack of a thread, above where the thread is.
fn is_above(address: u64, stack: u64) -> bool {
    address.wrapping_sub(stack) < STACK_SIZE_MAX
}

/// Whether a list's head looks like one: what it points to points back.
fn is_ring(remote: &Remote, head: u64) -> Result<bool, ProcessError> {
    let Some(first) = remote.word(head)?.filter(|&first| first != 0) else { return Ok(false) };
    Ok(remote.word(first.wrapping_add(8))? == Some(head))
}
