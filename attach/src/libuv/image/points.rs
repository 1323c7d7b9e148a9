//! Finding the instructions that carry probes.

use super::code::Code;
use super::machine::{self, Instruction};
use super::symbols::{Symbol, Symbols};
use super::{Missing, Points, Site, TakenSite, TaskSite, WorkFunctions};

/// Finds every point that there is, and notes what was not found.
pub(super) fn find(code: &Code<'_>, symbols: &Symbols, missing: &mut Vec<Missing>) -> Points {
    let mut entry = |name: &'static str| {
        let Some(symbol) = symbols.get(name) else {
            // The search by shape has told why already.
            if !missing.iter().any(|missing| missing.what == name) {
                missing.push(Missing { what: name, why: "it has no symbol".to_owned() });
            }
            return None;
        };
        let site = code.entry(symbol);
        if site.is_none() {
            missing.push(Missing {
                what: name,
                why: "it begins with what the kernel does not emulate".to_owned(),
            });
        }
        site
    };
    if symbols.get("uv_run").is_none() {
        let garbage_collections = garbage_collections(code, symbols);
        return Points {
            garbage_collections,
            queued_start: queued_start(code, symbols),
            classes: symbols.classes.as_slice().into(),
            ..Points::default()
        };
    }
    let mut points = Points {
        io_poll: entry("uv__io_poll"),
        run_timers: entry("uv__run_timers"),
        run_idle: entry("uv__run_idle"),
        run_prepare: entry("uv__run_prepare"),
        run_check: entry("uv__run_check"),
        work_submit: entry("uv__work_submit"),
        // A program that never cancels may be linked without it.
        cancel: symbols.get("uv_cancel").and_then(|cancel| code.entry(cancel)),
        garbage_collections: garbage_collections(code, symbols),
        work_functions: work_functions(symbols),
        classes: symbols.classes.as_slice().into(),
        ..Points::default()
    };
    points.poll_returns = poll_returns(code, symbols);
    points.check_returns = check_returns(code, symbols);
    points.work_taken = work_taken(code, symbols);
    if points.work_taken.is_none() && symbols.get("uv__work_done").is_some() {
        let why = "the place where it has taken the list of tasks was not found".to_owned();
        missing.push(Missing { what: "uv__work_done", why });
    }
    points.queue_work = queue_work(code, symbols);
    points.own_starts = own_starts(code, symbols).unwrap_or_default();
    points.queued_start = queued_start(code, symbols);
    points.task_starts = task_starts(code, symbols);
    points.task_end = task_end(code, symbols);
    if points.task_end.is_none() && !missing.iter().any(|missing| missing.what == "worker") {
        missing.push(Missing { what: "worker", why: "its call of a task was not found".to_owned() });
    }
    points
}

fn work_functions(symbols: &Symbols) -> WorkFunctions {
    WorkFunctions {
        fs: symbols.address("uv__fs_work"),
        getaddrinfo: symbols.address("uv__getaddrinfo_work"),
        getnameinfo: symbols.address("uv__getnameinfo_work"),
        random: symbols.address("uv__random_work"),
        queue_work: symbols.address("uv__queue_work"),
    }
}

/// Behind each call in `uv__io_poll` that may be one of the kernel's poll: a call through the table of procedures.
fn poll_returns(code: &Code<'_>, symbols: &Symbols) -> Vec<Site> {
    let Some(poll) = symbols.get("uv__io_poll") else { return Vec::new() };
    let names = ["epoll_pwait", "epoll_wait", "uv__epoll_pwait", "uv__epoll_wait"];
    let waits = |it: &Instruction| {
        it.call().is_some_and(|to| names.iter().any(|name| code.leads_to(symbols, to, name)))
    };
    let body = code.function(poll);
    let calls = body.iter().enumerate().filter(|(_, it)| waits(it));
    calls.filter_map(|(position, _)| code.site(machine::behind(&body, position)?)).collect()
}

/// Behind the call of `uv__run_check` in `uv_run`.
fn check_returns(code: &Code<'_>, symbols: &Symbols) -> Vec<Site> {
    let (Some(run), Some(check)) = (symbols.get("uv_run"), symbols.address("uv__run_check")) else {
        return Vec::new();
    };
    let body = code.function(run);
    let calls = body.iter().enumerate().filter(|(_, it)| it.call() == Some(check));
    calls.filter_map(|(position, _)| code.site(machine::behind(&body, position)?)).collect()
}

fn garbage_collections(code: &Code<'_>, symbols: &Symbols) -> Vec<Site> {
    symbols.garbage_collections.iter().filter_map(|&symbol| code.entry(symbol)).collect()
}

