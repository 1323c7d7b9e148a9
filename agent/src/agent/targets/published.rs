//! A process that publishes telemetry.

mod slow_counts;

use std::collections::HashMap;

use attach::target::{Facts, Figures, Host, Process};
use attach::telemetry::{Telemetry, TelemetryError};
use model::catalogue::{self, Metric, Scope};
use model::segment::{Contents, Identity, SlowCursor};
use model::snapshot::{SharedLabels, Snapshot};
use model::time::Monotonic;

use super::ProcessNote;
use crate::agent::profiler::Wanted;
use crate::agent::slow_log;
use crate::clock;
use crate::config::Rules;
use crate::console;
use slow_counts::SlowCounts;

/// How often slow iterations are looked for: a loop's ring holds as many of 10 ms as there can be in so much time.
pub(super) const LOOK_EVERY_NS: u64 = 500_000_000;

/// A process that measures itself.
pub(super) struct Published {
    telemetry: Telemetry,
    /// The slow iterations that were taken.
    taken: SlowCursor,
    slow_counts: SlowCounts,
    /// Whether its numbers of threads are ours: in another pid namespace they are not.
    shares_numbers: bool,
    is_profiled: bool,
    told_of_refused: bool,
    /// The process's own name, as it was read last: that of one which has ended cannot be.
    name: Option<String>,
}

/// What was found at a look for slow iterations, beside them.
#[derive(Debug, Default)]
pub(super) struct SlowLosses {
    /// They came faster than they were taken.
    pub(super) missed: u64,
    /// What was found could not be believed.
    pub(super) refused: u64,
}

impl Published {
    /// One that is measured by these rules from now on.
    pub(super) fn new(telemetry: Telemetry, rules: &Rules) -> Self {
        let process = telemetry.process();
        let shares_numbers = process.own_pid().is_ok_and(|own| own == process.pid().get());
        let is_profiled = is_profiled(process, rules);
        let (taken, told_of_refused) = (SlowCursor::default(), false);
        let name = process.stat().ok().map(|stat| stat.name);
        let slow_counts = SlowCounts::default();
        Self { telemetry, taken, slow_counts, shares_numbers, is_profiled, told_of_refused, name }
    }

    /// Goes on by other rules.
    pub(super) fn reconfigure(&mut self, rules: &Rules) {
        self.is_profiled = is_profiled(self.telemetry.process(), rules);
    }

    /// What it publishes.
    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    fn process(&self) -> &Process {
        self.telemetry.process()
    }

    /// Adds everything that is known of the process.
    pub(super) fn read(
        &self,
        host: &Host,
        now: Monotonic,
        snapshot: &mut Snapshot,
    ) -> Result<ProcessNote, TelemetryError> {
        // First, because it tells whether the process still lives: the memory outlives it as long as we hold it.
        let figures = Figures::read(self.process(), host)?;
        let (identity, mut contents) = self.telemetry.read(now)?;
        drop_foreign_metrics(&mut contents);
        self.slow_counts.add_to(&mut contents);
        let service = if identity.service.is_empty() { &figures.name } else { &identity.service };
        let pid = self.process().pid().to_string();
        let labels = SharedLabels::new([("service", service.as_str()), ("pid", &pid)]);
        figures.add_to(snapshot, &labels);
        contents.add_to(snapshot, &labels);
        Ok(ProcessNote {
            pid: self.process().pid(),
            is_outside: false,
            is_node: false,
            user_ns: figures.user_ns,
            system_ns: figures.system_ns,
        })
    }

