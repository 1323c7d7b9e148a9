//! A program on our runtime, which tells its slow iterations itself.
//!
//! It tells an iteration when that has ended: one that goes on when the recording ends is not known.

use std::collections::HashMap;
use std::time::Duration;

use attach::target::Pid;
use attach::telemetry::Telemetry;
use model::catalogue::EVENTLOOP_ITERATIONS;
use model::segment::SlowCursor;
use model::snapshot::Value;
use model::time::Monotonic;

use super::Iteration;
use crate::clock;

/// Loops of a process whose iterations are remembered.
const LOOPS_MAX: usize = 100_000;

/// A process that publishes telemetry.
pub(super) struct Published {
    telemetry: Telemetry,
    cursor: SlowCursor,
    /// Iterations that ended before are not told of.
    since: Monotonic,
    /// Iterations of its loops before it was watched.
    before: u64,
    /// The most that was counted for each loop, by its index: one that has closed is gone when another takes its place.
    counted: HashMap<u64, u64>,
    /// Whether its numbers of threads are ours.
    shares_numbers: bool,
    /// Our numbers of its threads, by its own.
    threads: HashMap<u64, Option<u32>>,
}

/// What was found beside iterations.
pub(super) struct Taken {
    pub(super) missed: u64,
    /// From when on the program tells an iteration.
    pub(super) told_from: Duration,
}

impl Published {
    /// Opens a process; `None` of one that has no loop which tells iterations one by one. One that began after `began`, from its beginning.
    pub(super) fn open(pid: Pid, began: Monotonic) -> Option<Self> {
        let telemetry = Telemetry::open(pid).ok()?;
        let identity = telemetry.identity().ok()?;
        let has_loops =
            telemetry.slow_iterations(&mut SlowCursor::default(), clock::monotonic).ok()?.loops > 0;
        let shares_numbers = telemetry.process().own_pid().is_ok_and(|own| own == pid.get());
        let (cursor, threads) = (SlowCursor::default(), HashMap::new());
        let counted = HashMap::new();
        let mut published =
            Self { telemetry, cursor, since: began, before: 0, counted, shares_numbers, threads };
        published.count();
        if identity.created_ns < began.as_ns() {
            published.before = published.iterations();
        }
        has_loops.then_some(published)
    }

    /// Whether the process has ended. What it published can still be read.
    pub(super) fn has_ended(&self) -> bool {
        self.telemetry.process().stat().is_err()
    }

    /// Iterations of its loops since it was watched, as they were counted last.
    pub(super) fn iterations(&self) -> u64 {
        self.counted
            .values()
            .fold(0, |sum: u64, count| sum.saturating_add(*count))
            .saturating_sub(self.before)
    }

    /// Reads how many there were.
    fn count(&mut self) {
        let Ok(contents) = self.telemetry.read_loops(Monotonic::default()) else { return };
        for scope in &contents.scopes {
            let mut readings = scope.readings.iter();
            let iterations = readings.find(|reading| reading.metric.id == EVENTLOOP_ITERATIONS.id);
            let Some(Value::Counter(count)) = iterations.map(|reading| &reading.value) else { continue };
            if self.counted.len() < LOOPS_MAX || self.counted.contains_key(&scope.index) {
                let known = self.counted.entry(scope.index).or_default();
                *known = (*known).max(*count);
            }
        }
    }

    /// Takes the iterations since the last time that were longer than the threshold.
    pub(super) fn take(&mut self, threshold: Duration, keep: &mut impl FnMut(Iteration)) -> Taken {
        let reading = self.telemetry.slow_iterations(&mut self.cursor, clock::monotonic).unwrap_or_default();
        let mut ours = None;
        for it in reading.iterations {
            let is_slow = u128::from(it.ended.since_ns(it.began)) > threshold.as_nanos();
            let process = self.telemetry.process();
            let own = u32::try_from(it.thread_id).ok();
            // It may have ended since.
            let look_up = || {
                own.and_then(|own| {
                    if self.shares_numbers {
                        Some(own)
                    } else {
                        ours.get_or_insert_with(|| process.threads()).get(&own).copied()
                    }
                })
            };
            let tid = self.threads.entry(it.thread_id).or_insert_with(look_up);
            if let (true, true, Some(tid)) = (is_slow, it.ended > self.since, *tid) {
                keep(Iteration { tid, started: it.began, ended: it.ended });
            }
        }
        // Behind them: none is told of that is not counted.
        self.count();
        Taken { missed: reading.missed, told_from: Duration::from_nanos(reading.slow_ns) }
    }
}
