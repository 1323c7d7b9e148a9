//! The functions that `uv_run` calls, and the default loop.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::super::layout;
use super::super::machine::x86_64;
use super::super::symbols::Symbol;
use super::{NOTHING, SEVERAL, Search, only};

/// `uv_run` calls fewer functions.
const CALLEES_MAX: usize = 64;

/// `sizeof(uv_loop_t)`.
const LOOP_BYTES: u64 = 848;

pub(super) fn find(search: &mut Search<'_, '_>) {
    let Some(run) = search.symbols.get("uv_run") else { return };
    let callees = callees(search, run);
    let with = |names: &[&str]| only(callees.iter().copied().filter(|&callee| search.calls(callee, names)));
    let io_poll = with(&["epoll_wait", "epoll_pwait", "uv__epoll_wait", "uv__epoll_pwait"]);
    let run_timers = with(&["uv_timer_stop", "uv_timer_again"]);
    let lists = handle_lists(search, &callees);
    search.offer("uv__io_poll", io_poll);
    search.offer("uv__run_timers", run_timers);
    for (name, found) in ["uv__run_idle", "uv__run_prepare", "uv__run_check"].into_iter().zip(lists) {
        search.offer(name, found);
    }
    let made = search.named("uv_default_loop").map(|function| function.calls()).unwrap_or_default();
    let made = made.iter().filter(|call| search.leads_to(Some(call.target), "uv_loop_init"));
    let default_loop = only(made.map(|call| call.arguments[0])).and_then(|address| address.ok_or(NOTHING));
    search.offer_variable("default_loop_struct", default_loop, LOOP_BYTES);
}

/// The functions that a function calls, each once, in the order of the calls.
fn callees(search: &Search<'_, '_>, function: Symbol) -> Vec<Symbol> {
    let mut found: Vec<Symbol> = Vec::new();
    for target in search.code.function_x86_64(function).iter().filter_map(x86_64::call) {
        if found.iter().all(|callee| callee.address != target) && found.len() < CALLEES_MAX {
            found.extend(search.function_at(target));
        }
    }
    found
}

/// The functions that run idle, prepare and check handles: libuv makes them of one macro, so they consist of the same
/// instructions, and each uses its own list of the loop.
fn handle_lists(search: &Search<'_, '_>, callees: &[Symbol]) -> [Result<Symbol, &'static str>; 3] {
    let bodies: Vec<Vec<Instruction>> =
        callees.iter().map(|&callee| search.code.function_x86_64(callee)).collect();
    let same = |one: &[Instruction], other: &[Instruction]| {
        one.iter().map(Instruction::mnemonic).eq(other.iter().map(Instruction::mnemonic))
    };
    let is_one_of_three = |body: &[Instruction]| {
        calls_back(body) && bodies.iter().filter(|other| same(body, other)).count() == 3
    };
    let layout = layout::of((1, 45, 0));
    let lists = [layout.loop_idle_handles, layout.loop_prepare_handles, layout.loop_check_handles];
    lists.map(|list| {
        let uses_only =
            |body: &[Instruction]| lists.iter().all(|&other| uses(body, other.into()) == (other == list));
        let found = callees.iter().zip(&bodies);
        let found = found.filter(|(_, body)| is_one_of_three(body) && uses_only(body));
        let mut found = found.map(|(&callee, _)| callee);
        match (found.next(), found.next()) {
            (Some(callee), None) => Ok(callee),
            (None, _) => Err(NOTHING),
            (Some(_), Some(_)) => Err(SEVERAL),
        }
    })
}

/// Whether code calls something that memory tells: a handle's callback.
fn calls_back(body: &[Instruction]) -> bool {
    body.iter().any(|it| it.mnemonic() == Mnemonic::Call && it.op0_kind() != OpKind::NearBranch64)
}

/// Whether code uses a field at some distance from a pointer.
fn uses(body: &[Instruction], field: u64) -> bool {
    let in_memory = |it: &Instruction| {
        (0..it.op_count()).any(|at| it.op_kind(at) == OpKind::Memory)
            && !it.is_ip_rel_memory_operand()
            && it.memory_displacement64() == field
    };
    body.iter().any(in_memory)
}
