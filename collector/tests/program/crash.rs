//! What was acknowledged is there, once, whatever happens to the program or to its disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use loopscope_collector::times::now_ms;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::client::ask;
use crate::server::Server;

const DAY_MS: i64 = 24 * 3_600_000;
const PERIOD_NS: i64 = 10_000_000;
/// Small heads, so that blocks are made and merged all the time.
const CONFIG: &str = "[limits]\nmemory = '48KiB'\n";

/// Profiles of one function each, by number: what was sent, and what was acknowledged.
#[derive(Default)]
struct Ledger {
    next: AtomicU64,
    acknowledged: Mutex<BTreeSet<u64>>,
}

impl Ledger {
    /// Sends one after the other until told to stop, or until nobody answers. Returns how many were refused.
    fn send(&self, address: SocketAddr, stop: &AtomicBool) -> u64 {
        let mut refused = 0;
        while !stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let body = format!("main;handler{};f{number} 1\n", number % 7);
            // Half of them late, so that hours that are over and days that are over are merged as well.
            let from_s = match number % 2 {
                0 => now_ms() / 1000,
                _ => (now_ms() / DAY_MS - 2) * DAY_MS / 1000 + (number % 7) as i64 * 3600,
            };
            let target =
                format!("/ingest?name=crash{}&format=folded&sampleRate=100&from={from_s}", number % 5);
            match ask(address, "POST", &target, &[], body.as_bytes()) {
                Ok(answer) if answer.status == 200 => {
                    self.acknowledged.lock().unwrap().insert(number);
                }
                Ok(answer) => {
                    assert!([429, 507].contains(&answer.status), "{}: {}", answer.status, answer.text());
                    refused += 1;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(_) => return refused,
            }
        }
        refused
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// All that was acknowledged is there once, and nothing is there twice.
    fn expect_all(&self, server: &Server) {
        let answer = server.get("/api/v1/flamegraph?format=folded&from=now-4d").expect(200);
        let mut found: BTreeMap<u64, i64> = BTreeMap::new();
        for line in answer.text().lines() {
            let (stack, value) = line.rsplit_once(' ').unwrap();
            let number = stack.rsplit_once(";f").unwrap().1.parse().unwrap();
            *found.entry(number).or_default() += value.parse::<i64>().unwrap();
        }
        for number in self.acknowledged.lock().unwrap().iter() {
            assert_eq!(found.get(number), Some(&PERIOD_NS), "profile {number}");
        }
        assert!(found.values().all(|value| *value == PERIOD_NS), "nothing counts twice");
    }
}

fn config(folder: &Path) -> String {
    let path = folder.join("collector.toml");
    std::fs::write(&path, CONFIG).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_kill_at_any_instant_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let data = folder.path().join("data");
    let ledger = Ledger::default();
    for round in 0..12 {
        let server = Server::start(&data, &["--config", &config]);
        ledger.expect_all(&server);
        let address = server.address;
        let stop = AtomicBool::new(false);
        let before = ledger.acknowledged();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| ledger.send(address, &stop));
            }
            // Some are acknowledged first; then the instants differ from round to round.
            while ledger.acknowledged() < before + 100 {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(round * 7));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
    }
    let server = Server::start(&data, &["--config", &config]);
    ledger.expect_all(&server);
    assert!(ledger.acknowledged() >= 1200);
    let blocks = std::fs::read_dir(data.join("blocks")).unwrap().count();
    assert!(blocks > 0, "blocks were made");
}

/// The limit of a file's size stands for a full disk: the kernel refuses a write in its middle, in the log and in blocks.
#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let data = folder.path().join("data");
    let ledger = Ledger::default();
    let mut command = Command::new("sh");
    // The signal that goes with the limit is ignored, as an operating system's full disk has none.
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_loopscope-collector")]);
    command.args(["--listen", "127.0.0.1:0", "--config", &config, "--data"]).arg(&data);
    let server = Server::start_command(command);
    let pid = Pid::from_raw(server.pid() as i32);
    let limit = |bytes| {
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    };
    let send = |times: usize| {
        let before = ledger.acknowledged();
        let mut refused = 0;
        for _ in 0..times {
            let stop = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let sender = scope.spawn(|| ledger.send(server.address, &stop));
                std::thread::sleep(Duration::from_millis(50));
                stop.store(true, Ordering::Relaxed);
                refused += sender.join().unwrap();
            });
        }
        (ledger.acknowledged() - before, refused)
    };
    let (kept, _) = send(4);
    assert!(kept > 0);
    limit(Some(700));
    // Until the log's segment is as long as files may be.
    let mut refused = 0;
    while refused == 0 {
        refused += send(1).1;
    }
    let answer = server.post("/ingest?name=crash&format=folded", &[], b"main;h;f4000000000 1\n");
    assert!([429, 507].contains(&answer.status), "{}: {}", answer.status, answer.text());
    // Everybody can still ask.
    ledger.expect_all(&server);
    limit(None);
    let mut kept = 0;
    while kept == 0 {
        kept += send(1).0;
    }
    ledger.expect_all(&server);
    server.kill();
    let server = Server::start(&data, &["--config", &config]);
    ledger.expect_all(&server);
}
