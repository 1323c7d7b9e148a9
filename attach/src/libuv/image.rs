//! Where libuv's functions, state and probe points lie in one binary.
//!
//! Addresses are the file's own ("virtual addresses"): a process adds its [bias](super::locate::Part::bias). A probe is
//! placed by its offset in the file.
//!
//! Symbols tell, and where a library has only those of public functions, the shape of the code does. Read in this order:
//! `bytes`, `elf`, `symbols`, `machine`, `code`, `points`, `shape`.

mod bytes;
mod code;
mod elf;
mod frames;
mod layout;
mod machine;
mod points;
mod shape;
mod symbols;
mod task;

use std::fs::File;
use std::io;
use std::sync::Arc;

use object::read::elf::ProgramHeader;

use bytes::Bytes;
use elf::{Elf, LITTLE};
pub use machine::Machine;
use symbols::Symbols;

/// What is known of libuv in one binary. What could not be found is absent, and [`Image::missing`] says so.
#[derive(Clone, Debug)]
pub struct Image {
    /// The machine that it is for.
    pub machine: Machine,
    /// The GNU build id.
    pub build_id: Option<Vec<u8>>,
    /// The version of libuv, as `uv_version` would give it: major, minor, patch.
    pub version: Option<(u8, u8, u8)>,
    /// The file's parts that are mapped: address, length and offset in the file.
    pub segments: Vec<(u64, u64, u64)>,
    /// Whether libuv is in this file; if not, it is the library that holds V8.
    pub has_libuv: bool,
    /// Whether this is a Node.js binary, or the library that holds Node.js.
    pub is_node: bool,
    /// The version of Node.js: major, minor, patch. What it may add to a release that is none (`-nightly`) is not known.
    pub node_version: Option<(u32, u32, u32)>,
    /// Where fields lie in libuv's structures of this version.
    pub layout: Layout,
    /// The state of the thread pool, and the default loop.
    pub state: State,
    /// Where probes may be placed.
    pub points: Points,
    /// What was not found, and what cannot be measured without it.
    pub missing: Vec<Missing>,
}

impl Image {
    /// Reads what a file tells of the libuv that it holds; `None` where it holds none, or is no ELF file of a machine
    /// that is understood. Nothing in the file is trusted: what lies outside of it is not found.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        Self::read_bytes(&Bytes::of_memory(bytes))
    }

    /// Likewise, of a file, which is read piece by piece: a Node.js takes some megabytes for a moment, whatever its size. A file
    /// that becomes shorter meanwhile is read as far as it goes.
    ///
    /// # Errors
    /// The kernel's, where the file cannot be read.
    pub fn read_file(file: &File) -> io::Result<Option<Self>> {
        let bytes = Bytes::of_file(file);
        let image = Self::read_bytes(&bytes);
        bytes.check().map(|()| image)
    }

    fn read_bytes(bytes: &Bytes<'_>) -> Option<Self> {
        let elf = Elf::parse(bytes)?;
        Self::read_with(&elf, Symbols::read(&elf, true))
    }

    fn read_with(elf: &Elf<'_>, mut symbols: Symbols) -> Option<Self> {
        let run = symbols.get("uv_run");
        if run.is_none() && symbols.garbage_collections.is_empty() {
            return None;
        }
        let mut missing = Vec::new();
        let code = code::Code::new(elf, &symbols);
        let version = code.version(&symbols);
        let node_version = code.node_version(&symbols);
        if run.is_some() {
            if version.is_none() {
                missing
                    .push(Missing { what: "uv_version", why: "the version of libuv is unknown".to_owned() });
            }
            shape::complete(elf, &code, &mut symbols, &mut missing);
        }
        let (points, state) = (points::find(&code, &symbols, &mut missing), state(&symbols));
        if run.is_some() && state.queue.is_none() && missing.iter().all(|missing| missing.what != "wq") {
            missing.push(Missing { what: "wq", why: "the pool's variables have no symbols".to_owned() });
        }
        Some(Self {
            build_id: elf.build_id(),
            version,
            segments: elf
                .loads()
                .map(|load| (load.p_vaddr(LITTLE), load.p_filesz(LITTLE), load.p_offset(LITTLE)))
                .collect(),
            has_libuv: run.is_some(),
            is_node: symbols.node_task.is_some() || !symbols.garbage_collections.is_empty(),
            node_version,
            layout: layout::on(
                elf.machine,
                version.unwrap_or((1, 45, 0)),
                code.returned_constant(&symbols, "uv_loop_size"),
            ),
            machine: elf.machine,
            state,
            points,
            missing,
        })
    }
}

