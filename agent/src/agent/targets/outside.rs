//! A process that is measured from outside: its libuv is read, and probed where that was asked for and is possible.
//!
//! What two tiers could both tell, the cheaper one tells: utilization and iterations come from libuv's own counters where
//! it keeps them.

mod keeping_to_budget;
mod noted;
mod reconfigure;

use attach::libuv::locate::Located;
use attach::libuv::observe::{Note, Observer};
use attach::libuv::probes::{Attachment, HIT_NS, LoopMeasured, Readings, SlowIteration};
use attach::libuv::tiers::Tiers;
use attach::target::{Figures, Host, Pid, Process, ProcessError, data_bytes};
use model::catalogue;
use model::histogram::Histogram;
use model::label::{LabelValue, Tier};
use model::snapshot::{SharedLabels, Snapshot, Value};
use model::time::Monotonic;

use super::ProcessNote;
use super::budget::{Budget, Costs};
use super::prober::Prober;
use super::prom_client::NodeProcess;
use super::published::is_profiled;
use super::recent::Recent;
use crate::agent::profiler::Wanted;
use crate::agent::{Names, slow_log};
use crate::config::Settings;
use crate::{clock, console};

/// How often the cost of probes is looked at.
const TEND_EVERY_NS: u64 = 1_000_000_000;

/// The name of the main thread's loop.
const MAIN_LOOP: &str = "main";

/// A reading may be taken early by this share of the interval, together with others that are due: so the agent wakes up less often.
const EARLY_SHARE: u64 = 4;

/// How often threads that have ended are looked for.
const SWEEP_EVERY_NS: u64 = 10_000_000_000;

/// A process with libuv, and everything that measures it.
pub(super) struct Outside {
    process: Process,
    located: Located,
    /// Device and inode of the program that it executes.
    program: (u64, u64),
    service: String,
    labels: SharedLabels,
    asked: Tiers,
    observer: Observer,
    next_reading: Monotonic,
    attachment: Option<Attachment>,
    /// Why there are no probes at all, where they were asked for.
    no_probes: Option<String>,
    /// The probes of the pool that stand by turns, and what they measured; none before the budget asks for turns.
    sampling: Option<Attachment>,
    /// The main loop's lag, as it was.
    recent_lag: Recent,
    budget: Budget,
    slow_ns: u64,
    is_profiled: bool,
    next_tending: Monotonic,
    next_sweep: Monotonic,
    told_of_bypass: bool,
}

impl Outside {
    /// Begins to observe a process. Probes come later, by [`Outside::attach`].
    pub(super) fn new(
        process: Process,
        located: Located,
        service: String,
        tiers: Tiers,
        settings: &Settings,
        now: Monotonic,
    ) -> Result<Self, ProcessError> {
        let program = process.program()?;
        let is_profiled = is_profiled(&process, &settings.rules);
        let labels = SharedLabels::new([("service", &*service), ("pid", &process.pid().to_string())]);
        // The observer also knows the loops' names, which the probes' figures need.
        let observer = Observer::new(&process, located.clone(), now)?;
        Ok(Self {
            process,
            located,
            program,
            service,
            labels,
            asked: tiers.with_needed(),
            observer,
            next_reading: now,
            attachment: None,
            no_probes: None,
            sampling: None,
            recent_lag: Recent::default(),
            budget: Budget::new(settings.budget),
            slow_ns: settings.slow.as_nanos() as u64,
            is_profiled,
            next_tending: now,
            next_sweep: now.plus_ns(SWEEP_EVERY_NS),
            told_of_bypass: false,
        })
    }

    pub(super) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Whether the process still runs the program that was looked at.
    pub(super) fn holds(&self) -> bool {
        self.process.program().is_ok_and(|program| program == self.program) && self.process.stat().is_ok()
    }

    /// What would be measured, in a line.
    pub(super) fn plan(&self) -> String {
        format!("process {} ({}): from outside: {}", self.pid(), self.service, self.asked)
    }

    /// When to [tend](Outside::tend) it next.
    pub(super) fn due(&self) -> Monotonic {
        if self.attachment.is_some() { self.next_reading.min(self.next_tending) } else { self.next_reading }
    }

    /// Places the probes that were asked for.
    fn place_probes(&mut self, prober: &mut Prober) {
        let wanted = self.asked.probes();
        if !wanted.is_empty() {
            match prober.attach(&self.observer, wanted, self.slow_ns) {
                Ok(attachment) => (self.attachment, self.no_probes) = (Some(attachment), None),
                Err(reason) => self.no_probes = Some(reason),
            }
            self.recent_lag.begin(clock::monotonic(), Histogram::default());
        }
    }

