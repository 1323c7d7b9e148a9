//! Blocks in a bucket, behind a service that is not ours: the conformance suite, and what is done to its objects.
//!
//! Credentials and the endpoint are told by variables of the environment, so each fact is looked at by a process of its own that has them.

use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use loopscope_collector::store::Store;
use loopscope_collector::store::embedded::{EmbeddedStore, Options};
use loopscope_collector::times::Range;
use tests::deadline::{SOON, wait_for};
use tests::process::{Guarded, run};
use tests::{http, requirement};

use crate::batches::{batch, folded, recent_ms};
use crate::conformance::{Engine, FACTS};

/// Of a block: five tables, and what is to be known of them.
const OBJECTS: usize = 6;

const ENDPOINT: &str = "AWS_ENDPOINT";

/// That somebody signed is asked for, and not what.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=us/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// Starts the service and lets another process look at a fact there.
#[track_caller]
fn with_bucket(fact: &str) {
    let Some(python) = requirement::program("python3") else { return };
    let Some(packages) = env::var_os("LOOPSCOPE_MOTO") else {
        requirement::skip("LOOPSCOPE_MOTO names no packages; `cargo xtask test` fetches them");
        return;
    };
    let mut service = Command::new(python);
    service.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/s3.py")).env("PYTHONPATH", packages);
    let mut service = Guarded::start(&mut service);
    let port: u16 =
        service.line("its port", 3 * SOON, |line| line.strip_prefix("port ")?.trim().parse().ok());
    let mut within = Command::new(env::current_exe().unwrap());
    within.args(["--ignored", "--exact", &format!("bucket::{fact}"), "--nocapture"]);
    within.env(ENDPOINT, format!("http://127.0.0.1:{port}")).env("AWS_ALLOW_HTTP", "true");
    within
        .env("AWS_ACCESS_KEY_ID", "us")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_REGION", "eu-west-1");
    let ended = run(&mut within, 20 * SOON);
    assert!(ended.stdout.contains("1 passed"), "{}", ended.stdout);
}

fn address() -> SocketAddr {
    env::var(ENDPOINT).expect("it is run with a bucket").trim_start_matches("http://").parse().unwrap()
}

/// The objects below a prefix, each by its key.
fn objects(prefix: &str) -> Vec<String> {
    let path = format!("/profiles?list-type=2&prefix={}", http::percent_encoded(prefix));
    let answer = http::get(address(), &path, &[]).unwrap();
    let keys =
        answer.text().split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap().to_owned());
    keys.collect()
}

