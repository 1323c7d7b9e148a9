//! The targets: keeping their list up to date, and reading them all into one snapshot.
//!
//! A target is a process that [publishes](published) telemetry, or one that is measured from [outside](outside). Of the
//! former, only slow iterations are looked for between scrapes. The latter are [tended](Targets::tend) some times a second, each as often as
//! it has something to tell.

mod budget;
mod finder;
mod outside;
mod prober;
mod published;
mod recent;
mod slow;

use std::collections::BTreeSet;
use std::sync::Arc;

use attach::libuv::probes::Readings;
use attach::target::discovery::{Discovery, Scan};
use attach::target::{self, Host, Pid};
use model::catalogue;
use model::label::TargetError;
use model::snapshot::Snapshot;
use model::time::Monotonic;

use super::Links;
use super::names::Names;
use super::own_metrics::OwnMetrics;
use super::profiler::Wanted;
use super::prom_client;
use crate::clock::{self, StepWatch};
use crate::config::Settings;
use crate::console;
use crate::top::Notes;
use finder::{Failure, Finder, Target};
use outside::Outside;
use prober::Prober;
use recent::KEEP_EVERY_NS;

/// A scrape uses the list of targets of a scan that is no older than this.
const SCAN_AGE_MAX_NS: u64 = 1_000_000_000;

/// How often the agent looks for targets while nobody scrapes. A look costs some µs of CPU time a process; a process
/// that is not yet found is not yet measured.
const SCAN_EVERY_NS: u64 = 1_500_000_000;

/// Everything that the agent knows of its targets.
pub(crate) struct Targets {
    host: Host,
    step_watch: StepWatch,
    discovery: Discovery<Finder>,
    prober: Prober,
    next_scan: Monotonic,
    last_scan: Option<Monotonic>,
    told_of_hidden: bool,
    /// When to keep what probes have measured, for names that tell of the last minute; `None` while nobody asks for them.
    next_keeping: Option<Monotonic>,
    /// What the last reading tells beside its snapshot.
    notes: Vec<ProcessNote>,
    /// Targets that could not be read at the last scrape.
    failing: BTreeSet<Pid>,
    /// Since when there are targets: a slow iteration of before may have been told as a span already.
    began: Monotonic,
    /// When to look again for slow iterations that are published.
    next_look: Monotonic,
    /// Slow iterations that were published and not taken in time; `None` where nobody has published any.
    missed: Option<u64>,
    own: Arc<OwnMetrics>,
    links: Links,
}

/// What a reading tells of a process besides its series, for those who know more names than the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProcessNote {
    pub(super) pid: Pid,
    /// Whether the agent counts what is told of its loops, and not the process itself.
    pub(super) is_outside: bool,
    /// Whether it is Node.js.
    pub(super) is_node: bool,
    /// The parts of its CPU time, in nanoseconds.
    pub(super) user_ns: u64,
    pub(super) system_ns: u64,
}

impl Targets {
    pub(super) fn new(own: Arc<OwnMetrics>, links: Links, settings: Settings) -> Self {
        Self {
            host: Host::read(),
            step_watch: StepWatch::new(clock::now()),
            next_keeping: settings.names.has_prom_client().then(clock::monotonic),
            discovery: Discovery::new(Finder::new(settings)),
            prober: Prober::default(),
            next_scan: clock::monotonic(),
            last_scan: None,
            told_of_hidden: false,
            notes: Vec::new(),
            failing: BTreeSet::new(),
            began: clock::monotonic(),
            next_look: clock::monotonic(),
            missed: None,
            own,
            links,
        }
    }

    /// Goes on by other settings. What fits them stays a target, with everything that was measured.
    pub(super) fn reconfigure(&mut self, settings: Settings) {
        let now = clock::monotonic();
        let mut left_out = Vec::new();
        for (pid, target) in self.discovery.targets_mut() {
            match target {
                Target::Published(published) => published.reconfigure(&settings.rules),
                Target::Outside(outside) => {
                    if !outside.reconfigure(&settings, &mut self.prober) {
                        left_out.push(pid);
                    }
                }
            }
        }
        for pid in left_out {
            if let Some(Target::Outside(mut outside)) = self.discovery.forget(pid) {
                self.take_last_probed(&[&outside]);
                outside.detach(&mut self.prober);
                console::line(format_args!(
                    "process {pid}: no longer measured from outside: a rule leaves it out"
                ));
            }
        }
        if settings.names.has_prom_client() && self.next_keeping.is_none() {
            let readings = self.prober.collect();
            self.begin_keeping(now, readings.as_ref());
        }
        self.discovery.find_mut().reconfigure(settings);
        self.discovery.look_again();
        self.next_scan = now;
    }