    fn tell(&self) {
        console::line(format_args!(
            "process {} ({}): measured from outside: {}",
            self.pid(),
            self.service,
            self.active()
        ));
    }

    /// Places the probes that were asked for, and says what is measured.
    pub(super) fn attach(&mut self, prober: &mut Prober) {
        self.place_probes(prober);
        self.tell();
    }

    /// Says what the figures of this process leave out, as soon as it is known; all else that is missing, `loopscope inspect` tells.
    fn tell_of_a_bypass(&mut self) {
        if !self.told_of_bypass && self.observer.bypasses_pool() {
            self.told_of_bypass = true;
            console::line(format_args!("process {} ({}): {}", self.pid(), self.service, Note::IoUring));
        }
    }

    /// Takes a reading if one is due or soon will be, and sees to what the probes cost.
    pub(super) fn tend(&mut self, now: Monotonic, prober: &mut Prober) -> Result<(), ProcessError> {
        let interval_ns = self.observer.next_reading().as_nanos() as u64;
        if now.plus_ns(interval_ns / EARLY_SHARE) >= self.next_reading {
            self.observe(now)?;
            self.tell_of_a_bypass();
        }
        if now >= self.next_tending {
            self.next_tending = now.plus_ns(TEND_EVERY_NS);
            self.take_up_seen(prober)?;
            self.keep_to_the_budget(now, prober);
        }
        if now >= self.next_sweep {
            self.next_sweep = now.plus_ns(SWEEP_EVERY_NS);
            self.sweep(prober);
        }
        Ok(())
    }

    /// Begins to keep what probes have measured.
    pub(super) fn begin_keeping(&mut self, now: Monotonic, readings: &Readings) {
        if let Some(lag) = self.main_lag(readings) {
            self.recent_lag.begin(now, lag);
        }
    }

    /// Keeps what probes have measured, to tell later what it was in the last minute.
    pub(super) fn keep(&mut self, now: Monotonic, readings: &Readings) {
        if let Some(lag) = self.main_lag(readings) {
            self.recent_lag.keep(now, lag);
        }
    }

    /// The lag of the main loop since its probes were placed.
    fn main_lag(&self, readings: &Readings) -> Option<Histogram> {
        let is_main = |measured: &LoopMeasured| {
            self.observer.known(measured).is_some_and(|known| known.name == MAIN_LOOP)
        };
        let loops = readings.of(self.attachment.as_ref()?).loops;
        loops.into_iter().find(is_main).map(|measured| measured.lag)
    }

    /// Takes up the loops of slow iterations that are ones of this process.
    pub(super) fn take_up_loops_of(&mut self, iterations: &[SlowIteration], prober: &Prober) {
        let Some(attachment) = &self.attachment else { return };
        for iteration in iterations.iter().filter(|iteration| iteration.slot == attachment.slot()) {
            // Of a process that has ended meanwhile the iteration is kept without its loop's name.
            let _ = prober.show_loop(attachment, &mut self.observer, iteration);
        }
    }

    /// What to keep of a slow iteration, if it is one of this process.
    pub(super) fn slow_entry(&self, iteration: &SlowIteration, host: &Host) -> Option<slow_log::Entry> {
        let attachment = self.attachment.as_ref().filter(|it| it.slot() == iteration.slot)?;
        if !self.observer.tells_of(iteration) {
            return None;
        }
        Some(slow_log::Entry {
            service: self.service.clone(),
            pid: attachment.pid(),
            process_started_unix_ns: self.process.started_unix_ns(host),
            loop_name: self.observer.name_of(iteration.loop_address).map(str::to_owned),
            tid: self.observer.thread_of(iteration),
            started: iteration.started,
            ended: iteration.ended,
            phases: iteration.phases.clone(),
            trace: None,
        })
    }

    /// What the profiler needs to know, if the process is to be profiled.
    pub(super) fn wanted(&self, host: &Host) -> Option<Wanted> {
        self.is_profiled.then(|| Wanted {
            pid: self.pid().get(),
            started_unix_ns: self.process.started_unix_ns(host),
            service: self.service.clone(),
            loops: self.observer.threads().map(|(tid, name)| (tid, name.to_owned())).collect(),
        })
    }