/// Writes an object past the store.
fn put(key: &str, content: &[u8]) {
    let mut stream = TcpStream::connect(address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = format!(
        "PUT /profiles/{key} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\nauthorization: {SIGNED}\r\ncontent-length: {}\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(content).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// What the service does wrong from now on.
fn fault(name: &str) {
    assert_eq!(http::get(address(), &format!("/-/fault?{name}"), &[]).unwrap().status, 200);
}

fn options(folder: &Path, prefix: &str) -> Options {
    Options { bucket: Some(format!("s3://profiles/{prefix}")), ..Options::new(folder) }
}

fn open(folder: &Path, prefix: &str) -> EmbeddedStore {
    EmbeddedStore::open(options(folder, prefix)).unwrap()
}

/// A store of which each settling makes blocks, and finds them again.
struct InBucket {
    store: Option<EmbeddedStore>,
    folder: tempfile::TempDir,
    prefix: String,
}

impl Engine for InBucket {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn settle(&mut self) {
        self.store.as_ref().unwrap().flush().unwrap();
        drop(self.store.take());
        self.store = Some(open(self.folder.path(), &self.prefix));
    }
}

#[test]
fn blocks_in_a_bucket_conform() {
    with_bucket("conforms");
}

#[test]
#[ignore = "not a test: looked at with a bucket"]
fn conforms() {
    for (number, (name, fact)) in FACTS.iter().enumerate() {
        let (folder, prefix) = (tempfile::tempdir().unwrap(), format!("conforms/{number}"));
        let store = Some(open(folder.path(), &prefix));
        let mut engine = InBucket { store, folder, prefix };
        let told = catch_unwind(AssertUnwindSafe(|| fact(&mut engine)));
        assert!(told.is_ok(), "it does not hold that {name}");
    }
}

#[test]
fn a_host_that_is_lost_leaves_its_blocks_to_the_next() {
    with_bucket("outlives_its_host");
}

#[test]
#[ignore = "not a test: looked at with a bucket"]
fn outlives_its_host() {
    let now = recent_ms();
    let mut expected = Vec::new();
    for host in 0..3 {
        // A new disk each time.
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), "hosts/");
        assert_eq!(folded(&store, "", Range::ALL), expected, "{host}");
        // The first leaves a merged block: what the next stores is not what that one took over.
        let flushes = if host == 0 { 4 } else { 1 };
        for _ in 0..flushes {
            let stack = format!("main;f{host}");
            store.append(batch(&[("service", "shop")], now, &[(&stack, 1 + host)])).unwrap();
            store.flush().unwrap();
        }
        expected.push((format!("main;f{host}"), flushes * (1 + host)));
        assert_eq!(folded(&store, "", Range::ALL), expected, "{host}");
        assert!(
            std::fs::read_dir(folder.path().join("blocks")).unwrap().next().is_none(),
            "nothing is on the disk"
        );
    }
    let keys = objects("hosts/blocks/");
    assert!(keys.iter().any(|key| key.ends_with("/samples.parquet")), "{keys:?}");
}

#[test]
fn small_blocks_are_merged_and_old_ones_go_from_the_bucket() {
    with_bucket("is_kept_in_order");
}

#[test]
#[ignore = "not a test: looked at with a bucket"]
fn is_kept_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "order");
    let now = recent_ms();
    for round in 0..12 {
        store.append(batch(&[("service", "shop")], now, &[(&format!("main;f{}", round % 3), 1)])).unwrap();
        store.flush().unwrap();
    }
    // The times are within one second; an hour may end meanwhile.
    assert!(store.sizes().blocks <= 6, "{:?}", store.sizes());
    let expected: Vec<_> = (0..3).map(|number| (format!("main;f{number}"), 4)).collect();
    assert_eq!(folded(&store, "", Range::ALL), expected);
    assert_eq!(objects("order/blocks/").len(), OBJECTS * store.sizes().blocks, "what was merged is gone");
    drop(store);
    // By then all of it is older.
    std::thread::sleep(Duration::from_millis(1100));
    let short = Options { retention: Duration::from_millis(1), ..options(folder.path(), "order") };
    let store = EmbeddedStore::open(short).unwrap();
    store.flush().unwrap();
    assert_eq!((store.sizes().blocks, objects("order/blocks/").len()), (0, 0));
}

#[test]
fn a_block_that_was_changed_is_told_and_set_aside_in_the_bucket() {
    with_bucket("sets_aside");
}

#[test]
#[ignore = "not a test: looked at with a bucket"]
fn sets_aside() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "aside");
    store.append(batch(&[("service", "bad")], recent_ms(), &[("main;f", 1)])).unwrap();
    store.flush().unwrap();
    drop(store);
    let spoilt = objects("aside/blocks/").into_iter().find(|key| key.ends_with("/samples.parquet")).unwrap();
    put(&spoilt, b"nonsense");
    fault("stick");
    let store = open(folder.path(), "aside");
    let query = crate::batches::query("", Range::ALL, &[]);
    let found = store.merge(&query, loopscope_collector::store::Detail::Functions).unwrap();
    assert!(found.value.is_empty() && found.warnings.len() == 1, "{:?}", found.warnings);
    store.flush().expect_err("not all of it can be moved");
    assert_eq!(store.sizes().corrupted_blocks, 1);
    drop(store);
    // What is left is no block that was being written.
    fault("none");
    let store = open(folder.path(), "aside");
    let found = store.merge(&query, loopscope_collector::store::Detail::Functions).unwrap();
    assert!(found.value.is_empty() && found.warnings.len() == 1, "{:?}", found.warnings);
    store.flush().unwrap();
    assert_eq!((store.sizes().corrupted_blocks, objects("aside/blocks/").len()), (1, 0));
    assert_eq!(objects("aside/quarantine/").len(), OBJECTS);
}

