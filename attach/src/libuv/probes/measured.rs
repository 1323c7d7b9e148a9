//! What probes have measured of one process.

use std::collections::BTreeMap;

use model::catalogue::{self, Metric};
use model::histogram::Histogram;
use model::label::{GcKind, LabelValue, LoopState, Outcome, Phase, TASK_CLASS, TaskKind};
use model::snapshot::{SharedLabels, Snapshot, Value};

use super::attachment::Classes;
use super::{Attachment, Readings, abi};

/// What probes have measured since they were placed.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// One for each thread that ran a loop.
    pub loops: Vec<LoopMeasured>,
    /// The thread pool; empty without the tier `pool`.
    pub pool: PoolMeasured,
}

/// One loop.
#[derive(Clone, Debug, Default)]
pub struct LoopMeasured {
    /// Its thread.
    pub tid: u32,
    /// Where it lies in the process's memory; zero where no iteration was measured: without the tier `loop`, or before the first.
    pub address: u64,
    /// Time away from the poll, in nanoseconds, up to the last poll.
    pub active_ns: u64,
    /// Time that polls waited, in nanoseconds, up to the last poll.
    pub idle_ns: u64,
    /// Whole iterations.
    pub iterations: u64,
    /// Iterations over the threshold.
    pub slow_iterations: u64,
    /// Time away from the poll, each iteration.
    pub lag: Histogram,
    /// How late the earliest due timer was.
    pub timer_lateness: Histogram,
    /// Time in phases.
    pub phases: BTreeMap<Phase, Histogram>,
    /// Pauses of the garbage collector.
    pub gc: BTreeMap<GcKind, Histogram>,
    /// From a task's end to its loop's taking notice.
    pub completion_delay: BTreeMap<TaskKind, Histogram>,
}

/// The thread pool of a process.
#[derive(Clone, Debug, Default)]
pub struct PoolMeasured {
    /// From submission to start.
    pub wait: BTreeMap<TaskKind, Histogram>,
    /// From start to end.
    pub run: BTreeMap<TaskKind, Histogram>,
    /// Tasks that never started.
    pub cancelled: BTreeMap<TaskKind, u64>,
    /// Run times by what tasks are called, of those whose C++ class is known.
    pub classes: BTreeMap<String, Histogram>,
}

/// What is known of a loop from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLoop {
    /// The value of the label `loop`.
    pub name: String,
    /// Whether its active and idle time are told already.
    pub time_is_told: bool,
    /// Whether its iterations are told already.
    pub iterations_are_told: bool,
}

impl Readings {
    /// What was measured of one process.
    pub fn of(&self, attachment: &Attachment) -> Measured {
        let slot = attachment.slot();
        let mut loops: BTreeMap<u32, LoopMeasured> = BTreeMap::new();
        for (tid, thread) in self.threads.get(&slot).into_iter().flatten() {
            let measured = LoopMeasured {
                tid: *tid,
                address: thread.loop_address,
                active_ns: thread.active_ns,
                idle_ns: thread.idle_ns,
                iterations: thread.iterations,
                slow_iterations: thread.slow,
                ..LoopMeasured::default()
            };
            loops.insert(*tid, measured);
        }
        let mut pool = PoolMeasured::default();
        for (key, cells) in self.histograms.get(&slot).into_iter().flatten() {
            let histogram = Histogram::from_counts(cells.sum_ns, cells.zeros, cells.slots);
            match key.which {
                abi::WAIT..=abi::RUN | abi::CANCELLED => pool.add(key, histogram, attachment.classes()),
                _ => {
                    let fresh = || LoopMeasured { tid: key.thread, ..LoopMeasured::default() };
                    loops.entry(key.thread).or_insert_with(fresh).add(key, histogram, attachment.classes());
                }
            }
        }
        Measured { loops: loops.into_values().collect(), pool }
    }
}

impl LoopMeasured {
    fn add(&mut self, key: &abi::HistogramKey, histogram: Histogram, classes: &Classes) {
        match key.which {
            abi::LAG => self.lag = histogram,
            abi::LATENESS => self.timer_lateness = histogram,
            abi::COMPLETION => {
                self.completion_delay.entry(classes.kind(key.class)).or_default().merge(&histogram);
            }
            which if which >= abi::GC_0 => {
                // V8: scavenger, mark and compact, minor mark and sweep.
                let kind = if which == abi::GC_0 + 1 { GcKind::Major } else { GcKind::Minor };
                self.gc.entry(kind).or_default().merge(&histogram);
            }
            which => {
                if let Some(&phase) = Phase::ALL.get((which - abi::PHASE_0) as usize) {
                    self.phases.insert(phase, histogram);
                }
            }
        }
    }

