//! A program on our runtime, which tells its slow iterations itself.
//!
//! It tells an iteration when that has ended, and all the time since when its loop is away from the poll: so an iteration that goes on when the
//! recording ends is known as well.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use attach::target::Pid;
use attach::telemetry::Telemetry;
use model::catalogue::EVENTLOOP_ITERATIONS;
use model::segment::{Away, SlowCursor};
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
    /// The most that was counted for each loop, by its index: one that has closed is gone when another has taken its place.
    counted: HashMap<u64, u64>,
    /// What its loops are called, by their index.
    names: HashMap<u64, Rc<str>>,
    /// When it was seen alive last: that it has ended is noticed later.
    alive: Monotonic,
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
            !telemetry.slow_iterations(&mut SlowCursor::default(), clock::monotonic).ok()?.loops.is_empty();
        let shares_numbers = telemetry.process().own_pid().is_ok_and(|own| own == pid.get());
        let (cursor, threads) = (SlowCursor::default(), HashMap::new());
        let (counted, names) = (HashMap::new(), HashMap::new());
        let alive = clock::monotonic();
        let (since, before) = (began, 0);
        let mut published =
            Self { telemetry, cursor, since, before, counted, names, alive, shares_numbers, threads };
        published.count();
        if identity.created_ns < began.as_ns() {
            published.before = published.iterations();
        }
        has_loops.then_some(published)
    }

    /// Whether the process has ended. What it published can still be read.
    pub(super) fn has_ended(&mut self) -> bool {
        let now = clock::monotonic();
        // A command that nobody has waited for is still there, and so is one of which only the first thread has ended.
        let stat = self.telemetry.process().stat();
        let is_alive = stat.is_ok_and(|stat| !stat.has_ended() || stat.threads > 1);
        if is_alive {
            self.alive = now;
        }
        !is_alive
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
        let contents = self.telemetry.read_loops(&EVENTLOOP_ITERATIONS, Monotonic::default());
        let Ok(contents) = contents else { return };
        for scope in &contents.scopes {
            let Some(Value::Counter(count)) = scope.readings.first().map(|reading| &reading.value) else {
                continue;
            };
            if self.counted.len() < LOOPS_MAX || self.counted.contains_key(&scope.index) {
                let known = self.counted.entry(scope.index).or_default();
                *known = (*known).max(*count);
                if !scope.name.is_empty() {
                    self.names.insert(scope.index, scope.name.as_str().into());
                }
            }
        }
    }

    /// Takes the iterations since the last time that were longer than the threshold.
    pub(super) fn take(&mut self, threshold: Duration, keep: &mut impl FnMut(Iteration)) -> Taken {
        self.take_beside(&[], threshold, keep)
    }

    /// Takes the last iterations, and gives those that were longer than the threshold and had not ended when the process was seen alive last.
    /// One that ended just then may be among both.
    pub(super) fn finish(
        &mut self,
        threshold: Duration,
        keep: &mut impl FnMut(Iteration),
    ) -> (Taken, Vec<Iteration>) {
        // Before the others: what ends meanwhile is among them.
        let away = self.telemetry.away(clock::monotonic).unwrap_or_default();
        let taken = self.take_beside(&away, threshold, keep);
        let unfinished = away.iter().filter_map(|away| {
            let tid = (*self.threads.get(&away.thread_id)?)?;
            let is_slow = u128::from(self.alive.since_ns(away.since)) > threshold.as_nanos();
            is_slow.then(|| Iteration {
                tid,
                loop_name: self.names.get(&away.loop_index).cloned(),
                started: away.since,
                ended: self.alive,
                phase: None,
            })
        });
        (taken, unfinished.collect())
    }

    /// Takes the iterations that have ended, and looks up their threads and those of loops that are away.
    fn take_beside(&mut self, away: &[Away], threshold: Duration, keep: &mut impl FnMut(Iteration)) -> Taken {
        let reading = self.telemetry.slow_iterations(&mut self.cursor, clock::monotonic).unwrap_or_default();
        let mut ours = None;
        let process = self.telemetry.process();
        let mut find = |own_id: u64| {
            let own = u32::try_from(own_id).ok();
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
            *self.threads.entry(own_id).or_insert_with(look_up)
        };
        for away in away {
            find(away.thread_id);
        }
        for it in reading.iterations {
            let is_slow = u128::from(it.ended.since_ns(it.began)) > threshold.as_nanos();
            if let (true, true, Some(tid)) = (is_slow, it.ended > self.since, find(it.thread_id)) {
                keep(Iteration {
                    tid,
                    loop_name: Some(it.loop_name.as_str().into()),
                    started: it.began,
                    ended: it.ended,
                    phase: it.phases.first().copied(),
                });
            }
        }
        // Behind them: none is told of that is not counted.
        self.count();
        let told_from = reading.loops.iter().map(|of_loop| of_loop.slow_ns).max().unwrap_or_default();
        Taken { missed: reading.missed, told_from: Duration::from_nanos(told_from) }
    }
}
