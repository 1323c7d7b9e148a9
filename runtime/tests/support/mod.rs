//! What several tests need.
#![allow(dead_code, reason = "each test file uses a part")]

use std::env;
use std::fs::{self, File};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use loopscope_runtime::observe::publish::contents;
use model::catalogue::Metric;
use model::histogram::Histogram;
use model::snapshot::Value;

/// Names, in a process that [`in_child`] started, the test that is to run its body.
const CHILD: &str = "LOOPSCOPE_TEST_CHILD";

/// Runs `body` alone in a process of its own: for what a process does once, or for all its threads. `test` is the
/// name of the calling test, `environment` is added to the child's.
pub(crate) fn in_child(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) {
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
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
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
pub(crate) fn segment_of(pid: u32) -> Option<File> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    maps.lines().find(|line| line.ends_with(SEGMENT))?;
    let links = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let named =
        links.flatten().find(|link| fs::read_link(link.path()).is_ok_and(|to| to.as_os_str() == SEGMENT));
    Some(File::open(named?.path()).unwrap())
}

/// One series of this process's telemetry, as a reader sees it now; `None` where there is none.
pub(crate) fn value_of(metric: &'static Metric, labels: &[&str]) -> Option<Value> {
    let readings = contents().scopes.into_iter().flat_map(|scope| scope.readings);
    let mut found = readings.filter(|reading| reading.metric.id == metric.id && reading.labels == labels);
    let first = found.next();
    assert!(found.next().is_none(), "more than one series of {} {labels:?}", metric.name);
    first.map(|reading| reading.value)
}

pub(crate) fn gauge(metric: &'static Metric, labels: &[&str]) -> i64 {
    match value_of(metric, labels) {
        Some(Value::Gauge(level)) => level,
        other => panic!("{} {labels:?}: {other:?}", metric.name),
    }
}

pub(crate) fn counter(metric: &'static Metric, labels: &[&str]) -> u64 {
    match value_of(metric, labels) {
        Some(Value::Counter(sum)) => sum,
        other => panic!("{} {labels:?}: {other:?}", metric.name),
    }
}

pub(crate) fn histogram(metric: &'static Metric, labels: &[&str]) -> Histogram {
    match value_of(metric, labels) {
        Some(Value::Histogram(histogram)) => histogram,
        other => panic!("{} {labels:?}: {other:?}", metric.name),
    }
}

/// Holds up threads that come to it, until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Default)]
struct GateState {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Waits until the gate is open.
    pub(crate) fn pass(&self) {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        state.waiting += 1;
        while !state.open {
            state = changed.wait(state).unwrap();
        }
        state.waiting -= 1;
    }

    /// How many threads wait at the gate.
    pub(crate) fn waiting(&self) -> usize {
        self.state.0.lock().unwrap().waiting
    }

    pub(crate) fn open(&self) {
        self.state.0.lock().unwrap().open = true;
        self.state.1.notify_all();
    }
}
