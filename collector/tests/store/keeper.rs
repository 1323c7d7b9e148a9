//! What the store's keeper does first, and what a full disk leaves of a log.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use loopscope_collector::store::Store;
use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::times::Range;
use tests::deadline::SOON;
use tests::process::run;

use crate::batches::{batch, expect, folded, recent_ms};

const HOUR_MS: i64 = 3_600_000;
/// Names the folder of a store.
const FOLDER: &str = "LOOPSCOPE_STORE";

fn folders(parent: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn an_hour_that_is_a_block_already_does_not_count_twice_while_the_disk_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let now = recent_ms();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    store.append(batch(&[("service", "a")], now - HOUR_MS, &[("f", 1)])).unwrap();
    store.append(batch(&[("service", "a")], now, &[("f", 10)])).unwrap();
    drop(store);
    let log = folders(&folder.path().join("wal")).remove(0);
    let bytes = fs::read(&log).unwrap();
    drop(EmbeddedStore::open(Options::new(folder.path())).unwrap());
    // As if the disk had been full when the second was to be written.
    let blocks = folders(&folder.path().join("blocks"));
    assert_eq!(blocks.len(), 2);
    fs::remove_dir_all(&blocks[1]).unwrap();
    fs::write(&log, bytes).unwrap();
    // It is as if it were full for a process whose files may have a block, in which a description has no room.
    let mut within = Command::new("sh");
    within.args(["-c", r#"trap "" XFSZ; ulimit -f 1; exec "$0" "$@""#]).arg(env::current_exe().unwrap());
    within.args(["--ignored", "--exact", "keeper::has_no_room", "--nocapture"]);
    let ended = run(within.env(FOLDER, folder.path()), 4 * SOON);
    assert!(ended.stdout.contains("1 passed"), "{}", ended.stdout);
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    expect(&folded(&store, "", Range::ALL), &[("f", 11)]);
    assert_eq!((store.sizes().blocks, store.sizes().head_bytes), (2, 0));
}

#[test]
#[ignore = "not a test: looked at where files have a bound"]
fn has_no_room() {
    let folder = env::var_os(FOLDER).expect("it is run for a store");
    let store = EmbeddedStore::open(Options::new(folder)).unwrap();
    assert!(store.sizes().head_bytes > 0, "no block can be made");
    expect(&folded(&store, "", Range::ALL), &[("f", 11)]);
}

/// A log of which two blocks for each of many hours will be made, which are to be merged.
fn backlog(hours: i64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(Options::new(folder.path())).unwrap();
    for hour in 0..hours {
        store.append(batch(&[("service", "a")], recent_ms() - (3 + hour) * HOUR_MS, &[("f", 1)])).unwrap();
    }
    drop(store);
    let log = folders(&folder.path().join("wal")).remove(0);
    fs::copy(&log, log.with_file_name("00000000000000000002.log")).unwrap();
    folder
}

#[test]
fn a_head_becomes_a_block_before_all_is_merged_and_what_is_merged_goes_at_once() {
    let hours = 25;
    // The keeper is met in the middle of its work, or it is tried again.
    for _ in 0..20 {
        let folder = backlog(hours);
        let options = Options {
            head_age_max: Duration::ZERO,
            retention: Duration::from_secs(6 * 24 * 3600),
            ..Options::new(folder.path())
        };
        let store = EmbeddedStore::open(options).unwrap();
        let end = Instant::now() + SOON;
        let blocks = || {
            let blocks = store.sizes().blocks;
            let there = folders(&folder.path().join("blocks")).len();
            assert!(Instant::now() < end, "{there} of {blocks}");
            // Two that were merged, one that is made of others, and one of a head; and what goes while they are counted.
            assert!(there <= blocks + 8, "{there} of {blocks}");
            blocks as i64
        };
        while blocks() == 2 * hours {
            thread::yield_now();
        }
        store.append(batch(&[("service", "b")], recent_ms(), &[("g", 1)])).unwrap();
        while store.sizes().head_bytes > 0 {
            blocks();
        }
        if blocks() > hours + 1 {
            return;
        }
    }
    panic!("all is merged before a head becomes a block");
}
