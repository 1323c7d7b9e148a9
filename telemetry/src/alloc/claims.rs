//! Which shards have an owner: one bit each, claimed and given back by any thread without a lock.
//!
//! A claim is taken with `Acquire` and given back with `Release`: the next owner goes on from the sums that the last one
//! left, by plain loads and stores.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

/// A bit for each of `64 * WORDS` numbers, of which the last is never claimed.
pub(super) struct Claims<const WORDS: usize> {
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Claims<WORDS> {
    /// The number that nobody owns.
    pub(super) const SHARED: usize = WORDS * 64 - 1;

    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        Self { words: [const { AtomicU64::new(0) }; WORDS] }
    }

    /// The lowest number that is free, so that a reader finds few cache lines in use.
    pub(super) fn claim(&self) -> Option<usize> {
        for (at, word) in self.words.iter().enumerate() {
            let mut claimed = word.load(Ordering::Relaxed);
            while claimed != u64::MAX {
                let bit = claimed.trailing_ones() as usize;
                let number = at * 64 + bit;
                if number == Self::SHARED {
                    return None;
                }
                claimed = word.fetch_or(1 << bit, Ordering::Acquire);
                if claimed & 1 << bit == 0 {
                    return Some(number);
                }
            }
        }
        None
    }

    /// Gives a number back.
    pub(super) fn release(&self, number: usize) {
        self.words[number / 64].fetch_and(!(1 << (number % 64)), Ordering::Release);
    }
}

/// Run with `RUSTFLAGS="--cfg loom" cargo test -p loopscope-telemetry --lib claims`.
#[cfg(all(test, loom))]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_one_writer_at_a_time_and_loses_nothing() {
        loom::model(|| {
            // All but the first number and the one that is never claimed are taken.
            let words = [AtomicU64::new(u64::MAX << 1 & !(1 << 63))];
            let shared = loom::sync::Arc::new((Claims { words }, AtomicU64::new(0)));
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let shared = loom::sync::Arc::clone(&shared);
                    loom::thread::spawn(move || {
                        let (claims, cell) = &*shared;
                        let Some(number) = claims.claim() else { return 0 };
                        assert_eq!(number, 0);
                        // The plain addition of a sole writer.
                        cell.store(cell.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                        claims.release(number);
                        1
                    })
                })
                .collect();
            let counted: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert!(counted > 0, "whoever comes first gets it");
            assert_eq!(shared.1.load(Ordering::Relaxed), counted);
        });
    }
}
