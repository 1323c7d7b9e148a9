//! What the agent measures of itself: the `loopscope_*` metrics that apply to it and, as the command `loopscope agent`, its
//! event loop and its heap. Beside something else, as in the demo, it leaves those to that.
//!
//! The latter it tells like those of any target, of the service `loopscope`, but it is none: it keeps its telemetry to itself
//! and reads it where it lies, so that neither it nor another agent of the host finds and counts it.

mod exports;
mod profiling;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::SystemTime;

use attach::target::{Host, Pid, Process};
use loopscope_tokio::process;
use model::catalogue;
use model::histogram;
use model::instrument::{Counter, HISTOGRAM_CELLS, Histogram};
use model::label::{LabelValue, ScrapeFormat, TargetError, TargetState};
use model::snapshot::{SharedLabels, Snapshot, Value};

use crate::clock;
use crate::config::Signal;
pub(super) use exports::ExportMetrics;
pub(super) use profiling::ProfilingMetrics;

/// The agent's own instruments. All of its threads record.
pub(crate) struct OwnMetrics {
    target_errors: Vec<Counter>,
    discovery: Histogram,
    scrapes: Vec<Histogram>,
    scrapes_rejected: Counter,
    /// Whether each file could be used when it was last read, by [`ConfigFile`].
    config_usable: [AtomicBool; 2],
    /// When one was last read that could be.
    config_read_unix_ns: AtomicI64,
    /// Whether there is a loop that measures itself.
    has_loop: bool,
    metric_exports: ExportMetrics,
    profile_exports: ExportMetrics,
    trace_exports: ExportMetrics,
    profiling: ProfilingMetrics,
}

/// What tells the agent what to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConfigFile {
    /// What to measure.
    Agent,
    /// Who may ask.
    Web,
}

/// The service that the agent is, as its series name it.
const SERVICE: &str = "loopscope";

/// From now on nobody else reads what this process measures. Call it before anything measures.
pub(super) fn keep_to_ourselves() {
    process::keep_private();
}

impl OwnMetrics {
    /// Makes the instruments. Their cells are never freed: an agent lives as long as its program.
    pub(super) fn new() -> Self {
        Self {
            target_errors: TargetError::ALL.iter().map(|_| counter()).collect(),
            discovery: histogram(),
            scrapes: ScrapeFormat::ALL.iter().map(|_| histogram()).collect(),
            scrapes_rejected: counter(),
            config_usable: [AtomicBool::new(true), AtomicBool::new(true)],
            config_read_unix_ns: AtomicI64::new(unix_ns()),
            has_loop: false,
            metric_exports: ExportMetrics::new(exports::OF_METRICS),
            profile_exports: ExportMetrics::new(exports::OF_PROFILES),
            trace_exports: ExportMetrics::new(exports::OF_TRACES),
            profiling: ProfilingMetrics::new(),
        }
    }

    /// As [`new`](Self::new), of a process that is an agent and nothing else, and serves on a loop that measures itself.
    pub(super) fn with_loop() -> Self {
        Self { has_loop: true, ..Self::new() }
    }

    /// A target could not be found or read.
    pub(super) fn count(&self, cause: Option<TargetError>) {
        if let Some(cause) = cause {
            self.target_errors[cause as usize].add(1);
        }
    }

    /// A search for targets took this long.
    pub(super) fn discovery_took(&self, ns: u64) {
        self.discovery.record_ns(ns);
    }

    /// A scrape took this long, from its request to its encoded answer.
    pub(super) fn scrape_took(&self, format: ScrapeFormat, ns: u64) {
        self.scrapes[format as usize].record_ns(ns);
    }

    /// A scrape was refused because too many were under way.
    pub(super) fn scrape_rejected(&self) {
        self.scrapes_rejected.add(1);
    }

    /// A file was read, and can be used or not.
    pub(super) fn config_read(&self, file: ConfigFile, usable: bool) {
        self.config_usable[file as usize].store(usable, Ordering::Relaxed);
        if usable {
            self.config_read_unix_ns.store(unix_ns(), Ordering::Relaxed);
        }
    }

