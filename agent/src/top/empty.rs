//! What to say where there is nothing to show: what is looked for, and why it may be missing.

use std::collections::BTreeSet;

use attach::target::Pid;

use super::order::Order;

/// Sentences for somebody who sees an empty table, with what the measuring told.
pub(super) fn reasons(
    only: &BTreeSet<Pid>,
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
        let pids: Vec<String> = only.iter().map(Pid::to_string).collect();
        reasons.push(format!("no event loop found in process {}", pids.join(", ")));
        let inspect = only.iter().map(|pid| format!("`loopscope inspect --pid {pid}`")).next();
        reasons.extend(
            inspect.map(|inspect| format!("{inspect} tells what can be measured, and why not the rest")),
        );
    }
    // What was told of processes that nobody asked for explains nothing.
    let is_of_others = |message: &&String| {
        let pid =
            message.strip_prefix("process ").and_then(|rest| rest.split([':', ' ']).next()?.parse().ok());
        pid.is_some_and(|pid| !only.is_empty() && !only.contains(&pid))
    };
    reasons.extend(told.iter().filter(|message| !is_of_others(message)).cloned());
    reasons
}
