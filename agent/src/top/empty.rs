//! What to say where there is nothing to show: what is looked for, and why it may be missing.

use std::collections::BTreeSet;

use attach::target::Pid;

use super::order::Order;

/// Sentences for somebody who sees an empty table, with what the measuring told.
pub(super) fn reasons(
    only: &BTreeSet<Pid>,
    ended: &BTreeSet<Pid>,
    order: &Order,
    is_filtered: bool,
    told: &[String],
) -> Vec<String> {
    let mut reasons = Vec::new();
    if is_filtered {
        return vec![format!("no event loop matches the filter {:?}", order.filter)];
    }
    if only.is_empty() {
        reasons.push(
            "no event loop found: looking for processes that run on libuv, as Node.js does, or publish telemetry"
                .to_owned(),
        );
        reasons.push("`loopscope demo` is one to try it with".to_owned());
    } else {
        if !ended.is_empty() {
            reasons.push(have_ended(ended));
        }
        let others: Vec<&Pid> = only.difference(ended).collect();
        if let Some(first) = others.first() {
            reasons.push(format!("no event loop found in {}", named(&others)));
            reasons.push(format!(
                "`loopscope inspect --pid {first}` tells what can be measured, and why not the rest"
            ));
        }
    }
    // What was told of processes that nobody asked for explains nothing, and that one has ended is said already.
    let is_of_others = |message: &&String| {
        let pid =
            message.strip_prefix("process ").and_then(|rest| rest.split([':', ' ']).next()?.parse().ok());
        pid.is_some_and(|pid| !only.is_empty() && (!only.contains(&pid) || ended.contains(&pid)))
    };
    reasons.extend(told.iter().filter(|message| !is_of_others(message)).cloned());
    reasons
}

/// That processes have ended.
pub(super) fn have_ended(pids: &BTreeSet<Pid>) -> String {
    let pids: Vec<&Pid> = pids.iter().collect();
    format!("{} {} ended", named(&pids), if pids.len() == 1 { "has" } else { "have" })
}

/// Processes by their ids; of many, the first.
pub(super) fn named(pids: &[&Pid]) -> String {
    const NAMED_MAX: usize = 8;
    let what = if pids.len() == 1 { "process" } else { "processes" };
    let names: Vec<String> = pids.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let rest = match pids.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("{what} {}{rest}", names.join(", "))
}
