//! Batches, and what a store tells of them, in the form of folded stacks.

use formats::decode::Symbols;
use loopscope_collector::labels::{Labels, PROFILE_TYPE};
use loopscope_collector::selector::Selector;
use loopscope_collector::store::{Batch, BatchSeries, Detail, Dictionary, Group, Query, Store};
use loopscope_collector::times::{Range, now_ms};

pub(crate) const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// Labels of a CPU profile.
pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().chain([(PROFILE_TYPE, CPU)]).collect()
}

/// A profile of one series: each stack as `outer;inner`, with what was spent in it.
pub(crate) fn batch(pairs: &[(&str, &str)], time_ms: i64, stacks: &[(&str, i64)]) -> Batch {
    let mut symbols = Symbols::default();
    let mut rows = Vec::new();
    for (stack, value) in stacks {
        let frames: Vec<_> = stack.split(';').map(|name| symbols.named(name)).collect();
        rows.push((symbols.stacks.intern(frames).unwrap(), *value));
    }
    Batch { symbols, series: vec![BatchSeries { labels: labels(pairs), time_ms, rows }] }
}

/// A time within the last hour, at a whole second.
pub(crate) fn recent_ms() -> i64 {
    now_ms() / 1000 * 1000 - 60_000
}

pub(crate) fn query(selector: &str, range: Range, by: &[&str]) -> Query {
    let by = by.iter().map(|label| (*label).to_owned()).collect();
    Query { selector: Selector::parse(selector).unwrap(), range, by }
}

/// What a group's stacks are, sorted.
pub(crate) fn stacks(group: &Group) -> Vec<(String, i64)> {
    let mut paths: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for (stack, value) in group.merged.values.iter().enumerate() {
        let (caller, frame) = group.merged.symbols.stack(stack as u32);
        let name = group.merged.symbols.place(frame).0;
        let path = caller.map_or(name.to_owned(), |caller| format!("{};{name}", paths[caller as usize]));
        if *value != 0 {
            found.push((path.clone(), *value));
        }
        paths.push(path);
    }
    found.sort();
    found
}

/// All that a store tells of a selector, without groups.
pub(crate) fn folded(store: &dyn Store, selector: &str, range: Range) -> Vec<(String, i64)> {
    let found = store.merge(&query(selector, range, &[]), Detail::Functions).unwrap();
    assert_eq!(found.warnings, Vec::<String>::new());
    assert!(found.value.len() <= 1);
    found.value.first().map(stacks).unwrap_or_default()
}

pub(crate) fn expect(found: &[(String, i64)], expected: &[(&str, i64)]) {
    let expected: Vec<_> = expected.iter().map(|(stack, value)| ((*stack).to_owned(), *value)).collect();
    assert_eq!(found, expected);
}
