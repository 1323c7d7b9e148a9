//! What several tests need.
#![allow(dead_code, reason = "each test file uses a part")]

use std::env;
use std::fs::{self, File};
use std::process::Command;
use std::time::{Duration, Instant};

/// Names, in a process that [`in_child`] started, the test that is to run its body.
const CHILD: &str = "LOOPSCOPE_TEST_CHILD";

/// Runs `body` alone in a process of its own: for what a process does once, or for all its threads. `test` is the
/// name of the calling test, `environment` is added to the child's.
pub fn in_child(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) {
    if env::var(CHILD).is_ok_and(|named| named == test) {
        return body();
    }
    let output = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--test-threads=1", "--nocapture"])
        .env(CHILD, test)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in its own process: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} did not run in its own process:\n{out}\n{err}");
}

/// Waits until a condition holds; fails after a minute, which no machine in working order needs.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited a minute in vain until {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// As the kernel shows it: what the descriptor of a segment links to, and what its mapping is called.
const SEGMENT: &str = "/memfd:loopscope (deleted)";

/// The telemetry segment of a process, found as a reader finds it: the mapping tells that there is one, the descriptors
/// lead to it.
pub fn segment_of(pid: u32) -> Option<File> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().find(|line| line.ends_with(SEGMENT))?;
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let named =
        links.flatten().find(|link| fs::read_link(link.path()).is_ok_and(|to| to.as_os_str() == SEGMENT));
    Some(File::open(named?.path()).unwrap())
}