    /// Adds everything that is known of the process, by these names.
    pub(super) fn read(
        &mut self,
        names: Names,
        host: &Host,
        now: Monotonic,
        prober: &Prober,
        readings: Option<&Readings>,
        snapshot: &mut Snapshot,
    ) -> Result<ProcessNote, ProcessError> {
        let figures = Figures::read(&self.process, host)?;
        let mut measured = Snapshot::default();
        figures.add_to(&mut measured, &self.labels);
        self.observe(now)?;
        self.take_up_seen(prober)?;
        self.add_measured(prober, readings, &mut measured);
        if names.has_prom_client() && self.located.is_node() {
            let lag = readings.and_then(|readings| self.main_lag(readings));
            let process = NodeProcess {
                labels: &self.labels,
                figures: &figures,
                data_bytes: data_bytes(&self.process),
                version: self.located.node_version(),
                handles: self.observer.referenced_handles(),
                recent_lag: lag.map(|lag| self.recent_lag.of(now, &lag)),
                measured: &measured,
            };
            process.add_to(snapshot);
            if !names.has_loopscope() {
                process.add_shared_to(snapshot);
            }
        }
        if names.has_loopscope() {
            snapshot.append(measured);
        }
        Ok(ProcessNote {
            pid: self.pid(),
            is_outside: true,
            is_node: self.located.is_node(),
            user_ns: figures.user_ns,
            system_ns: figures.system_ns,
        })
    }

    /// Adds what was observed, and what probes measured.
    fn add_measured(&self, prober: &Prober, readings: Option<&Readings>, snapshot: &mut Snapshot) {
        self.observer.add_to(snapshot, &self.labels);
        let known = |measured: &LoopMeasured| self.observer.known(measured);
        if let (Some(attachment), Some(readings)) = (&self.attachment, readings) {
            readings.of(attachment).add_to(snapshot, &self.labels, &known);
        }
        if let (Some(sampling), Some(readings)) = (&self.sampling, readings) {
            readings.of(sampling).add_sampled_to(snapshot, &self.labels, &known);
        }
        if let Some(attachment) = &self.attachment {
            let [standing, by_turns] = [Some(attachment), self.sampling.as_ref()]
                .map(|placed| placed.map_or_else(Costs::default, |placed| prober.hits(placed)));
            for tier in self.asked.probes().iter() {
                let hits = standing[tier as usize] + by_turns[tier as usize];
                let cost_ns = hits * HIT_NS;
                let own = [tier.as_str()];
                snapshot.push(&catalogue::LOOPSCOPE_PROBE_HITS, &self.labels, &own, Value::Counter(hits));
                snapshot.push(&catalogue::LOOPSCOPE_PROBE_COST, &self.labels, &own, Value::Counter(cost_ns));
            }
        }
        let active = self.active();
        for tier in self.asked.iter() {
            let is_active = Value::Gauge(i64::from(active.has(tier)));
            snapshot.push(&catalogue::LOOPSCOPE_TIER_ACTIVE, &self.labels, &[tier.as_str()], is_active);
        }
    }

    /// Takes the probes away.
    pub(super) fn detach(&mut self, prober: &mut Prober) {
        for attachment in [self.attachment.take(), self.sampling.take()].into_iter().flatten() {
            prober.detach(attachment);
        }
    }

    fn active(&self) -> Tiers {
        self.attachment.as_ref().map_or(Tiers::NONE, Attachment::tiers).with(Tier::Observe)
    }

    /// Takes up loops that probes have seen, and no reading yet.
    fn take_up_seen(&mut self, prober: &Prober) -> Result<(), ProcessError> {
        let placed = self.attachment.as_ref();
        placed.map_or(Ok(()), |attachment| prober.show_loops(attachment, &mut self.observer))
    }

    fn observe(&mut self, now: Monotonic) -> Result<(), ProcessError> {
        let read = self.observer.read(now);
        self.next_reading = now.plus_ns(self.observer.next_reading().as_nanos() as u64);
        // Memory is read by the process's number, which may have become another's.
        read.and_then(|()| self.process.expect_there())
    }

    /// Forgets what probes measured of threads that have ended.
    fn sweep(&self, prober: &mut Prober) {
        let lives = |tid| self.observer.has_thread(tid);
        for attachment in [&self.attachment, &self.sampling].into_iter().flatten() {
            prober.forget_ended_threads(attachment, &lives);
        }
    }
}