impl Image {
    /// What to add to the file's addresses in a process that has the file's bytes from `offset` on at `start`.
    pub(super) fn bias(&self, start: u64, offset: u64) -> Option<u64> {
        // Mappings begin at whole pages; the last match, for the end of one part and the start of the next may share one.
        let page = |value: u64| value & !0xfff;
        let holds =
            |&&(_, length, at): &&(u64, u64, u64)| page(at) <= offset && offset < at.saturating_add(length);
        let &(address, _, at) = self.segments.iter().rfind(holds)?;
        Some(start.wrapping_sub(page(address).wrapping_add(offset - page(at))))
    }
}

/// Functions of libuv in a file that has symbols of its public ones only, as far as their shape tells them: where each begins, ascending, and
/// its name.
pub(crate) fn functions_by_shape(bytes: &[u8]) -> Vec<(u64, &'static str)> {
    let bytes = Bytes::of_memory(bytes);
    let Some(elf) = Elf::parse(&bytes) else { return Vec::new() };
    let mut symbols = Symbols::read(&elf, false);
    if symbols.get("uv_run").is_none() {
        return Vec::new();
    }
    let code = code::Code::new(&elf, &symbols);
    shape::complete(&elf, &code, &mut symbols, &mut Vec::new());
    let named = shape::FUNCTIONS.iter().filter_map(|&name| Some((symbols.address(name)?, name)));
    let mut functions: Vec<_> = named.collect();
    functions.sort_unstable();
    functions
}

fn state(symbols: &Symbols) -> State {
    State {
        default_loop: symbols.address("default_loop_struct"),
        queue: symbols.address("wq"),
        slow_queue: symbols.address("slow_io_pending_wq"),
        slow_message: symbols.address("run_slow_work_message"),
        exit_message: symbols.address("exit_message"),
        idle_threads: symbols.address("idle_threads"),
        threads: symbols.address("nthreads"),
    }
}

/// Something that was not found in a binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The function or variable, by libuv's name.
    pub what: &'static str,
    /// Why, in a few words: `it has no symbol, and nothing in the code has its shape`.
    pub why: String,
}

/// Offsets of fields, in bytes. `None` where this version of libuv has no such field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `uv_loop_t.handle_queue`, a list head.
    pub loop_handle_queue: u32,
    /// `uv_loop_t.internal_fields` (pointer).
    pub loop_internal_fields: u32,
    /// `uv_loop_t.backend_fd` (i32).
    pub loop_backend_fd: u32,
    /// `uv_loop_t.wq`: head of the list of tasks that have ended.
    pub loop_wq: u32,
    /// `uv_loop_t.wq_mutex`.
    pub loop_wq_mutex: u32,
    /// `uv_loop_t.wq_async`: the handle that wakes the loop for them.
    pub loop_wq_async: u32,
    /// `uv_loop_t.prepare_handles`, a list head.
    pub loop_prepare_handles: u32,
    /// `uv_loop_t.check_handles`, a list head.
    pub loop_check_handles: u32,
    /// `uv_loop_t.idle_handles`, a list head.
    pub loop_idle_handles: u32,
    /// `uv_loop_t.timer_heap.min` (pointer).
    pub loop_timer_heap: u32,
    /// `uv_loop_t.time` (u64, milliseconds).
    pub loop_time: u32,
    /// `uv_handle_t.type` (u32).
    pub handle_type: u32,
    /// From a handle to its node in `handle_queue`.
    pub handle_queue_node: u32,
    /// From a timer's heap node to its due time (u64, milliseconds).
    pub timer_node_due: u32,
    /// `loop_metrics.metrics.loop_count`, from the internal fields (u64).
    pub metrics_loop_count: Option<u32>,
    /// `loop_metrics.metrics.events`, likewise.
    pub metrics_events: Option<u32>,
    /// `loop_metrics.provider_entry_time`, likewise (u64, nanoseconds; zero while not waiting).
    pub metrics_entry_time: Option<u32>,
    /// `loop_metrics.provider_idle_time`, likewise (u64, nanoseconds).
    pub metrics_idle_time: Option<u32>,
    /// From `struct uv__work` to its list node.
    pub work_queue_node: u32,
    /// From `uv_work_t` to its `struct uv__work`.
    pub work_request_work: u32,
}

/// Addresses of libuv's static variables, in the file's own terms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `default_loop_struct`.
    pub default_loop: Option<u64>,
    /// `wq`: head of the queue of tasks.
    pub queue: Option<u64>,
    /// `slow_io_pending_wq`: head of the queue of slow tasks, which stand in `queue` as one.
    pub slow_queue: Option<u64>,
    /// `run_slow_work_message`: the node in `queue` that stands for the slow ones.
    pub slow_message: Option<u64>,
    /// `exit_message`: the node in `queue` that ends the threads.
    pub exit_message: Option<u64>,
    /// `idle_threads` (u32).
    pub idle_threads: Option<u64>,
    /// `nthreads` (u32).
    pub threads: Option<u64>,
}

/// An instruction on which a probe may be placed: on x86-64 one that the kernel emulates, so that a hit costs a microsecond and not
/// twenty; on arm64, if there is none, one that it executes out of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// Its address in the file's own terms.
    pub address: u64,
    /// Its offset in the file.
    pub offset: u64,
}