    /// Does what is due, and tells when to be called again.
    pub(crate) fn tend(&mut self) -> Monotonic {
        let now = clock::monotonic();
        if now >= self.next_scan {
            self.scan();
        }
        let mut gone = Vec::new();
        let mut next = self.next_scan;
        // If it is time for one, the others may join.
        let is_time =
            self.discovery.targets().filter_map(Target::outside).any(|outside| outside.due() <= now);
        for (pid, target) in self.discovery.targets_mut() {
            let Target::Outside(outside) = target else { continue };
            if is_time && let Err(error) = outside.tend(now, &mut self.prober) {
                gone.push((pid, error));
                continue;
            }
            next = next.min(outside.due());
        }
        for (pid, error) in gone {
            self.lose(pid, &Failure::Process(error));
        }
        next = next.min(self.take_slow(now));
        match self.keep_if_due(now) {
            Some(keeping) => next.min(keeping),
            None => next,
        }
    }

    /// Keeps what probes have measured, if it is time; tells when to do it next, if at all.
    fn keep_if_due(&mut self, now: Monotonic) -> Option<Monotonic> {
        if now >= self.next_keeping? {
            self.next_keeping = Some(now.plus_ns(KEEP_EVERY_NS));
            let readings = self.prober.collect();
            for (_, target) in self.discovery.targets_mut() {
                if let (Target::Outside(outside), Some(readings)) = (target, &readings) {
                    outside.keep(now, readings);
                }
            }
        }
        self.next_keeping
    }

    /// Whether the host's processes have been searched for targets.
    pub(crate) fn is_ready(&self) -> bool {
        self.last_scan.is_some()
    }

    /// Looks for targets, and tells which there are, a line each.
    pub(crate) fn describe(&mut self) -> String {
        let scan = self.discovery.scan(clock::monotonic());
        let mut lines = String::new();
        for target in self.discovery.targets() {
            match target {
                Target::Published(published) => {
                    let pid = published.telemetry().process().pid();
                    lines += &format!("process {pid}: publishes telemetry\n");
                }
                Target::Outside(outside) => lines += &format!("{}\n", outside.plan()),
            }
        }
        for failure in scan
            .iter()
            .flat_map(|scan| &scan.failures)
            .filter(|it| it.cause() != Some(TargetError::Permission))
        {
            lines += &format!("{failure}\n");
        }
        if lines.is_empty() {
            lines += "nothing to measure now\n";
        }
        lines
    }

    /// Looks for targets.
    fn scan(&mut self) {
        if self.step_watch.has_stepped(clock::now()) {
            // The time of the boot moves with it.
            self.host = Host::read();
        }
        let began = clock::monotonic();
        self.next_scan = began.plus_ns(SCAN_EVERY_NS);
        let scan = self.discovery.scan(began);
        self.own.discovery_took(clock::monotonic().since_ns(began));
        match scan {
            Ok(scan) => {
                self.last_scan = Some(began);
                self.welcome(scan);
                self.name_the_profiled(began);
            }
            Err(error) => {
                // What was true once may not be for long.
                self.last_scan = None;
                console::line(format_args!("cannot list processes: /proc: {error}"));
            }
        }
    }

    /// Tells the profiler whom to profile.
    fn name_the_profiled(&mut self, now: Monotonic) {
        let wanted = self.discovery.targets().filter_map(|target| match target {
            Target::Published(published) => published.wanted(&self.host, now),
            Target::Outside(outside) => outside.wanted(&self.host),
        });
        let wanted: Vec<Wanted> = wanted.collect();
        self.links.roster.replace(wanted);
    }

    fn welcome(&mut self, scan: Scan<Finder>) {
        let parting: Vec<&Outside> = scan.disappeared.iter().filter_map(|(_, it)| it.outside()).collect();
        if !parting.is_empty() {
            self.take_last_probed(&parting);
        }
        for (pid, target) in scan.disappeared {
            self.part_from(pid, target);
        }
        for (pid, target) in self.discovery.targets_mut().filter(|(pid, _)| scan.appeared.contains(pid)) {
            match target {
                Target::Published(_) => console::line(format_args!("process {pid}: publishes telemetry")),
                Target::Outside(outside) => outside.attach(&mut self.prober),
            }
        }
        for failure in &scan.failures {
            self.own.count(failure.cause());
            tell(failure);
        }
        let hidden = self.discovery.hidden();
        if hidden > 0 && !self.told_of_hidden {
            self.told_of_hidden = true;
            console::line(format_args!(
                "some processes ({hidden}) may not be looked at: to measure those as well, {}",
                target::remedy()
            ));
        }
    }

