//! The thread pool: how tasks come into it, and what its threads run.

use iced_x86::{Instruction, Mnemonic, OpKind, Register as Name};

use super::super::layout;
use super::super::machine::x86_64;
use super::super::symbols::Symbol;
use super::values::{Call, Function};
use super::variables::{NODE_BYTES, Variables};
use super::{NOTHING, Search, Unfound, only};

/// Public functions that hand a task to the pool, and the function that the task runs.
const SUBMITTERS: &[(&str, &str)] = &[
    ("uv_fs_stat", "uv__fs_work"),
    ("uv_fs_close", "uv__fs_work"),
    ("uv_fs_unlink", "uv__fs_work"),
    ("uv_getaddrinfo", "uv__getaddrinfo_work"),
    ("uv_getnameinfo", "uv__getnameinfo_work"),
    ("uv_random", "uv__random_work"),
];

/// Functions that are looked at on the way from the pool's initialization to the function of its threads.
const REACHED_MAX: usize = 64;

pub(super) fn find(search: &mut Search<'_, '_>) {
    let submissions = submissions(search);
    let submit = only(submissions.iter().map(|&(_, call)| call.target));
    let submit = submit.and_then(|address| search.function_at(address).ok_or(NOTHING));
    search.offer("uv__work_submit", submit);
    for name in ["uv__fs_work", "uv__getaddrinfo_work", "uv__getnameinfo_work", "uv__random_work"] {
        // A linker leaves out what nothing calls.
        if SUBMITTERS.iter().all(|(public, work)| *work != name || search.symbols.get(public).is_none()) {
            continue;
        }
        let works = submissions.iter().filter(|(of, _)| *of == name).map(|(_, call)| call.arguments[3]);
        let work = only(works).and_then(|work| code_at(search, work));
        search.offer(name, work);
    }
    let done = search.named("uv_loop_init").map(|function| function.calls()).unwrap_or_default();
    let done = done.iter().filter(|call| search.leads_to(Some(call.target), "uv_async_init"));
    let done = only(done.map(|call| call.arguments[2])).and_then(|done| code_at(search, done));
    search.offer("uv__work_done", done);
    let (Some(submit), Some(queue)) = (search.named("uv__work_submit"), search.named("uv_queue_work")) else {
        return search.offer("wq", Err(NOTHING));
    };
    let queued = queued(search, &queue);
    search.offer("uv__queue_work", queued);
    let worker = worker(search, &submit);
    search.offer("worker", worker);
    let variables = match search.named("worker") {
        Some(worker) => Variables::find(search, [submit, queue, worker]),
        None => Variables::default(),
    };
    search.offer_variable("wq", variables.queue, NODE_BYTES);
    search.offer_variable("slow_io_pending_wq", variables.slow_queue, NODE_BYTES);
    search.offer_variable("run_slow_work_message", variables.slow_message, NODE_BYTES);
    search.offer_variable("exit_message", variables.exit_message, NODE_BYTES);
    search.offer_variable("idle_threads", variables.idle_threads, 4);
    search.offer_variable("nthreads", variables.threads, 4);
}

/// A function that an argument points to.
fn code_at(search: &Search<'_, '_>, address: Option<u64>) -> Result<Symbol, Unfound> {
    search.code.function_at(address.ok_or(NOTHING)?).ok_or(NOTHING)
}

/// The calls of public functions that pass two functions as the fourth and fifth argument.
fn submissions(search: &Search<'_, '_>) -> Vec<(&'static str, Call)> {
    let mut found = Vec::new();
    for &(submitter, work) in SUBMITTERS {
        let calls = search.named(submitter).map(|function| function.calls()).unwrap_or_default();
        let passes = |call: &Call, at: usize| code_at(search, call.arguments[at]).is_ok();
        let calls = calls.into_iter().filter(|call| passes(call, 3) && passes(call, 4));
        found.extend(calls.map(|call| (work, call)));
    }
    found
}

/// `uv__queue_work`: either what `uv_queue_work` passes on, or, where it holds a copy of `uv__work_submit`, the function that it
/// writes into the task, which calls the request's own.
fn queued(search: &Search<'_, '_>, queue: &Function) -> Result<Symbol, Unfound> {
    let submit = search.symbols.address("uv__work_submit");
    let calls = queue.calls();
    if let Some(call) = calls.iter().find(|call| Some(call.target) == submit) {
        return code_at(search, call.arguments[3]);
    }
    let once = calls.iter().filter(|call| search.leads_to(Some(call.target), "uv_once"));
    let once: Vec<u64> = once.filter_map(|call| call.arguments[1]).collect();
    // Two pointers that are written at once may come from memory that is only read.
    let reads = queue.accesses().into_iter().filter(|it| it.reads && !it.writes);
    let words: Vec<u64> = reads
        .flat_map(|it| (0..it.bytes.min(32) as u64 / 8).map(move |word| it.address.wrapping_add(8 * word)))
        .collect();
    let candidates = queue.mentions().into_iter().chain(search.pointers(&words));
    let candidates = candidates.filter(|address| !once.contains(address));
    let functions = candidates.filter_map(|address| search.function_at(address));
    only(functions.filter(|&function| runs_request(&search.code.function_x86_64(function))))
}

/// Whether code jumps to what `uv_work_t.work_cb` tells, seen from the task in the request, and leaves `after_work_cb` alone.
fn runs_request(body: &[Instruction]) -> bool {
    let field = |offset: i64| {
        let distance = offset - i64::from(layout::of((1, 45, 0)).work_request_work);
        body.iter().any(|it| {
            (0..it.op_count()).any(|at| it.op_kind(at) == OpKind::Memory)
                && !matches!(it.memory_base(), Name::RIP | Name::RBP | Name::RSP)
                && it.memory_displacement64() as i64 == distance
        })
    };
    field(72) && !field(80)
}

/// `worker`, which calls a task that it knows by its node: on the way from the pool's initialization.
fn worker(search: &Search<'_, '_>, submit: &Function) -> Result<Symbol, Unfound> {
    let once = submit.calls().into_iter().filter(|call| search.leads_to(Some(call.target), "uv_once"));
    let begin = code_at(search, only(once.map(|call| call.arguments[1]))?)?;
    let mut reached = vec![begin];
    let mut looked_at = 0;
    while looked_at < reached.len() {
        let body = search.code.function_x86_64(reached[looked_at]);
        looked_at += 1;
        let function = Function::new(body, search.code.is_fixed());
        let targets = function.calls().into_iter().map(|call| call.target);
        for function in function.mentions().into_iter().chain(targets).filter_map(|to| search.function_at(to))
        {
            if reached.len() < REACHED_MAX && !reached.contains(&function) {
                reached.push(function);
            }
        }
    }
    only(reached.into_iter().filter(|&function| runs_task(&search.code.function_x86_64(function))))
}

/// `lea -24(R),%rdi; call *-24(R)`.
fn runs_task(body: &[Instruction]) -> bool {
    let node = -i64::from(layout::of((1, 45, 0)).work_queue_node);
    body.windows(2).any(|pair| {
        let is_argument = pair[0].mnemonic() == Mnemonic::Lea
            && pair[0].op0_register() == Name::RDI
            && pair[0].memory_base() == pair[1].memory_base()
            && pair[0].memory_displacement64() as i64 == node;
        is_argument && x86_64::call_through(&pair[1]).is_some_and(|(_, from)| i64::from(from) == node)
    })
}