/// A register that is read at a site, by the kernel's order in `struct pt_regs`: on x86-64 r15 is 0, r14 1, r13 2, r12 3,
/// rbp 4, rbx 5, r11 6, r10 7, r9 8, r8 9, rax 10, rcx 11, rdx 12, rsi 13, rdi 14; on arm64 the register's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Register(pub u8);

/// A site at which a task's `struct uv__work` is `register + displacement`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskSite {
    /// Where.
    pub site: Site,
    /// The register.
    pub register: Register,
    /// What to add to it.
    pub displacement: i32,
}

/// A site at which a thread has taken a list of tasks over, to go through it: a branch behind the comparison of two registers.
///
/// The list is a ring of nodes, of which the first word points to the next: from the head to the first, and from the last to the head.
/// If it is empty, both registers are the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenSite {
    /// Where.
    pub site: Site,
    /// The register that holds the first task's list node, [`Layout::work_queue_node`] behind its `struct uv__work`.
    pub first: Register,
    /// The register that holds the list's head, which lies on the stack.
    pub head: Register,
}

/// Where probes may be placed. Each is absent where it was not found, or where only an instruction that the kernel does not
/// emulate would do.
#[derive(Clone, Debug, Default)]
pub struct Points {
    /// The entry of `uv__io_poll(loop, timeout)`: the end of everything between two polls.
    pub io_poll: Option<Site>,
    /// Behind each call of `epoll_wait` or `epoll_pwait` in it. Its number of events is in the register of results.
    pub poll_returns: Vec<Site>,
    /// The entry of `uv__run_timers(loop)`.
    pub run_timers: Option<Site>,
    /// The entry of `uv__run_idle(loop)`.
    pub run_idle: Option<Site>,
    /// The entry of `uv__run_prepare(loop)`.
    pub run_prepare: Option<Site>,
    /// The entry of `uv__run_check(loop)`.
    pub run_check: Option<Site>,
    /// Behind the call of `uv__run_check` in `uv_run`: the start of closing. The loop's address is not in a register that
    /// one can rely on there.
    pub check_returns: Vec<Site>,
    /// The entry of `uv__work_submit(loop, work, kind, work_function, done_function)`.
    pub work_submit: Option<Site>,
    /// The entry of `uv_queue_work(loop, request, ...)`, where it does not call `uv__work_submit` but holds a copy of it.
    pub queue_work: Option<Site>,
    /// On a pool thread, before a task runs: entries of `uv__fs_work`, `uv__queue_work`, `uv__getaddrinfo_work` and so on, so
    /// that every task passes exactly one. Where some task would pass none, one place in `worker`, where the pool's lock is still held.
    pub task_starts: Vec<TaskSite>,
    /// Likewise, of libuv's own kinds alone, all but the tasks of `uv_queue_work`: none, if one of them has no place.
    pub own_starts: Vec<TaskSite>,
    /// Likewise, of the tasks of `uv_queue_work` alone: in libuv, or in Node.js, where libuv may be in another file.
    pub queued_start: Option<TaskSite>,
    /// On a pool thread, when a task has run.
    pub task_end: Option<TaskSite>,
    /// The entry of `uv_cancel(request)`.
    pub cancel: Option<Site>,
    /// In `uv__work_done`, once a batch, when the loop's list of tasks that have ended has been taken and its lock given back.
    pub work_taken: Option<TakenSite>,
    /// The entries of V8's `Heap::PerformGarbageCollection(heap, collector, …)`: compilers may make several of it.
    pub garbage_collections: Vec<Site>,
    /// Addresses of the functions that tell a task's kind by the fourth argument of `uv__work_submit`.
    pub work_functions: WorkFunctions,
    /// C++ classes whose objects are tasks: what stands in the word 16 bytes before a `uv_work_t` that Node.js queues points
    /// into the virtual table of its class.
    pub classes: Arc<[Class]>,
}

/// Addresses of libuv's functions that run tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkFunctions {
    /// `uv__fs_work`.
    pub fs: Option<u64>,
    /// `uv__getaddrinfo_work`.
    pub getaddrinfo: Option<u64>,
    /// `uv__getnameinfo_work`.
    pub getnameinfo: Option<u64>,
    /// `uv__random_work`.
    pub random: Option<u64>,
    /// `uv__queue_work`: tasks of `uv_queue_work`.
    pub queue_work: Option<u64>,
}

/// A C++ class that has a virtual table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The first address of its virtual table.
    pub start: u64,
    /// The address behind it.
    pub end: u64,
    /// Its name, such as `node::crypto::DeriveBitsJob<node::crypto::PBKDF2Traits>`.
    pub name: String,
    /// What its tasks are called, such as `PBKDF2`; `None` of a class that is not called as classes of tasks are.
    pub task: Option<Box<str>>,
}
