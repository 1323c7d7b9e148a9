//! The targets: keeping their list up to date, and reading them all into one snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use attach::target::{Figures, Host, Pid, ProcessError};
use attach::telemetry::{Discovery, Telemetry, TelemetryError};
use model::catalogue::{self, Metric, Scope};
use model::label::TargetError;
use model::segment::Contents;
use model::snapshot::{SharedLabels, Snapshot};
use model::time::Monotonic;

use super::own_metrics::OwnMetrics;
use crate::{clock, console};

/// A scrape uses the list of targets of a scan that is no older than this.
const SCAN_AGE_MAX_NS: u64 = 1_000_000_000;

/// Everything that the agent knows of its targets.
pub(super) struct Targets {
    host: Host,
    discovery: Discovery,
    last_scan: Option<Monotonic>,
    told_of_hidden: bool,
    /// Targets whose telemetry could not be read at the last scrape.
    failing: BTreeSet<Pid>,
    own: Arc<OwnMetrics>,
}

impl Targets {
    pub(super) fn new(own: Arc<OwnMetrics>) -> Self {
        Self {
            host: Host::read(),
            discovery: Discovery::default(),
            last_scan: None,
            told_of_hidden: false,
            failing: BTreeSet::new(),
            own,
        }
    }

    /// Looks for targets; tells whether that was possible at all.
    pub(super) fn scan(&mut self) -> bool {
        let began = clock::monotonic();
        let scan = self.discovery.scan(began);
        self.last_scan = Some(began);
        self.own.discovery_took(clock::monotonic().since_ns(began));
        let scan = match scan {
            Ok(scan) => scan,
            Err(error) => {
                console::line(format_args!("cannot list processes: /proc: {error}"));
                return false;
            }
        };
        for pid in scan.appeared {
            console::line(format_args!("process {pid}: publishes telemetry"));
        }
        for (pid, _) in scan.disappeared {
            console::line(format_args!("process {pid}: no longer publishes telemetry"));
        }
        for error in &scan.failures {
            self.own.count(error);
            tell(error);
        }
        let hidden = self.discovery.hidden();
        if hidden > 0 && !self.told_of_hidden {
            self.told_of_hidden = true;
            console::line(format_args!(
                "some processes ({hidden}) may not be looked at: to find telemetry of other users' processes, run as root or with CAP_SYS_PTRACE"
            ));
        }
        true
    }

    /// Reads all targets, and the agent itself.
    pub(super) fn read(&mut self) -> Snapshot {
        let now = clock::monotonic();
        if self.last_scan.is_none_or(|scanned| now.since_ns(scanned) >= SCAN_AGE_MAX_NS) {
            self.scan();
        }
        let mut snapshot = Snapshot::default();
        let mut failures = Vec::new();
        for telemetry in self.discovery.targets() {
            if let Err(error) = read_target(telemetry, &self.host, now, &mut snapshot) {
                failures.push(error);
            }
        }
        let measured = self.discovery.targets().len() - failures.len();
        let is_gone =
            |error: &&TelemetryError| matches!(error, TelemetryError::Process(ProcessError::Vanished { .. }));
        let gone: Vec<Pid> = failures.iter().filter(is_gone).map(TelemetryError::pid).collect();
        gone.iter().for_each(|pid| drop(self.discovery.forget(*pid)));
        let unmeasurable = self.discovery.unreadable() + failures.len() - gone.len();
        for error in &failures {
            self.own.count(error);
            // Once, not at every scrape.
            if !self.failing.contains(&error.pid()) {
                tell(error);
            }
        }
        self.failing = failures.iter().map(TelemetryError::pid).collect();
        self.own.add_to(&mut snapshot, &self.host, measured, unmeasurable);
        snapshot
    }
}

/// Tells of a failure, unless it is a lack of permission: of those there may be hundreds, most of them at processes that
/// publish nothing, so they are told of once, all together.
fn tell(error: &TelemetryError) {
    if error.cause() != Some(TargetError::Permission) {
        console::line(format_args!("{error}"));
    }
}

fn read_target(
    telemetry: &Telemetry,
    host: &Host,
    now: Monotonic,
    snapshot: &mut Snapshot,
) -> Result<(), TelemetryError> {
    // First, because it tells whether the process still lives: the memory outlives it as long as we hold it.
    let figures = Figures::read(telemetry.process(), host)?;
    let (identity, mut contents) = telemetry.read(now)?;
    drop_foreign_metrics(&mut contents);
    let service = if identity.service.is_empty() { &figures.name } else { &identity.service };
    let pid = telemetry.process().pid().to_string();
    let labels = SharedLabels::new([("service", service.as_str()), ("pid", &pid)]);
    figures.add_to(snapshot, &labels);
    contents.add_to(snapshot, &labels);
    Ok(())
}

/// A target speaks for its loops, pool and heap. What the kernel tells of it, and what the agent tells of itself, is
/// not the target's to say.
fn drop_foreign_metrics(contents: &mut Contents) {
    let accounting = catalogue::PROCESS_CPU.id..=catalogue::PROCESS_START_TIME.id;
    let is_own = |metric: &Metric| metric.scope != Scope::Agent && !accounting.contains(&metric.id);
    for scope in &mut contents.scopes {
        scope.readings.retain(|reading| is_own(reading.metric));
    }
}
