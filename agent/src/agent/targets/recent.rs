//! What a distribution was in the last minute, whoever asks and how often.
//!
//! Readings of a distribution that only grows are kept, one every ten seconds; the last minute is what was added since the
//! reading that is a minute old. Refused: what was added since the last scrape, as prom-client does it, for two scrapers would
//! each see a part.

use std::collections::VecDeque;

use model::histogram::Histogram;
use model::time::Monotonic;

/// How long ago the reading is that the current one is compared with, at least.
const WINDOW_NS: u64 = 60_000_000_000;

/// How often a reading is kept.
pub(super) const KEEP_EVERY_NS: u64 = 10_000_000_000;

/// Readings of one distribution, the oldest first: the one that the window begins with, and younger ones.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Monotonic, Histogram)>);

impl Recent {
    /// Begins with this reading.
    pub(super) fn begin(&mut self, now: Monotonic, reading: Histogram) {
        self.0.clear();
        self.0.push_back((now, reading));
    }

    /// Keeps a reading.
    pub(super) fn keep(&mut self, now: Monotonic, reading: Histogram) {
        self.0.push_back((now, reading));
        while self.0.get(1).is_some_and(|&(at, _)| is_old(at, now)) {
            self.0.pop_front();
        }
    }

    /// What was added in the last minute, up to ten seconds more, or since the beginning if that was later.
    pub(super) fn of(&self, now: Monotonic, reading: &Histogram) -> Histogram {
        let old = self.0.iter().rev().find(|&&(at, _)| is_old(at, now)).or(self.0.front());
        // A distribution that lost something was begun anew.
        old.and_then(|(_, before)| reading.since(before)).unwrap_or_else(|| reading.clone())
    }
}

fn is_old(at: Monotonic, now: Monotonic) -> bool {
    now.since_ns(at) >= WINDOW_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_ns(seconds * 1_000_000_000)
    }

    /// One more of a length each second.
    fn after(seconds: u64) -> Histogram {
        Histogram::from_ns((0..seconds).map(|_| 1_000_000))
    }

    #[test]
    fn the_last_minute_is_told_whoever_asks() {
        let mut recent = Recent::default();
        recent.begin(at(0), after(0));
        for second in 1..=300 {
            if second % 10 == 0 {
                recent.keep(at(second), after(second));
            }
            for _ in 0..2 {
                let count = recent.of(at(second), &after(second)).count();
                let expected = if second <= 60 { second..=second } else { 60..=70 };
                assert!(expected.contains(&count), "{count} after {second} s");
            }
            assert!(recent.0.len() <= 8);
        }
    }

    #[test]
    fn without_a_reading_everything_is_told() {
        assert_eq!(Recent::default().of(at(100), &after(5)).count(), 5);
    }

    #[test]
    fn what_was_begun_anew_is_told_from_its_beginning() {
        let mut recent = Recent::default();
        recent.begin(at(0), after(50));
        assert_eq!(recent.of(at(10), &after(3)).count(), 3);
    }
}
