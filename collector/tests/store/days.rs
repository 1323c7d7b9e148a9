//! Blocks of a day: what becomes one, and that nothing of it is lost or counts twice.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loopscope_collector::store::Store;
use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::times::{Range, now_ms};

use crate::batches::{batch, expect, folded};

const HOUR_MS: i64 = 3_600_000;

fn day_ms(days_ago: i64) -> i64 {
    (now_ms() / (24 * HOUR_MS) - days_ago) * 24 * HOUR_MS
}

fn hour(start_ms: i64, hour: i64) -> Range {
    Range { from_ms: start_ms + hour * HOUR_MS, until_ms: start_ms + (hour + 1) * HOUR_MS }
}

/// A profile of each of two services in each hour of a day; in each a function that others have, and one of its own.
fn fill(store: &EmbeddedStore, start_ms: i64, hours: impl Iterator<Item = i64>) {
    for hour in hours {
        for (service, value) in [("a", 1), ("b", 100)] {
            let own = format!("main;only{hour}");
            let time_ms = start_ms + hour * HOUR_MS + 1_800_000;
            store
                .append(batch(&[("service", service)], time_ms, &[("main;f", value), (&own, 10 * value)]))
                .unwrap();
        }
    }
    store.flush().unwrap();
}

/// Each hour has what was sent in it, by service, and so has the day.
fn expect_all(store: &EmbeddedStore, start_ms: i64) {
    for at in 0..24 {
        let own = format!("main;only{at}");
        let range = hour(start_ms, at);
        expect(&folded(store, r#"{service="a"}"#, range), &[("main;f", 1), (&own, 10)]);
        expect(&folded(store, "", range), &[("main;f", 101), (&own, 1010)]);
    }
    // Half of one hour, all of one, and half of one.
    let range = Range { from_ms: start_ms + HOUR_MS / 2, until_ms: start_ms + 5 * HOUR_MS / 2 };
    expect(
        &folded(store, r#"{service="b"}"#, range),
        &[("main;f", 200), ("main;only0", 1000), ("main;only1", 1000)],
    );
    let day = folded(store, r#"{service="b"}"#, Range::ALL);
    assert_eq!((day.len(), &day[0]), (25, &("main;f".to_owned(), 2400)));
    assert_eq!(folded(store, "", Range::ALL).iter().map(|(_, value)| value).sum::<i64>(), 24 * 11 * 101);
}

/// All files of blocks, with what is in them.
fn copies(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for block in fs::read_dir(folder.join("blocks")).unwrap() {
        for object in fs::read_dir(block.unwrap().path()).unwrap() {
            let path = object.unwrap().path();
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found
}

#[test]
fn the_hours_of_a_day_that_is_over_become_one_block_and_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    let start_ms = day_ms(2);
    fill(&store, start_ms, 0..24);
    assert_eq!(store.sizes().blocks, 1);
    expect_all(&store, start_ms);
    drop(store);
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    expect_all(&store, start_ms);
    assert_eq!(store.sizes().blocks, 1);
}

#[test]
fn hours_of_different_days_do_not_become_one_block() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    for days in [4, 3, 2] {
        fill(&store, day_ms(days), 0..2);
    }
    store.flush().unwrap();
    assert_eq!(store.sizes().blocks, 3);
}

#[test]
fn a_day_has_no_more_rows_than_a_block_may_have() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { block_rows_max: 20, ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(options).unwrap();
    let start_ms = day_ms(2);
    fill(&store, start_ms, 0..24);
    store.flush().unwrap();
    let blocks = store.sizes().blocks;
    assert!((5..=12).contains(&blocks), "{blocks} blocks of 96 rows");
    expect_all(&store, start_ms);
}

#[test]
fn hours_that_a_day_replaces_do_not_count_twice() {
    let folder = tempfile::tempdir().unwrap();
    let start_ms = day_ms(2);
    // Hours as they are before a day is made of them.
    let short = Options { retention: Duration::from_secs(6 * 24 * 3600), ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(short).unwrap();
    fill(&store, start_ms, 0..24);
    assert_eq!(store.sizes().blocks, 24, "a day would be kept too long beyond so few");
    drop(store);
    let hours = copies(folder.path());
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    store.flush().unwrap();
    assert_eq!(store.sizes().blocks, 1);
    drop(store);
    // As if the crash had come at any instant between the day's block and the removal of the last hour.
    for left in [1, hours.len() / 2, hours.len()] {
        for (path, bytes) in &hours[hours.len() - left..] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
        expect_all(&store, start_ms);
        assert_eq!(store.sizes().blocks, 1);
        assert!(hours.iter().all(|(path, _)| !path.exists()));
    }
    // Or before the day's block was whole.
    let day = copies(folder.path());
    for (path, bytes) in &hours {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let meta = day.iter().find(|(path, _)| path.ends_with("meta.json")).unwrap();
    fs::remove_file(&meta.0).unwrap();
    let short = Options { retention: Duration::from_secs(6 * 24 * 3600), ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(short).unwrap();
    expect_all(&store, start_ms);
    assert_eq!(store.sizes().blocks, 24);
}

#[test]
fn what_comes_late_is_added_to_a_day_and_not_for_each_profile() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    let start_ms = day_ms(2);
    fill(&store, start_ms, (0..24).filter(|hour| *hour != 7));
    store.flush().unwrap();
    assert_eq!(store.sizes().blocks, 1);
    fill(&store, start_ms, 7..8);
    assert_eq!(store.sizes().blocks, 2, "one late hour is not worth writing the day again");
    expect_all(&store, start_ms);
    for late in 0..5 {
        store.append(batch(&[("service", "c")], start_ms + late * HOUR_MS, &[("late", 1)])).unwrap();
        store.flush().unwrap();
    }
    assert!(store.sizes().blocks <= 5, "{:?}", store.sizes());
    expect(&folded(&store, r#"{service="c"}"#, Range::ALL), &[("late", 5)]);
    for at in 0..24 {
        assert_eq!(folded(&store, r#"{service="a"}"#, hour(start_ms, at)).len(), 2);
    }
}

#[test]
fn what_is_too_old_is_not_told_although_its_day_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    // The day in which the retention of the second opening begins.
    let start_ms = day_ms(8);
    fill(&store, start_ms, 0..24);
    assert_eq!(store.sizes().blocks, 1);
    drop(store);
    let since_ms = now_ms() - (start_ms + 12 * HOUR_MS);
    let retention = Duration::from_millis(since_ms as u64);
    let store = EmbeddedStore::open(Options { retention, ..Options::new(folder.path()) }).unwrap();
    store.flush().unwrap();
    assert_eq!(store.sizes().blocks, 1, "half of it is kept");
    let found = folded(&store, r#"{service="a"}"#, Range::ALL);
    assert_eq!((found.len(), &found[0]), (13, &("main;f".to_owned(), 12)));
    assert!(folded(&store, "", hour(start_ms, 3)).is_empty());
    drop(store);
    let retention = Duration::from_millis((now_ms() - (start_ms + 24 * HOUR_MS)) as u64);
    let store = EmbeddedStore::open(Options { retention, ..Options::new(folder.path()) }).unwrap();
    store.flush().unwrap();
    assert_eq!(store.sizes().blocks, 0);
}