    fn add_to(&self, snapshot: &mut Snapshot, target: &SharedLabels, known: &KnownLoop) {
        let labels = target.with("loop", &known.name);
        let mut push =
            |metric: &'static Metric, own: &[&'static str], value| snapshot.push(metric, &labels, own, value);
        if self.address != 0 {
            push(&catalogue::EVENTLOOP_LAG, &[], Value::Histogram(self.lag.clone()));
            push(&catalogue::EVENTLOOP_SLOW_ITERATIONS, &[], Value::Counter(self.slow_iterations));
        }
        if self.timer_lateness.count() > 0 {
            push(&catalogue::EVENTLOOP_TIMER_LATENESS, &[], Value::Histogram(self.timer_lateness.clone()));
        }
        for (phase, histogram) in &self.phases {
            push(
                &catalogue::EVENTLOOP_PHASE_DURATION,
                &[phase.as_str()],
                Value::Histogram(histogram.clone()),
            );
        }
        if self.address != 0 && !known.time_is_told {
            for (state, ns) in [(LoopState::Active, self.active_ns), (LoopState::Idle, self.idle_ns)] {
                push(&catalogue::EVENTLOOP_TIME, &[state.as_str()], Value::Counter(ns));
            }
        }
        if self.address != 0 && !known.iterations_are_told {
            push(&catalogue::EVENTLOOP_ITERATIONS, &[], Value::Counter(self.iterations));
        }
        for (kind, histogram) in &self.gc {
            push(&catalogue::GC_PAUSE, &[kind.as_str()], Value::Histogram(histogram.clone()));
        }
        add_by_kind(&self.completion_delay, &catalogue::THREADPOOL_COMPLETION_DELAY, &labels, snapshot);
    }
}

impl PoolMeasured {
    fn add(&mut self, key: &abi::HistogramKey, histogram: Histogram, classes: &Classes) {
        let kind = classes.kind(key.class);
        match key.which {
            abi::WAIT => self.wait.entry(kind).or_default().merge(&histogram),
            abi::RUN => {
                self.run.entry(kind).or_default().merge(&histogram);
                if let Some(task) = classes.task(key.class) {
                    self.classes.entry(task.to_owned()).or_default().merge(&histogram);
                }
            }
            _ => *self.cancelled.entry(kind).or_default() += histogram.count(),
        }
    }

    fn add_to(&self, snapshot: &mut Snapshot, target: &SharedLabels) {
        add_by_kind(&self.wait, &catalogue::THREADPOOL_QUEUE_WAIT, target, snapshot);
        add_by_kind(&self.run, &catalogue::THREADPOOL_RUN, target, snapshot);
        add_by_class(&self.classes, &catalogue::THREADPOOL_CLASS_RUN, target, snapshot);
        let done = self.run.iter().map(|(kind, run)| (kind, Outcome::Done, run.count()));
        let cancelled = self.cancelled.iter().map(|(kind, count)| (kind, Outcome::Cancelled, *count));
        for (kind, outcome, count) in done.chain(cancelled) {
            let own = [kind.as_str(), outcome.as_str()];
            snapshot.push(&catalogue::THREADPOOL_TASKS, target, &own, Value::Counter(count));
        }
    }
}

impl Measured {
    /// Whole iterations of all loops.
    pub fn iterations(&self) -> u64 {
        self.loops.iter().map(|measured| measured.iterations).sum()
    }

    /// Adds everything to a snapshot. A loop that `known` has no name for is left out.
    pub fn add_to(
        &self,
        snapshot: &mut Snapshot,
        target: &SharedLabels,
        known: &dyn Fn(&LoopMeasured) -> Option<KnownLoop>,
    ) {
        for (measured, known) in self.known_loops(known) {
            measured.add_to(snapshot, target, &known);
        }
        self.pool.add_to(snapshot, target);
    }

    /// Adds what was measured of the pool by turns, by the names of what is a sample. A loop that `known` has no name for is left out.
    pub fn add_sampled_to(
        &self,
        snapshot: &mut Snapshot,
        target: &SharedLabels,
        known: &dyn Fn(&LoopMeasured) -> Option<KnownLoop>,
    ) {
        for (measured, known) in self.known_loops(known) {
            let (delay, labels) = (&measured.completion_delay, target.with("loop", &known.name));
            add_by_kind(delay, &catalogue::THREADPOOL_COMPLETION_DELAY_SAMPLED, &labels, snapshot);
        }
        add_by_kind(&self.pool.wait, &catalogue::THREADPOOL_QUEUE_WAIT_SAMPLED, target, snapshot);
        add_by_kind(&self.pool.run, &catalogue::THREADPOOL_RUN_SAMPLED, target, snapshot);
        add_by_class(&self.pool.classes, &catalogue::THREADPOOL_CLASS_RUN_SAMPLED, target, snapshot);
    }

    fn known_loops<'a>(
        &'a self,
        known: &'a dyn Fn(&LoopMeasured) -> Option<KnownLoop>,
    ) -> impl Iterator<Item = (&'a LoopMeasured, KnownLoop)> {
        self.loops.iter().filter_map(|measured| Some((measured, known(measured)?)))
    }
}

fn add_by_kind(
    histograms: &BTreeMap<TaskKind, Histogram>,
    metric: &'static Metric,
    labels: &SharedLabels,
    snapshot: &mut Snapshot,
) {
    for (kind, histogram) in histograms {
        snapshot.push(metric, labels, &[kind.as_str()], Value::Histogram(histogram.clone()));
    }
}

fn add_by_class(
    histograms: &BTreeMap<String, Histogram>,
    metric: &'static Metric,
    target: &SharedLabels,
    snapshot: &mut Snapshot,
) {
    for (class, histogram) in histograms {
        let labels = target.with(TASK_CLASS.name, class);
        snapshot.push(metric, &labels, &[], Value::Histogram(histogram.clone()));
    }
}