/// Behind the one call of `uv_mutex_unlock` in `uv__work_done`.
fn work_taken(code: &Code<'_>, symbols: &Symbols) -> Option<TakenSite> {
    let done = symbols.get("uv__work_done")?;
    let body = code.function(done);
    let mut unlocking = body.iter().filter(|it| unlocks(code, symbols, it));
    let (Some(unlock), None) = (unlocking.next(), unlocking.next()) else { return None };
    code.list_test(done, unlock)
}

/// `uv_queue_work`, unless it calls `uv__work_submit`, where the task is seen anyway.
fn queue_work(code: &Code<'_>, symbols: &Symbols) -> Option<Site> {
    let (queue_work, submit) = (symbols.get("uv_queue_work")?, symbols.address("uv__work_submit"));
    let body = code.function(queue_work);
    let calls_submit = submit.is_some() && body.iter().any(|it| it.target() == submit);
    if calls_submit { None } else { code.site(machine::entry(&body)?) }
}

/// Where every task passes exactly once, outside the pool's lock: libuv's own functions, and what runs those that are given to
/// `uv_queue_work`. Where a kind of task has no such place, all are seen where the pool is unlocked to run one.
fn task_starts(code: &Code<'_>, symbols: &Symbols) -> Vec<TaskSite> {
    let (own, queued) = (own_starts(code, symbols), queued_start(code, symbols));
    let is_whole = own.is_some() && (queued.is_some() || code.leaves_uncalled(symbols, "uv_queue_work"));
    let fallback = if is_whole { None } else { unlocked_start(code, symbols) };
    fallback.map_or_else(|| own.into_iter().flatten().chain(queued).collect(), |start| vec![start])
}

/// The entries of libuv's own functions, if all can carry a probe.
fn own_starts(code: &Code<'_>, symbols: &Symbols) -> Option<Vec<TaskSite>> {
    let own = [
        ("uv_fs_stat", "uv__fs_work"),
        ("uv_getaddrinfo", "uv__getaddrinfo_work"),
        ("uv_getnameinfo", "uv__getnameinfo_work"),
        ("uv_random", "uv__random_work"),
    ];
    // A linker leaves out what nothing calls.
    let there =
        own.iter().filter(|(public, work)| [public, work].iter().any(|name| symbols.get(name).is_some()));
    there.map(|(_, work)| task_entry(code, symbols.get(work)?, 0)).collect()
}

/// Where a task of `uv_queue_work` passes: either `uv__queue_work` or, where that cannot carry a probe, for it may only load
/// two words and jump to where one of them points, the function that Node.js gives.
fn queued_start(code: &Code<'_>, symbols: &Symbols) -> Option<TaskSite> {
    let work = super::layout::of((1, 45, 0)).work_request_work as i32;
    let own = symbols.get("uv__queue_work").and_then(|symbol| task_entry(code, symbol, 0));
    own.or_else(|| task_entry(code, symbols.node_task?, work))
}

fn task_entry(code: &Code<'_>, function: Symbol, displacement: i32) -> Option<TaskSite> {
    let site = code.entry(function)?;
    Some(TaskSite { site, register: code.machine().first_argument(), displacement })
}

/// In `worker`, the call of `uv_mutex_unlock` before the call of the task.
fn unlocked_start(code: &Code<'_>, symbols: &Symbols) -> Option<TaskSite> {
    let body = code.function(symbols.get("worker")?);
    let (position, register, displacement) = machine::call_through(&body)?;
    // Between the two only the task's argument is made: an instruction or two.
    let before = body.get(position.checked_sub(4)?..position)?;
    let unlock = before.iter().rev().find(|it| it.call().is_some())?;
    let site = code.site(unlock).filter(|_| unlocks(code, symbols, unlock))?;
    let behind = before.iter().skip_while(|it| it.address <= unlock.address);
    let keeps = behind.into_iter().all(|it| it.makes_arguments);
    keeps.then_some(TaskSite { site, register, displacement })
}

fn unlocks(code: &Code<'_>, symbols: &Symbols, instruction: &Instruction) -> bool {
    instruction.call().is_some_and(|to| code.leads_to(symbols, to, "uv_mutex_unlock"))
}

/// In `worker`, the call of `uv_mutex_lock` that follows the call of the task.
fn task_end(code: &Code<'_>, symbols: &Symbols) -> Option<TaskSite> {
    let body = code.function(symbols.get("worker")?);
    let (position, register, displacement) = machine::call_through(&body)?;
    let site = code.site(machine::behind(&body, position)?)?;
    Some(TaskSite { site, register, displacement })
}
