//! The embedded store: the conformance suite in its three states, and what is done to its files.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::store::{AppendError, Detail, Steps, Store};
use loopscope_collector::times::{Range, now_ms};

use crate::batches::{batch, expect, folded, query, recent_ms, stacks};
use crate::conformance::{Engine, FACTS};

const HOUR_MS: i64 = 3_600_000;

/// What the store does when it is to settle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Settles {
    Never,
    IntoBlocks,
    IntoDays,
    ByReopening,
}

struct Embedded {
    settles: Settles,
    store: Option<EmbeddedStore>,
    folder: tempfile::TempDir,
}

impl Engine for Embedded {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn settle(&mut self) {
        match self.settles {
            Settles::Never => {}
            Settles::IntoBlocks | Settles::IntoDays => self.store.as_ref().unwrap().flush().unwrap(),
            Settles::ByReopening => {
                drop(self.store.take());
                self.store = Some(open(self.folder.path()));
            }
        }
    }

    fn recent_ms(&self) -> i64 {
        match self.settles {
            // What is one second apart is in different hours of a day that is over.
            Settles::IntoDays => days_ago_ms(2) + 12 * HOUR_MS - 1000,
            _ => recent_ms(),
        }
    }
}

/// When a day began.
fn days_ago_ms(days: i64) -> i64 {
    (now_ms() / (24 * HOUR_MS) - days) * 24 * HOUR_MS
}

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(Options::new(folder)).unwrap()
}

fn conform(settles: Settles) {
    for (name, fact) in FACTS {
        let folder = tempfile::tempdir().unwrap();
        let store = Some(open(folder.path()));
        let mut engine = Embedded { settles, store, folder };
        let told = catch_unwind(AssertUnwindSafe(|| fact(&mut engine)));
        assert!(told.is_ok(), "it does not hold that {name}");
    }
}

#[test]
fn the_head_conforms() {
    conform(Settles::Never);
}

#[test]
fn blocks_conform() {
    conform(Settles::IntoBlocks);
}

#[test]
fn days_conform() {
    conform(Settles::IntoDays);
}

#[test]
fn what_is_found_again_conforms() {
    conform(Settles::ByReopening);
}

/// Objects of blocks.
fn objects(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for block in fs::read_dir(folder.join("blocks")).unwrap() {
        let block = block.unwrap().path();
        // A folder may go while it is read.
        found.extend(fs::read_dir(block).into_iter().flatten().map(|object| object.unwrap().path()));
    }
    found.sort();
    found
}

#[test]
fn small_blocks_of_an_hour_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = recent_ms();
    for round in 0..20 {
        let service = format!("s{}", round % 3);
        store
            .append(batch(&[("service", &service)], now, &[("main;f", 1), (&format!("main;f{round}"), 1)]))
            .unwrap();
        store.flush().unwrap();
    }
    let sizes = store.sizes();
    // The times are within one second; an hour may end meanwhile.
    assert!(sizes.blocks <= 6, "{sizes:?}");
    assert_eq!(store.sizes().corrupted_blocks, 0);
    let found = folded(&store, "", Range::ALL);
    assert_eq!(found.len(), 21);
    assert_eq!(found[0], ("main;f".to_owned(), 20));
    drop(store);
    let store = open(folder.path());
    assert_eq!(folded(&store, "", Range::ALL), found);
    // What was merged is gone from the disk.
    assert_eq!(objects(folder.path()).len(), 6 * store.sizes().blocks);
}

#[test]
fn every_corrupted_object_is_noticed_set_aside_and_told() {
    for object in [
        "samples.parquet",
        "totals.parquet",
        "stacks.parquet",
        "frames.parquet",
        "series.parquet",
        "meta.json",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let now = recent_ms();
        store.append(batch(&[("service", "bad")], now, &[("main;f", 1)])).unwrap();
        store.flush().unwrap();
        drop(store);
        let path = objects(folder.path()).into_iter().find(|path| path.ends_with(object)).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(&path, bytes).unwrap();
        let store = open(folder.path());
        store.append(batch(&[("service", "good")], now, &[("main;g", 2)])).unwrap();
        // Single samples are read where steps are told, the rest where whole series are added up.
        let steps = Steps { start_ms: now, step_ms: 1000, count: 1 };
        store.timeline(&query("", Range::ALL, &[]), steps, None).unwrap();
        let found = store.merge(&query("", Range::ALL, &[]), Detail::Functions).unwrap();
        expect(&stacks(&found.value[0]), &[("main;g", 2)]);
        if object != "meta.json" {
            assert!(found.warnings[0].contains("is left out"), "{object}: {:?}", found.warnings);
        }
        store.flush().unwrap();
        assert_eq!(store.sizes().corrupted_blocks, u64::from(object != "meta.json"), "{object}");
        let aside = fs::read_dir(folder.path().join("quarantine")).unwrap().count();
        assert_eq!(aside, 1, "{object}");
        expect(&folded(&store, "", Range::ALL), &[("main;g", 2)]);
    }
}