    /// What became of the exports of a signal.
    pub(super) fn exports(&self, signal: Signal) -> &ExportMetrics {
        match signal {
            Signal::Metrics => &self.metric_exports,
            Signal::Profiles | Signal::Pyroscope => &self.profile_exports,
            Signal::Traces => &self.trace_exports,
        }
    }

    /// What the continuous profiler did.
    pub(super) fn profiling(&self) -> &ProfilingMetrics {
        &self.profiling
    }

    /// Adds the agent's own series to a snapshot.
    pub(super) fn add_to(&self, snapshot: &mut Snapshot, host: &Host, measured: usize, unmeasurable: usize) {
        let none = SharedLabels::default();
        let version = SharedLabels::new([("version", env!("CARGO_PKG_VERSION"))]);
        snapshot.push(&catalogue::LOOPSCOPE_BUILD_INFO, &version, &[], Value::Gauge(1));
        snapshot.push(&catalogue::LOOPSCOPE_CPU, &none, &[], Value::Counter(clock::own_cpu_ns()));
        if let Some(bytes) = resident_bytes(host) {
            snapshot.push(&catalogue::LOOPSCOPE_RESIDENT_MEMORY, &none, &[], Value::Gauge(bytes));
        }
        for (state, count) in [(TargetState::Measured, measured), (TargetState::Unmeasurable, unmeasurable)] {
            let count = Value::Gauge(count as i64);
            snapshot.push(&catalogue::LOOPSCOPE_TARGETS, &none, &[state.as_str()], count);
        }
        for (cause, errors) in TargetError::ALL.iter().zip(&self.target_errors) {
            let errors = Value::Counter(errors.get());
            snapshot.push(&catalogue::LOOPSCOPE_TARGET_ERRORS, &none, &[cause.as_str()], errors);
        }
        let discovery = Value::Histogram(self.discovery.get());
        snapshot.push(&catalogue::LOOPSCOPE_DISCOVERY_DURATION, &none, &[], discovery);
        for (format, scrapes) in ScrapeFormat::ALL.iter().zip(&self.scrapes) {
            let scrapes: histogram::Histogram = scrapes.get();
            if scrapes.count() > 0 {
                let scrapes = Value::Histogram(scrapes);
                snapshot.push(&catalogue::LOOPSCOPE_SCRAPE_DURATION, &none, &[format.as_str()], scrapes);
            }
        }
        let rejected = Value::Counter(self.scrapes_rejected.get());
        snapshot.push(&catalogue::LOOPSCOPE_SCRAPES_REJECTED, &none, &[], rejected);
        let usable = self.config_usable.iter().all(|usable| usable.load(Ordering::Relaxed));
        let usable = Value::Gauge(i64::from(usable));
        snapshot.push(&catalogue::LOOPSCOPE_CONFIG_RELOAD_SUCCESSFUL, &none, &[], usable);
        let read = Value::Gauge(self.config_read_unix_ns.load(Ordering::Relaxed));
        snapshot.push(&catalogue::LOOPSCOPE_CONFIG_RELOAD_TIME, &none, &[], read);
        if self.has_loop {
            let pid = std::process::id().to_string();
            process::contents().add_to(snapshot, &SharedLabels::new([("service", SERVICE), ("pid", &pid)]));
        }
        for exports in [&self.metric_exports, &self.profile_exports, &self.trace_exports] {
            exports.add_to(snapshot, &none);
        }
        self.profiling.add_to(snapshot, &none);
    }
}

fn unix_ns() -> i64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn counter() -> Counter {
    Counter::new(Box::leak(Box::new(AtomicU64::new(0))))
}

fn histogram() -> Histogram {
    Histogram::new(Box::leak(Box::new([const { AtomicU64::new(0) }; HISTOGRAM_CELLS])))
}

fn resident_bytes(host: &Host) -> Option<i64> {
    let stat = Process::open(Pid::new(std::process::id())).and_then(|own| own.stat()).ok()?;
    i64::try_from(host.pages_bytes(stat.resident_pages)).ok()
}
