//! From sums that grow to what was added since the last time.
//!
//! A cumulative point tells all since its process began. What came before the first point that is seen here happened at no known time, so it
//! is left out, unless all of it is recent. A collector that was restarted knows no sums: one interval of each loop stays unknown.

use std::collections::BTreeMap;

use formats::otlp::Distribution;
use rustc_hash::FxHashMap;

use super::{STEP_MS, STEPS_MAX};
use crate::labels::Labels;

/// Loops of which the last sum is known, some hundred bytes each.
const KNOWN_MAX: usize = 20_000;
/// When a loop may be forgotten of which nothing more came.
const FORGOTTEN_AFTER_NS: u64 = 3600 * 1_000_000_000;

/// Counts by bucket, the bucket of zeros as `None`.
pub(super) type Counts = Vec<(Option<i16>, u64)>;

/// The last sums.
#[derive(Debug, Default)]
pub(super) struct Differences {
    known: FxHashMap<Labels, Sum>,
}

#[derive(Clone, Debug)]
struct Sum {
    started_ns: u64,
    ended_ns: u64,
    counts: Counts,
}

/// What a point adds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// So much, in that time.
    Known { began_ms: i64, ended_ms: i64, counts: Counts },
    /// Nothing that is not known, or of which it is not known when it was.
    Unknown,
    /// There are too many loops.
    Refused,
}

/// A request's points. What they change counts when it is kept.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    differences: &'a mut Differences,
    changed: BTreeMap<Labels, Sum>,
}

impl Differences {
    pub(super) fn begin(&mut self) -> Turn<'_> {
        Turn { differences: self, changed: BTreeMap::new() }
    }

    fn make_room(&mut self, now_ns: u64) {
        self.known.retain(|_, sum| sum.ended_ns.saturating_add(FORGOTTEN_AFTER_NS) > now_ns);
    }
}

impl Turn<'_> {
    /// What a point adds to those before.
    pub(super) fn difference(&mut self, labels: &Labels, point: Distribution) -> Difference {
        let zeros = (point.zero_count > 0).then_some((None, point.zero_count));
        let buckets = point.buckets.iter().map(|bucket| (Some(bucket.index), bucket.count));
        let counts: Counts = zeros.into_iter().chain(buckets).collect();
        let (started_ns, ended_ns) = (point.started_unix_ns, point.ended_unix_ns);
        if point.is_delta {
            return known(started_ns, ended_ns, counts);
        }
        let before = self.changed.get(labels).or_else(|| self.differences.known.get(labels)).cloned();
        if before.is_none() && self.differences.known.len() + self.changed.len() >= KNOWN_MAX {
            self.differences.make_room(ended_ns);
            if self.differences.known.len() + self.changed.len() >= KNOWN_MAX {
                return Difference::Refused;
            }
        }
        let difference = match &before {
            // It came before, or late.
            Some(before) if ended_ns <= before.ended_ns => return Difference::Unknown,
            Some(before) if started_ns == before.started_ns => match added(&before.counts, &counts) {
                Some(added) => known(before.ended_ns, ended_ns, added),
                // A sum that shrinks began anew, whatever it says.
                None => known(before.ended_ns, ended_ns, counts.clone()),
            },
            Some(before) => known(started_ns.max(before.ended_ns), ended_ns, counts.clone()),
            None if ended_ns.saturating_sub(started_ns) <= (STEP_MS * STEPS_MAX) as u64 * 1_000_000 => {
                known(started_ns, ended_ns, counts.clone())
            }
            None => Difference::Unknown,
        };
        self.changed.insert(labels.clone(), Sum { started_ns, ended_ns, counts });
        difference
    }

    /// The points are stored: the next ones add to them.
    pub(super) fn keep(self) {
        self.differences.known.extend(self.changed);
    }
}

fn known(began_ns: u64, ended_ns: u64, counts: Counts) -> Difference {
    if counts.is_empty() || ended_ns == 0 {
        return Difference::Unknown;
    }
    let ms = |ns: u64| i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX);
    Difference::Known { began_ms: ms(began_ns), ended_ms: ms(ended_ns), counts }
}

/// What is more now; `None` where something is less.
fn added(before: &Counts, now: &Counts) -> Option<Counts> {
    let mut rest: BTreeMap<Option<i16>, u64> = before.iter().copied().collect();
    let mut more = Vec::new();
    for &(index, count) in now {
        match count.checked_sub(rest.remove(&index).unwrap_or(0))? {
            0 => {}
            added => more.push((index, added)),
        }
    }
    rest.is_empty().then_some(more)
}
