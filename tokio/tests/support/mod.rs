//! What several tests need: this process's telemetry, as a reader sees it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::thread;
use std::time::{Duration, Instant};

use loopscope_tokio::process::contents;
use model::catalogue::Metric;
use model::histogram::Histogram;
use model::segment::ScopeKind;
use model::snapshot::Value;
use tokio::runtime::{Builder, Runtime};

/// Which series are asked for.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    Loop(&'a str),
    Runtime(&'a str),
    Process,
}

impl Of<'_> {
    /// One series; `None` where there is none.
    pub(crate) fn value(self, metric: &'static Metric, labels: &[&str]) -> Option<Value> {
        let scopes = contents().scopes.into_iter().filter(|scope| match self {
            Self::Loop(name) => scope.kind == ScopeKind::Loop && scope.name == name,
            Self::Runtime(name) => scope.kind == ScopeKind::Runtime && scope.name == name,
            Self::Process => scope.kind == ScopeKind::Process,
        });
        let readings = scopes.flat_map(|scope| scope.readings);
        let mut found = readings.filter(|reading| reading.metric.id == metric.id && reading.labels == labels);
        let first = found.next()?.value;
        Some(found.fold(first, |sum, next| match (sum, next.value, self) {
            // Several parts of a process add up, as for any reader.
            (Value::Gauge(a), Value::Gauge(b), Self::Process) => Value::Gauge(a + b),
            (Value::Counter(a), Value::Counter(b), Self::Process) => Value::Counter(a + b),
            _ => panic!("more than one series of {} {labels:?}", metric.name),
        }))
    }

    pub(crate) fn gauge(self, metric: &'static Metric, labels: &[&str]) -> i64 {
        match self.value(metric, labels) {
            Some(Value::Gauge(reading)) => reading,
            other => panic!("{} {labels:?}: {other:?}", metric.name),
        }
    }

    pub(crate) fn counter(self, metric: &'static Metric, labels: &[&str]) -> u64 {
        match self.value(metric, labels) {
            Some(Value::Counter(sum)) => sum,
            other => panic!("{} {labels:?}: {other:?}", metric.name),
        }
    }

    pub(crate) fn histogram(self, metric: &'static Metric, labels: &[&str]) -> Histogram {
        match self.value(metric, labels) {
            Some(Value::Histogram(histogram)) => histogram,
            other => panic!("{} {labels:?}: {other:?}", metric.name),
        }
    }
}

/// Waits until a condition holds; fails after a minute, which no machine in working order needs.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "waited a minute in vain until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Two samples have been taken since.
pub(crate) fn let_sample() {
    thread::sleep(Duration::from_millis(250));
}

pub(crate) fn single() -> Builder {
    let mut options = Builder::new_current_thread();
    options.enable_all();
    options
}

pub(crate) fn multi(workers: usize) -> Builder {
    let mut options = Builder::new_multi_thread();
    options.enable_all().worker_threads(workers);
    options
}

/// A runtime with our hooks.
pub(crate) fn hooked(name: &str, mut options: Builder) -> Runtime {
    loopscope_tokio::Builder::new().name(name).build(&mut options).unwrap()
}

pub(crate) const MS: u64 = 1_000_000;

/// Keeps the thread for a time, as a task does that should not; gives how long it was.
pub(crate) fn block(ms: u64) -> u64 {
    let begin = Instant::now();
    thread::sleep(Duration::from_millis(ms));
    begin.elapsed().as_nanos() as u64
}

/// Whether a sum is what was told, within 5% and 25 ms.
#[track_caller]
pub(crate) fn expect_near(found_ns: u64, told_ns: u64) {
    let allowed = told_ns / 20 + 25 * MS;
    assert!(found_ns.abs_diff(told_ns) <= allowed, "{found_ns} ns found, {told_ns} ns told");
}