#[test]
fn a_block_that_cannot_be_reached_for_a_while_is_used_again() {
    with_bucket("outlives_bad_answers");
}

#[test]
#[ignore = "not a test: looked at with a bucket"]
fn outlives_bad_answers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), "answers");
    store.append(batch(&[("service", "shop")], recent_ms(), &[("main;f", 1)])).unwrap();
    store.flush().unwrap();
    drop(store);
    for wrong in ["cut", "elsewhere", "spoil"] {
        // Nothing of it is in a cache.
        let store = open(folder.path(), "answers");
        fault(wrong);
        let query = crate::batches::query("", Range::ALL, &[]);
        let found = store.merge(&query, loopscope_collector::store::Detail::Functions).unwrap();
        assert!(found.value.is_empty() && found.warnings.len() == 1, "{wrong}: {:?}", found.warnings);
        // What maintenance there is happens while it is so.
        let _ = store.flush();
        fault("none");
        store.flush().unwrap();
        assert_eq!(folded(&store, "", Range::ALL), [("main;f".to_owned(), 1)], "{wrong}");
        assert_eq!(store.sizes().corrupted_blocks, 0, "{wrong}");
        assert_eq!(objects("answers/quarantine/"), [""; 0], "{wrong}");
    }
    fault("misread");
    let store = open(folder.path(), "answers");
    assert_eq!(folded(&store, "", Range::ALL), [("main;f".to_owned(), 1)]);
}

#[test]
fn a_merged_block_of_which_nobody_knows_whether_it_is_there_does_not_count_twice() {
    with_bucket("merges_once");
}

#[test]
#[ignore = "not a test: looked at with a bucket"]
fn merges_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { head_age_max: Duration::ZERO, ..options(folder.path(), "once") };
    let store = EmbeddedStore::open(options.clone()).unwrap();
    let now = recent_ms();
    let append = |stacks: &[(&str, i64)]| {
        let before = store.sizes().blocks;
        store.append(batch(&[("service", "shop")], now, stacks)).unwrap();
        wait_for("a block", SOON, || (store.sizes().blocks > before).then_some(()));
    };
    fault("lose");
    for round in 0..4 {
        append(&[("main;f", 1), (&*format!("main;f{round}"), 1)]);
    }
    let is_merged = |key: &String| key.contains('+') && key.ends_with("/meta.json");
    wait_for("what was merged", SOON, || objects("once/blocks/").iter().any(is_merged).then_some(()));
    // The smallest, by which the next merged block is called.
    append(&[("main;f", 1)]);
    fault("none");
    store.flush().unwrap();
    let expected = folded(&store, "", Range::ALL);
    assert_eq!((expected.len(), &expected[0]), (5, &("main;f".to_owned(), 5)));
    drop(store);
    let store = EmbeddedStore::open(options).unwrap();
    assert_eq!(folded(&store, "", Range::ALL), expected);
    assert_eq!(store.sizes().blocks, 1);
}

#[test]
fn a_place_that_is_no_bucket_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for place in ["profiles", "https://x/y", "s3://", "s3:///prefix"] {
        let options = Options { bucket: Some(place.to_owned()), ..Options::new(folder.path()) };
        let error = EmbeddedStore::open(options).unwrap_err().to_string();
        assert!(error.contains("s3://profiles/loopscope"), "{place}: {error}");
    }
}