#[test]
fn a_block_that_was_cut_short_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(batch(&[("service", "bad")], recent_ms(), &[("main;f", 1)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let path = objects(folder.path()).into_iter().find(|path| path.ends_with("totals.parquet")).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let store = open(folder.path());
    let found = store.merge(&query("", Range::ALL, &[]), Detail::Functions).unwrap();
    assert!(found.value.is_empty());
    assert_eq!(found.warnings.len(), 1);
}

#[test]
fn a_block_of_which_an_object_is_gone_is_set_aside_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(batch(&[("service", "bad")], recent_ms(), &[("main;f", 1)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let mut paths = objects(folder.path());
    let totals = paths.iter().position(|path| path.ends_with("totals.parquet")).unwrap();
    fs::remove_file(paths.remove(totals)).unwrap();
    // Something is in the way of one of the others.
    let block = paths[0].parent().unwrap().file_name().unwrap();
    let aside = folder.path().join("quarantine").join(block);
    fs::create_dir_all(aside.join("frames.parquet/in the way")).unwrap();
    let store = open(folder.path());
    let found = store.merge(&query("", Range::ALL, &[]), Detail::Functions).unwrap();
    assert_eq!((found.value.len(), found.warnings.len()), (0, 1), "{:?}", found.warnings);
    store.flush().expect_err("not all of it can be moved");
    drop(store);
    // As after a crash: what is left is no block that was being written.
    fs::remove_dir_all(aside.join("frames.parquet")).unwrap();
    let store = open(folder.path());
    let found = store.merge(&query("", Range::ALL, &[]), Detail::Functions).unwrap();
    assert_eq!(found.warnings.len(), 1, "{:?}", found.warnings);
    store.flush().unwrap();
    assert_eq!((store.sizes().blocks, objects(folder.path()).len()), (0, 0));
    assert_eq!(fs::read_dir(aside).unwrap().count(), 5);
}

#[test]
fn blocks_whose_folder_is_gone_for_a_while_are_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(batch(&[("service", "a")], recent_ms(), &[("main;f", 1)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = open(folder.path());
    let (there, elsewhere) = (folder.path().join("blocks"), folder.path().join("elsewhere"));
    fs::rename(&there, &elsewhere).unwrap();
    let found = store.merge(&query("", Range::ALL, &[]), Detail::Functions).unwrap();
    assert_eq!((found.value.len(), found.warnings.len()), (0, 1), "{:?}", found.warnings);
    let _ = store.flush();
    fs::rename(&elsewhere, &there).unwrap();
    store.flush().unwrap();
    expect(&folded(&store, "", Range::ALL), &[("main;f", 1)]);
    assert_eq!(store.sizes().corrupted_blocks, 0);
}

#[test]
fn blocks_outlive_a_log_that_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let now = recent_ms();
    let store = open(folder.path());
    for _ in 0..4 {
        store.append(batch(&[("service", "a")], now, &[("f", 1)])).unwrap();
        store.flush().unwrap();
    }
    assert_eq!(store.sizes().blocks, 1);
    drop(store);
    fs::remove_dir_all(folder.path().join("wal")).unwrap();
    let store = open(folder.path());
    store.append(batch(&[("service", "a")], now, &[("f", 100)])).unwrap();
    store.flush().unwrap();
    drop(store);
    expect(&folded(&open(folder.path()), "", Range::ALL), &[("f", 104)]);
}

/// The log of a store that was ended in the middle, with `records` batches of one row in it.
fn log_of(records: i64) -> (tempfile::TempDir, PathBuf, i64) {
    let folder = tempfile::tempdir().unwrap();
    let now = recent_ms();
    let store = open(folder.path());
    for record in 0..records {
        store.append(batch(&[("service", "a")], now, &[(&format!("f{record}"), record + 1)])).unwrap();
    }
    drop(store);
    let log = fs::read_dir(folder.path().join("wal")).unwrap().next().unwrap().unwrap().path();
    (folder, log, now)
}

#[test]
fn a_log_that_ends_anywhere_gives_all_records_before() {
    let (folder, log, _) = log_of(5);
    let whole = fs::read(&log).unwrap();
    let record = (whole.len() - 8) / 5;
    assert_eq!((whole.len() - 8) % 5, 0, "records are alike");
    for length in 0..=whole.len() {
        // The block that the last attempt made of it would be found.
        for object in objects(folder.path()) {
            fs::remove_file(object).unwrap();
        }
        for entry in fs::read_dir(folder.path().join("wal")).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        fs::write(&log, &whole[..length]).unwrap();
        let store = open(folder.path());
        let found = folded(&store, "", Range::ALL);
        assert_eq!(found.len(), length.saturating_sub(8) / record, "{length} bytes");
    }
}

#[test]
fn a_record_that_was_changed_ends_the_log_and_the_rest_is_kept_aside() {
    let (folder, log, _) = log_of(5);
    let mut bytes = fs::read(&log).unwrap();
    let record = (bytes.len() - 8) / 5;
    bytes[8 + 2 * record + 12] ^= 1;
    fs::write(&log, bytes).unwrap();
    let store = open(folder.path());
    assert_eq!(folded(&store, "", Range::ALL).len(), 2);
    assert_eq!(fs::read_dir(folder.path().join("quarantine")).unwrap().count(), 1);
}

#[test]
fn a_segment_whose_block_is_there_does_not_count_twice() {
    let (folder, log, _) = log_of(5);
    let bytes = fs::read(&log).unwrap();
    let before = folded(&open(folder.path()), "", Range::ALL);
    // As if the crash had come between the block and the removal of the segment.
    fs::write(&log, bytes).unwrap();
    let store = open(folder.path());
    assert_eq!(folded(&store, "", Range::ALL), before);
    assert!(!log.exists());
}

#[test]
fn blocks_that_another_replaces_do_not_count_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = recent_ms();
    let mut copies: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for round in 0..4 {
        store.append(batch(&[("service", "a")], now, &[("f", 1 << round)])).unwrap();
        if round < 3 {
            store.flush().unwrap();
            copies = objects(folder.path())
                .into_iter()
                .map(|path| (path.clone(), fs::read(path).unwrap()))
                .collect();
        }
    }
    store.flush().unwrap();
    assert_eq!(store.sizes().blocks, 1);
    drop(store);
    // As if the crash had come between the merged block and the removal of those that it replaces.
    for (path, bytes) in &copies {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let store = open(folder.path());
    expect(&folded(&store, "", Range::ALL), &[("f", 15)]);
    assert_eq!(store.sizes().blocks, 1);
    assert!(copies.iter().all(|(path, _)| !path.exists()));
}

#[test]
fn a_block_that_was_being_written_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.append(batch(&[("service", "a")], recent_ms(), &[("f", 1)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let half = folder.path().join("blocks/00000001-000000000099");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join("samples.parquet"), b"PAR1").unwrap();
    let store = open(folder.path());
    expect(&folded(&store, "", Range::ALL), &[("f", 1)]);
    assert!(!half.join("samples.parquet").exists());
}

#[test]
fn what_is_too_old_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let now = recent_ms();
    store.append(batch(&[("service", "old")], now - 2 * 3_600_000, &[("f", 1)])).unwrap();
    store.append(batch(&[("service", "new")], now, &[("f", 2)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let options = Options { retention: Duration::from_secs(3600), ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(options).unwrap();
    store.flush().unwrap();
    expect(&folded(&store, "", Range::ALL), &[("f", 2)]);
    let refused = store.append(batch(&[("service", "old")], now - 2 * 3_600_000, &[("f", 1)]));
    let error = refused.expect_err("older than what is kept").to_string();
    assert!(error.contains("profiles of the last 1h are"), "{error}");
}

#[test]
fn the_oldest_goes_where_all_takes_too_much_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { disk_bytes_max: Some(12_000), ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(options).unwrap();
    let now = recent_ms();
    for hour in (0..10).rev() {
        store
            .append(batch(&[("service", "a")], now - hour * 3_600_000, &[(&format!("f{hour}"), 1)]))
            .unwrap();
        store.flush().unwrap();
    }
    store.flush().unwrap();
    let found = folded(&store, "", Range::ALL);
    assert!((2..8).contains(&found.len()), "{found:?}");
    assert_eq!(found[0].0, "f0", "the newest is kept");
    assert!(store.sizes().block_bytes <= 12_000);
}

#[test]
fn series_have_a_bound_and_the_refusal_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(Options { series_max: 10, ..Options::new(folder.path()) }).unwrap();
    let now = recent_ms();
    let append =
        |service: usize| store.append(batch(&[("service", &format!("s{service}"))], now, &[("f", 1)]));
    for service in 0..10 {
        append(service).unwrap();
    }
    assert!(matches!(append(10), Err(AppendError::TooManySeries { limit: 10 })));
    append(9).expect("a series that is known is taken");
}

#[test]
fn memory_has_a_bound_and_what_exceeds_it_becomes_blocks_or_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { head_bytes_max: 64 * 1024, ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(options).unwrap();
    let now = recent_ms();
    let mut kept = 0;
    for round in 0..200 {
        let stacks: Vec<(String, i64)> = (0..50).map(|f| (format!("main;f{round}-{f}"), 1)).collect();
        let stacks: Vec<(&str, i64)> = stacks.iter().map(|(stack, value)| (stack.as_str(), *value)).collect();
        match store.append(batch(&[("service", "a")], now, &stacks)) {
            Ok(()) => kept += 50,
            Err(AppendError::Busy) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => panic!("{error}"),
        }
        let sizes = store.sizes();
        assert!(sizes.head_bytes <= 3 * 64 * 1024, "{sizes:?}");
    }
    assert!(kept > 0);
    assert_eq!(folded(&store, "", Range::ALL).len(), kept);
    let huge: Vec<(String, i64)> = (0..5000).map(|f| (format!("f{f}"), 1)).collect();
    let huge: Vec<(&str, i64)> = huge.iter().map(|(stack, value)| (stack.as_str(), *value)).collect();
    let refused = store.append(batch(&[("service", "a")], now, &huge));
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn the_log_is_told_as_large_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let on_disk = || -> u64 {
        let segments = fs::read_dir(folder.path().join("wal")).unwrap();
        segments.map(|segment| segment.unwrap().metadata().unwrap().len()).sum()
    };
    for round in 0..5 {
        store.append(batch(&[("service", "a")], recent_ms(), &[("f", 1)])).unwrap();
        assert_eq!(store.sizes().log_bytes, on_disk(), "{round}");
        store.flush().unwrap();
        assert_eq!(store.sizes().log_bytes, on_disk(), "{round}, flushed");
    }
}

#[test]
fn two_stores_cannot_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    let second = EmbeddedStore::open(Options::new(folder.path()));
    assert_eq!(second.expect_err("locked").kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn queries_see_each_profile_once_while_blocks_are_made_and_merged() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { head_bytes_max: 16 * 1024, ..Options::new(folder.path()) };
    let store = EmbeddedStore::open(options).unwrap();
    let now = recent_ms();
    let end = Instant::now() + Duration::from_secs(2);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut appended = 0_i64;
            while Instant::now() < end {
                let names: Vec<String> = (0..20).map(|f| format!("main;f{}", appended % 50 + f)).collect();
                let stacks: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
                match store.append(batch(&[("service", "a")], now, &stacks)) {
                    Ok(()) => appended += 20,
                    Err(AppendError::Busy) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
            appended
        });
        let mut last = 0;
        while !writer.is_finished() {
            let sum: i64 = folded(&store, "", Range::ALL).iter().map(|(_, value)| value).sum();
            assert!(sum >= last, "{sum} after {last}");
            assert_eq!(sum % 20, 0, "a batch is seen whole");
            last = sum;
        }
        let appended = writer.join().unwrap();
        let sum: i64 = folded(&store, "", Range::ALL).iter().map(|(_, value)| value).sum();
        assert_eq!(sum, appended);
    });
}
