//! What many groups cost.

use std::time::{Duration, Instant};

use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::store::{Batch, Detail, Store};
use loopscope_collector::times::Range;

use crate::batches::{batch, query, recent_ms, stacks};

const GROUPS: usize = 5000;

#[test]
fn a_group_costs_its_own_stacks_and_not_those_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    let now = recent_ms();
    // One process of many stacks, and many of one each.
    let names: Vec<String> = (0..50_000).map(|stack| format!("main;busy{stack}")).collect();
    let rows: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let mut all = Batch::default();
    all.add(batch(&[("service", "a"), ("pid", "0")], now, &rows));
    for pid in 1..GROUPS {
        let labels = [("service", "a"), ("pid", &pid.to_string())];
        all.add(batch(&labels, now, &[("main;idle", 1), ("main;idle", 2)]));
    }
    store.append(all).unwrap();
    let timed = |by: &[&str]| {
        let begun = Instant::now();
        let found = store.merge(&query("", Range::ALL, by), Detail::Functions).unwrap().value;
        (found, begun.elapsed())
    };
    for _ in 0..2 {
        let (together, usual) = timed(&[]);
        let (found, apart) = timed(&["pid"]);
        assert_eq!((together.len(), found.len()), (1, GROUPS));
        let total = |groups: &[_]| -> i64 {
            groups.iter().map(|group: &loopscope_collector::store::Group| group.merged.total()).sum()
        };
        assert_eq!(total(&together), 50_000 + 3 * (GROUPS as i64 - 1));
        assert_eq!(total(&found), total(&together));
        assert_eq!(stacks(&found[1]), [("main;idle".to_owned(), 3)]);
        assert_eq!(found[1].merged.values.len(), 2, "its stacks and their callers, and no others");
        assert!(apart < usual * 20 + Duration::from_millis(500), "{apart:?} instead of {usual:?}");
        // And of blocks.
        store.flush().unwrap();
    }
}
