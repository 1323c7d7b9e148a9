//! The pool's variables, by what is done with them.

use super::values::{Access, Function};
use super::{NOTHING, SEVERAL, Search, Unfound, only};

/// A list's head or node.
pub(super) const NODE_BYTES: u64 = 16;

/// Functions that are looked at with one that calls them.
const INNER_MAX: usize = 8;

/// The pool's variables.
pub(super) struct Variables {
    pub(super) queue: Result<u64, Unfound>,
    pub(super) slow_queue: Result<u64, Unfound>,
    pub(super) slow_message: Result<u64, Unfound>,
    pub(super) exit_message: Result<u64, Unfound>,
    pub(super) idle_threads: Result<u64, Unfound>,
    pub(super) threads: Result<u64, Unfound>,
}

impl Default for Variables {
    fn default() -> Self {
        let unknown = Err(NOTHING);
        Self {
            queue: unknown,
            slow_queue: unknown,
            slow_message: unknown,
            exit_message: unknown,
            idle_threads: unknown,
            threads: unknown,
        }
    }
}

impl Variables {
    /// By `uv__work_submit`, `uv_queue_work` and `worker`.
    pub(super) fn find(search: &Search<'_, '_>, [submit, queue, worker]: [Function; 3]) -> Self {
        let of_queue = Uses::of(search, &[&queue]).lists;
        let by_submit = Uses::with_inner(search, &submit);
        let by_worker = Uses::with_inner(search, &worker);
        let is =
            |access: &Access, address: u64, bytes: usize| access.address == address && access.bytes == bytes;

        // A task that is slow is put into its own queue; the message for it is put into the other if it is in none yet, which
        // is seen from its first word. Of both queues only the second word is used here.
        let first_is_read = |at: u64| by_submit.accesses.iter().any(|it| it.reads && is(it, at, 8));
        let is_queue = |at: u64| {
            !first_is_read(at)
                && by_submit.accesses.iter().any(|it| it.writes && is(it, at.wrapping_add(8), 8))
        };
        let slow_message = only(by_submit.lists.iter().copied().filter(|&at| first_is_read(at)));
        let queues: Vec<u64> = by_submit.lists.iter().copied().filter(|&at| is_queue(at)).collect();
        // A thread looks into the queue before it looks into that of slow tasks.
        let queue = only(worker.reads_first(&queues));
        // A copy of `uv__work_submit` in `uv_queue_work` knows no other.
        let queue =
            queue.and_then(|at| if of_queue.is_empty() || of_queue == [at] { Ok(at) } else { Err(SEVERAL) });
        let slow_queue = queue.and_then(|queue| only(queues.iter().copied().filter(|&at| at != queue)));
        // Only compared with what was taken from the queue.
        let used = |at: u64| by_worker.accesses.iter().any(|it| it.address.wrapping_sub(at) < NODE_BYTES);
        let others = by_worker.lists.iter().copied().filter(|at| !by_submit.lists.contains(at));
        let exit_message = only(others.filter(|&at| !used(at)));

        let is_written = |at: u64| by_worker.counts().any(|it| it.writes && it.address == at);
        // Who submits a task looks whether a thread waits, and threads count themselves.
        let asked = by_submit.counts().filter(|it| it.reads).map(|it| it.address);
        let idle_threads = only(asked.filter(|&at| is_written(at)));
        // Threads only read how many they are.
        let read = by_worker.counts().filter(|it| it.reads && !is_written(it.address));
        let threads = only(read.map(|it| it.address));
        Self { queue, slow_queue, slow_message, exit_message, idle_threads, threads }
    }
}

/// What functions do with variables.
struct Uses {
    /// What may be lists, of those whose addresses are in the code: each once.
    lists: Vec<u64>,
    /// Uses of what may be variables.
    accesses: Vec<Access>,
}

impl Uses {
    /// Of a function and what it calls that is not public: compilers make of one function several, and of several one.
    fn with_inner(search: &Search<'_, '_>, function: &Function) -> Self {
        let mut inner: Vec<Function> = Vec::new();
        let mut seen = Vec::new();
        for target in function.calls().iter().map(|call| call.target) {
            if seen.contains(&target) || search.symbols.is_public(target) || seen.len() == INNER_MAX {
                continue;
            }
            seen.push(target);
            inner.extend(search.function_at(target).map(|symbol| search.analysed(symbol)));
        }
        let all: Vec<&Function> = std::iter::once(function).chain(&inner).collect();
        Self::of(search, &all)
    }

    fn of(search: &Search<'_, '_>, functions: &[&Function]) -> Self {
        let is_list = |&at: &u64| search.code.may_hold_variable(at, NODE_BYTES, 8);
        let is_variable = |it: &Access| search.code.may_hold_variable(it.address, it.bytes as u64, 1);
        let locks: Vec<u64> = functions.iter().flat_map(|function| locks(search, function)).collect();
        let mut lists: Vec<u64> = functions.iter().flat_map(|function| function.mentions()).collect();
        lists.retain(|at| is_list(at) && !locks.contains(at));
        lists.sort_unstable();
        lists.dedup();
        let accesses = functions.iter().flat_map(|function| function.accesses());
        Self { lists, accesses: accesses.filter(is_variable).collect() }
    }

    /// Those of 32 bits.
    fn counts(&self) -> impl Iterator<Item = &Access> {
        self.accesses.iter().filter(|it| it.bytes == 4 && it.address.is_multiple_of(4))
    }
}

/// The addresses that a function locks, signals, waits for or initializes by.
fn locks(search: &Search<'_, '_>, function: &Function) -> Vec<u64> {
    let names = ["uv_mutex_lock", "uv_mutex_unlock", "uv_cond_wait", "uv_cond_signal", "uv_once"];
    let calls = function.calls().into_iter();
    let calls = calls.filter(|call| names.iter().any(|name| search.leads_to(Some(call.target), name)));
    calls.flat_map(|call| [call.arguments[0], call.arguments[1]]).flatten().collect()
}
