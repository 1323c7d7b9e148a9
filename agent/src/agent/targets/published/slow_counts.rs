//! How many iterations of each loop were longer than the agent's threshold. A program does not know that threshold; it tells
//! iterations one by one, and the agent counts.
//!
//! A loop that takes only longer ones for slow tells less than is asked for: there is no count of it, rather than one that is too low.

use std::collections::HashMap;

use model::catalogue::EVENTLOOP_SLOW_ITERATIONS;
use model::segment::{Contents, Reading, ScopeKind, SlowIteration, TellingLoop};
use model::snapshot::Value;

/// The counts of one process's loops.
#[derive(Debug, Default)]
pub(super) struct SlowCounts {
    /// By the loop's index: of those that are there and tell enough.
    counts: HashMap<u64, u64>,
}

impl SlowCounts {
    /// Counts what was taken at one look, where `loops` are all that tell of slow iterations.
    pub(super) fn count<'a>(
        &mut self,
        loops: &[TellingLoop],
        slow: impl Iterator<Item = &'a SlowIteration>,
        slow_ns: u64,
    ) {
        let mut before = std::mem::take(&mut self.counts);
        let telling = loops.iter().filter(|of_loop| of_loop.slow_ns <= slow_ns);
        self.counts = telling.map(|it| (it.index, before.remove(&it.index).unwrap_or(0))).collect();
        for iteration in slow {
            if let Some(count) = self.counts.get_mut(&iteration.loop_index) {
                *count += 1;
            }
        }
    }

    /// Adds them to what was read of the loops.
    pub(super) fn add_to(&self, contents: &mut Contents) {
        for scope in contents.scopes.iter_mut().filter(|scope| scope.kind == ScopeKind::Loop) {
            let Some(&count) = self.counts.get(&scope.index) else { continue };
            let value = Value::Counter(count);
            scope.readings.push(Reading { metric: &EVENTLOOP_SLOW_ITERATIONS, labels: Vec::new(), value });
        }
    }
}

#[cfg(test)]
mod tests {
    use model::segment::ScopeReading;
    use model::time::Monotonic;

    use super::*;

    const SLOW_NS: u64 = 50;

    fn telling(index: u64, slow_ns: u64) -> TellingLoop {
        TellingLoop { index, slow_ns }
    }

    fn slow(loop_index: u64) -> SlowIteration {
        let (began, ended) = (Monotonic::from_ns(100), Monotonic::from_ns(200));
        SlowIteration { thread_id: 1, loop_index, loop_name: String::new(), began, ended, phases: Vec::new() }
    }

    /// The counts of loops 0 to 3.
    fn told(counts: &SlowCounts) -> [Option<u64>; 4] {
        let scope = |index| ScopeReading {
            kind: ScopeKind::Loop,
            index,
            thread_id: 1,
            name: String::new(),
            closing: None,
            readings: Vec::new(),
        };
        let scopes = (0..4).map(scope).collect();
        let mut contents = Contents { scopes, unknown_entries: 0, dropped_instruments: 0 };
        counts.add_to(&mut contents);
        std::array::from_fn(|at| match contents.scopes[at].readings.first()?.value {
            Value::Counter(count) => Some(count),
            _ => None,
        })
    }

    #[test]
    fn each_loop_has_its_own_count_which_begins_at_zero() {
        let mut counts = SlowCounts::default();
        let loops = [telling(0, 10), telling(1, SLOW_NS)];
        counts.count(&loops, [].iter(), SLOW_NS);
        assert_eq!(told(&counts), [Some(0), Some(0), None, None]);
        counts.count(&loops, [slow(1), slow(1)].iter(), SLOW_NS);
        counts.count(&loops, [slow(0)].iter(), SLOW_NS);
        assert_eq!(told(&counts), [Some(1), Some(2), None, None]);
    }

    #[test]
    fn a_loop_that_tells_less_than_is_asked_for_has_no_count() {
        let mut counts = SlowCounts::default();
        let loops = [telling(0, SLOW_NS + 1), telling(1, 10)];
        counts.count(&loops, [slow(0), slow(1)].iter(), SLOW_NS);
        assert_eq!(told(&counts), [None, Some(1), None, None]);
    }

    #[test]
    fn loops_that_are_gone_are_forgotten() {
        let mut counts = SlowCounts::default();
        (0..10_000).for_each(|index| counts.count(&[telling(index, 10)], [slow(index)].iter(), SLOW_NS));
        assert_eq!(counts.counts, HashMap::from([(9999, 1)]));
    }
}
