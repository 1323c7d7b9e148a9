//! Sums over time: when each began, and what was added to it since the last export. Pure.
//!
//! A sum tells something only with the time when it was zero. That is known: a process counts from its start, the agent counts from
//! its own start or from that of the process, whichever is later. Where a sum shrinks, it was begun anew after it was last seen.
//!
//! Differences of what a process counted before the agent saw it first are not told: another agent may have told them.

use std::collections::HashMap;

use formats::otlp::Temporality;
use model::histogram::Histogram;
use model::snapshot::Value;

use crate::config::Preference;

/// How many exports long a sum is remembered that is not told any more: a process may fail to be read for once.
const REMEMBERED: u64 = 10;

/// What tells a sum from others: its metric and its labels, and the process's, with the time when that started.
pub(super) type Key = (u16, String);

/// All sums.
#[derive(Debug)]
pub(super) struct Sums {
    preference: Preference,
    /// When the agent began to count.
    began_unix_ns: u64,
    export: u64,
    states: HashMap<Key, State>,
}

#[derive(Debug)]
struct State {
    start_unix_ns: u64,
    at_unix_ns: u64,
    last: Last,
    seen: u64,
}

/// What was told the last time, as far as it is needed.
#[derive(Debug)]
enum Last {
    /// A counter, or the number of durations of a distribution.
    Count(u64),
    Histogram(Histogram),
}

/// What is to be told of a sum.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) start_unix_ns: u64,
    pub(super) value: Value,
}

impl Sums {
    /// None is known.
    pub(super) fn new(preference: Preference, began_unix_ns: u64) -> Self {
        Self { preference, began_unix_ns, export: 0, states: HashMap::new() }
    }

    /// When what the agent counts began.
    pub(super) fn began_unix_ns(&self) -> u64 {
        self.began_unix_ns
    }

    /// Whether sums like this one are told as differences.
    pub(super) fn temporality(&self, value: &Value) -> Temporality {
        match (self.preference, value) {
            (Preference::Delta, Value::Counter(_) | Value::Histogram(_))
            | (Preference::LowMemory, Value::Histogram(_)) => Temporality::Delta,
            _ => Temporality::Cumulative,
        }
    }

    /// An export begins.
    pub(super) fn begin(&mut self) {
        self.export += 1;
    }

    /// What to tell of a sum now, if anything. `zero_unix_ns` is a time when it was zero.
    pub(super) fn tell(
        &mut self,
        key: Key,
        zero_unix_ns: u64,
        now_unix_ns: u64,
        value: &Value,
    ) -> Option<Told> {
        let is_delta = self.temporality(value) == Temporality::Delta;
        let next = |start_unix_ns| State {
            start_unix_ns,
            at_unix_ns: now_unix_ns,
            last: Last::of(value, is_delta),
            seen: self.export,
        };
        let Some(state) = self.states.get_mut(&key) else {
            // A clock that was set back must not turn time around.
            let start_unix_ns = zero_unix_ns.min(now_unix_ns);
            self.states.insert(key, next(start_unix_ns));
            let is_told = !is_delta || zero_unix_ns >= self.began_unix_ns;
            return is_told.then(|| Told { start_unix_ns, value: value.clone() });
        };
        let before = std::mem::replace(state, next(state.start_unix_ns));
        let added = before.last.added(value);
        if is_delta {
            let value = added.unwrap_or_else(|| value.clone());
            return Some(Told { start_unix_ns: before.at_unix_ns.min(now_unix_ns), value });
        }
        if added.is_none() {
            state.start_unix_ns = before.at_unix_ns;
        }
        // A clock that was set back for long: once, and not again with every export.
        state.start_unix_ns = state.start_unix_ns.min(now_unix_ns);
        Some(Told { start_unix_ns: state.start_unix_ns, value: value.clone() })
    }

    /// An export ends: what has not been told for long is forgotten.
    pub(super) fn end(&mut self) {
        self.states.retain(|_, state| self.export - state.seen < REMEMBERED);
    }
}

impl Last {
    fn of(value: &Value, is_delta: bool) -> Self {
        match value {
            Value::Counter(count) => Self::Count(*count),
            Value::Gauge(_) => panic!("a gauge is no sum"),
            Value::Histogram(histogram) if is_delta => Self::Histogram(histogram.clone()),
            Value::Histogram(histogram) => Self::Count(histogram.count()),
        }
    }