    /// Takes the slow iterations since the last time that were longer than `slow_ns`. At the first time they may be of before
    /// the agent came, which are not counted.
    pub(super) fn take_slow(
        &mut self,
        host: &Host,
        slow_ns: u64,
        began: Monotonic,
        entries: &mut Vec<slow_log::Entry>,
    ) -> SlowLosses {
        // That a segment cannot be read, the next reading tells.
        let Ok(reading) = self.telemetry.slow_iterations(&mut self.taken, clock::monotonic) else {
            return SlowLosses::default();
        };
        let losses = SlowLosses { missed: reading.missed, refused: reading.refused };
        let pid = self.process().pid();
        if losses.refused > 0 && !self.told_of_refused {
            self.told_of_refused = true;
            console::line(format_args!(
                "process {pid}: publishes slow iterations that contradict themselves or lie outside its memory: these are left out"
            ));
        }
        let mut slow = reading.iterations;
        slow.retain(|it| it.ended.since_ns(it.began) > slow_ns);
        self.slow_counts.count(&reading.loops, slow.iter().filter(|it| it.ended > began), slow_ns);
        if slow.is_empty() {
            return losses;
        }
        let Some(service) = self.telemetry.identity().ok().and_then(|identity| self.service(identity)) else {
            return losses;
        };
        if let Ok(stat) = self.process().stat() {
            self.name = Some(stat.name);
        }
        let process_started_unix_ns = self.process().started_unix_ns(host);
        let mut threads = Threads::of(&self.telemetry, self.shares_numbers);
        entries.extend(slow.into_iter().map(|it| slow_log::Entry {
            service: service.clone(),
            pid,
            process_started_unix_ns,
            loop_name: Some(it.loop_name),
            tid: threads.find(it.thread_id),
            started: it.began,
            ended: it.ended,
            phases: it.phases,
            trace: None,
        }));
        losses
    }

    /// What the profiler needs to know, if the process is to be profiled.
    pub(super) fn wanted(&self, host: &Host, now: Monotonic) -> Option<Wanted> {
        if !self.is_profiled {
            return None;
        }
        let (identity, contents) = self.telemetry.read(now).ok()?;
        let loops = contents.loops().into_iter();
        let mut threads = Threads::of(&self.telemetry, self.shares_numbers);
        let loops = loops.filter_map(|(own, name)| Some((threads.find(own)?, name)));
        Some(Wanted {
            pid: self.process().pid().get(),
            started_unix_ns: self.process().started_unix_ns(host),
            service: self.service(identity)?,
            loops: loops.collect(),
        })
    }

    /// The service's name: the process's own where it says none.
    fn service(&self, identity: Identity) -> Option<String> {
        match identity.service.is_empty() {
            true => self.process().stat().ok().map(|stat| stat.name).or_else(|| self.name.clone()),
            false => Some(identity.service),
        }
    }
}

/// The threads of a process at one look.
struct Threads<'a> {
    process: &'a Process,
    shares_numbers: bool,
    /// What was looked up; in another pid namespace all at once.
    known: HashMap<u32, Option<u32>>,
    ours: Option<HashMap<u32, u32>>,
}

impl<'a> Threads<'a> {
    fn of(telemetry: &'a Telemetry, shares_numbers: bool) -> Self {
        Self { process: telemetry.process(), shares_numbers, known: HashMap::new(), ours: None }
    }

    /// Our number of a thread that the process knows by its own; `None` of one that has ended.
    fn find(&mut self, own: u64) -> Option<u32> {
        let own = u32::try_from(own).ok()?;
        let process = self.process;
        if !self.shares_numbers {
            return self.ours.get_or_insert_with(|| process.threads()).get(&own).copied();
        }
        *self.known.entry(own).or_insert_with(|| {
            let path = format!("/proc/{}/task/{own}", process.pid());
            std::path::Path::new(&path).exists().then_some(own)
        })
    }
}

/// Whether a process is to be profiled. It is looked at only if some rule might make a difference.
pub(super) fn is_profiled(process: &Process, rules: &Rules) -> bool {
    rules.profile_all().unwrap_or_else(|| Facts::read(process).is_ok_and(|facts| rules.profiles(&facts)))
}

/// A target speaks for its loops, pool and heap. What the kernel tells of it, what the agent tells of itself and of
/// its measuring, and what the agent counts by a threshold of its own, is not the target's to say.
fn drop_foreign_metrics(contents: &mut Contents) {
    let accounting = catalogue::PROCESS_CPU.id..=catalogue::PROCESS_START_TIME.id;
    let of_the_agent = catalogue::LOOPSCOPE_BUILD_INFO.id..catalogue::TOKIO_WORKERS.id;
    let is_own = |metric: &Metric| {
        !matches!(metric.scope, Scope::Agent | Scope::Collector)
            && metric.id != catalogue::EVENTLOOP_SLOW_ITERATIONS.id
            && !accounting.contains(&metric.id)
            && !of_the_agent.contains(&metric.id)
    };
    for scope in &mut contents.scopes {
        scope.readings.retain(|reading| is_own(reading.metric));
    }
}