    /// Reads all targets, and the agent itself, by these names.
    /// Distributions of lag have the longest iteration since `since` as their exemplar, where iterations are known one by one.
    pub(crate) fn read(&mut self, names: Names, since: Monotonic) -> Snapshot {
        let now = clock::monotonic();
        if self.last_scan.is_none_or(|scanned| now.since_ns(scanned) >= SCAN_AGE_MAX_NS) {
            self.scan();
        }
        // What was published by now is told with this reading: the next one asks for later ones.
        self.next_look = now;
        self.take_slow(now);
        let mut snapshot = Snapshot::default();
        let mut failures = Vec::new();
        self.notes.clear();
        let readings = self.prober.collect();
        for (pid, target) in self.discovery.targets_mut() {
            let read = match target {
                // It is no Node.js.
                Target::Published(_) if !names.has_loopscope() => Ok(()),
                Target::Published(published) => published
                    .read(&self.host, now, &mut snapshot)
                    .map(|note| self.notes.push(note))
                    .map_err(Failure::Telemetry),
                Target::Outside(outside) => outside
                    .read(names, &self.host, now, &self.prober, readings.as_ref(), &mut snapshot)
                    .map(|note| self.notes.push(note))
                    .map_err(Failure::Process),
            };
            if let Err(failure) = read {
                failures.push((pid, failure));
            }
        }
        let measured = self.discovery.targets().len() - failures.len();
        let gone = failures.iter().filter(|(_, failure)| failure.is_vanished()).count();
        let unmeasurable = self.discovery.unreadable() + failures.len() - gone;
        self.failing.retain(|pid| failures.iter().any(|(failed, _)| failed == pid));
        for (pid, failure) in failures {
            self.lose(pid, &failure);
        }
        if names.has_loopscope() {
            self.prober.add_to(self.missed, &mut snapshot);
            self.own.add_to(&mut snapshot, &self.host, measured, unmeasurable);
        }
        let longest = self.links.slow_log.longest(since, clock::now());
        if !longest.is_empty() {
            snapshot.add_exemplars(&catalogue::EVENTLOOP_LAG, |series| {
                let key = (series.label("pid")?.to_owned(), series.label("loop")?.to_owned());
                longest.get(&key).cloned()
            });
        }
        if names.has_prom_client() && self.next_keeping.is_none() {
            // From now on somebody asks.
            self.begin_keeping(now, readings.as_ref());
        }
        snapshot
    }

    fn begin_keeping(&mut self, now: Monotonic, readings: Option<&Readings>) {
        self.next_keeping = Some(now.plus_ns(KEEP_EVERY_NS));
        for (_, target) in self.discovery.targets_mut() {
            if let (Target::Outside(outside), Some(readings)) = (target, readings) {
                outside.begin_keeping(now, readings);
            }
        }
    }

    /// What the last reading tells beside its snapshot.
    pub(super) fn notes(&self) -> Vec<ProcessNote> {
        self.notes.clone()
    }

    /// A target could not be read: one that has ended is forgotten, of another it is told once, not each time.
    fn lose(&mut self, pid: Pid, failure: &Failure) {
        self.own.count(failure.cause());
        if self.failing.insert(pid) {
            tell(failure);
        }
        if failure.is_vanished() {
            self.failing.remove(&pid);
            if let Some(target) = self.discovery.forget(pid) {
                self.part_from(pid, target);
            }
        }
    }

    /// What is known of targets beside their series, since this was last asked.
    pub(super) fn take_notes(&mut self) -> Notes {
        let outside = self.discovery.targets_mut().filter_map(|(pid, target)| match target {
            Target::Published(_) => None,
            Target::Outside(outside) => Some((pid, outside.take_notes())),
        });
        Notes(outside.collect())
    }

    fn part_from(&mut self, pid: Pid, target: Target) {
        match target {
            Target::Published(published) => {
                self.take_last(*published);
                console::line(format_args!("process {pid}: no longer publishes telemetry"))
            }
            Target::Outside(mut outside) => {
                self.take_last_probed(&[&outside]);
                outside.detach(&mut self.prober);
                console::line(format_args!(
                    "process {pid}: no longer measured from outside: it has ended, or runs another program"
                ));
            }
        }
    }
}

/// Tells of a failure, unless it is a lack of permission: of those there may be hundreds, most of them at processes that
/// are of no interest, so they are told of once, all together. That a process has ended is told by its parting.
fn tell(failure: &Failure) {
    if !matches!(failure.cause(), Some(TargetError::Permission | TargetError::Vanished) | None) {
        console::line(format_args!("{failure}"));
    }
}