    /// What was added; `None` where the sum was begun anew. Of cumulative distributions only whether it is `None` is true.
    fn added(&self, now: &Value) -> Option<Value> {
        match (self, now) {
            (Self::Count(before), Value::Counter(now)) => now.checked_sub(*before).map(Value::Counter),
            (Self::Count(before), Value::Histogram(now)) => {
                now.count().checked_sub(*before).map(Value::Counter)
            }
            (Self::Histogram(before), Value::Histogram(now)) => now.since(before).map(Value::Histogram),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGAN: u64 = 1000;

    fn key() -> Key {
        (1, "shop".to_owned())
    }

    fn exports(sums: &mut Sums, zero: u64, readings: &[(u64, Value)]) -> Vec<Option<(u64, Value)>> {
        let tell = |(now, value): &(u64, Value)| {
            sums.begin();
            let told = sums.tell(key(), zero, *now, value).map(|told| (told.start_unix_ns, told.value));
            sums.end();
            told
        };
        readings.iter().map(tell).collect()
    }

    fn counters(readings: &[(u64, u64)]) -> Vec<(u64, Value)> {
        readings.iter().map(|&(now, count)| (now, Value::Counter(count))).collect()
    }

    #[test]
    fn a_cumulative_sum_keeps_its_start_until_it_shrinks() {
        let mut sums = Sums::new(Preference::Cumulative, BEGAN);
        let told = exports(&mut sums, 17, &counters(&[(2000, 5), (3000, 9), (4000, 2), (5000, 3)]));
        let expected =
            [(17, 5), (17, 9), (3000, 2), (3000, 3)].map(|(at, count)| Some((at, Value::Counter(count))));
        assert_eq!(told, expected);
    }

    #[test]
    fn a_difference_begins_where_the_last_ended() {
        let mut sums = Sums::new(Preference::Delta, BEGAN);
        let told = exports(&mut sums, BEGAN, &counters(&[(2000, 5), (3000, 9), (4000, 9), (5000, 3)]));
        let expected = [(BEGAN, 5), (2000, 4), (3000, 0), (4000, 3)]
            .map(|(at, count)| Some((at, Value::Counter(count))));
        assert_eq!(told, expected);
    }

    #[test]
    fn what_was_counted_before_the_agent_began_is_no_difference() {
        let mut sums = Sums::new(Preference::Delta, BEGAN);
        let told = exports(&mut sums, BEGAN - 1, &counters(&[(2000, 5), (3000, 9)]));
        assert_eq!(told, [None, Some((2000, Value::Counter(4)))]);
    }

    #[test]
    fn differences_of_distributions_add_up_to_the_whole() {
        let whole = Histogram::from_ns([1, 2, 3, 1_000_000, 5_000_000_000]);
        let part = Histogram::from_ns([2, 1_000_000]);
        for preference in [Preference::Delta, Preference::LowMemory] {
            let mut sums = Sums::new(preference, BEGAN);
            let readings = [(2000, Value::Histogram(part.clone())), (3000, Value::Histogram(whole.clone()))];
            let mut sum = Histogram::default();
            for (_, value) in exports(&mut sums, BEGAN, &readings).into_iter().flatten() {
                let Value::Histogram(added) = value else { panic!("{value:?}") };
                sum.merge(&added);
            }
            assert_eq!(sum, whole);
        }
        let sums = Sums::new(Preference::LowMemory, BEGAN);
        assert_eq!(sums.temporality(&Value::Counter(1)), Temporality::Cumulative);
        assert_eq!(sums.temporality(&Value::Gauge(1)), Temporality::Cumulative);
    }

    #[test]
    fn a_distribution_that_was_begun_anew_has_a_new_start() {
        let mut sums = Sums::new(Preference::Cumulative, BEGAN);
        let of = |durations: &[u64]| Value::Histogram(Histogram::from_ns(durations.iter().copied()));
        let told = exports(&mut sums, 17, &[(2000, of(&[1, 2])), (3000, of(&[1]))]);
        assert_eq!(told, [Some((17, of(&[1, 2]))), Some((2000, of(&[1])))]);
    }

    #[test]
    fn a_sum_that_is_missing_for_once_is_the_same_afterwards_and_is_forgotten_in_the_end() {
        let mut sums = Sums::new(Preference::Delta, BEGAN);
        exports(&mut sums, BEGAN, &counters(&[(2000, 5)]));
        for _ in 0..REMEMBERED - 1 {
            sums.begin();
            sums.end();
        }
        assert_eq!(exports(&mut sums, BEGAN, &counters(&[(9000, 6)])), [Some((2000, Value::Counter(1)))]);
        for _ in 0..REMEMBERED {
            sums.begin();
            sums.end();
        }
        assert!(sums.states.is_empty());
    }

    #[test]
    fn no_sum_begins_in_the_future() {
        let mut sums = Sums::new(Preference::Cumulative, BEGAN);
        assert_eq!(exports(&mut sums, 5000, &counters(&[(2000, 1)]))[0].as_ref().unwrap().0, 2000);
    }
}
