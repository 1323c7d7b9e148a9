//! The buckets by which a histogram is told where native histograms cannot be: those with an `le` label.
//!
//! Each bound is also a bound of the exponential buckets, so every count is exact. Our buckets are finer than anyone
//! wants to scrape as text (eight to a power of two); this choice keeps every power of two from 1 ms to 16 s, where
//! people set alerts on lag and waits, and every second one below, where a healthy program is and only the order of
//! magnitude matters. 18 bounds, so 21 lines a series. Refused: bounds like 0.005 and 0.01, which read nicely but lie
//! between our boundaries, so that counts would be guesses.

use model::histogram::Histogram;
use model::snapshot::Exemplar;

/// A bound: `2^(index / 8)` seconds.
pub(super) struct Bound {
    index: i16,
    /// The bound as the label's value. Every float has many spellings, and a label is compared as text; this is the
    /// spelling that Prometheus makes when it reads the binary format, so that series keep their name across formats.
    pub(super) le: &'static str,
    /// The bound in seconds.
    pub(super) seconds: f64,
}

const fn bound(power_of_two: i16, seconds: f64, le: &'static str) -> Bound {
    Bound { index: power_of_two * 8, le, seconds }
}

/// All bounds but infinity, ascending.
pub(super) const BOUNDS: [Bound; 18] = [
    bound(-16, 1.52587890625e-05, "1.52587890625e-05"),
    bound(-14, 6.103515625e-05, "6.103515625e-05"),
    bound(-12, 0.000244140625, "0.000244140625"),
    bound(-10, 0.0009765625, "0.0009765625"),
    bound(-9, 0.001953125, "0.001953125"),
    bound(-8, 0.00390625, "0.00390625"),
    bound(-7, 0.0078125, "0.0078125"),
    bound(-6, 0.015625, "0.015625"),
    bound(-5, 0.03125, "0.03125"),
    bound(-4, 0.0625, "0.0625"),
    bound(-3, 0.125, "0.125"),
    bound(-2, 0.25, "0.25"),
    bound(-1, 0.5, "0.5"),
    bound(0, 1.0, "1.0"),
    bound(1, 2.0, "2.0"),
    bound(2, 4.0, "4.0"),
    bound(3, 8.0, "8.0"),
    bound(4, 16.0, "16.0"),
];

/// For each bound, how many durations do not exceed it.
pub(super) fn cumulative_counts(histogram: &Histogram) -> impl Iterator<Item = (&'static Bound, u64)> {
    let mut buckets = histogram.buckets().iter().peekable();
    let mut count = histogram.zero_count();
    BOUNDS.iter().map(move |bound| {
        while let Some(bucket) = buckets.next_if(|bucket| bucket.index <= bound.index) {
            count = count.wrapping_add(bucket.count);
        }
        (bound, count)
    })
}

/// The first bucket that holds an exemplar; behind all bounds is infinity.
pub(super) fn bucket_of(exemplar: &Exemplar) -> usize {
    let seconds = exemplar.value_ns as f64 / 1e9;
    BOUNDS.iter().position(|bound| seconds <= bound.seconds).unwrap_or(BOUNDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::histogram::upper_bound_seconds;

    #[test]
    fn bounds_are_boundaries_of_the_exponential_buckets() {
        for bound in &BOUNDS {
            assert_eq!(bound.seconds, upper_bound_seconds(bound.index));
            assert_eq!(bound.le.parse(), Ok(bound.seconds));
        }
        assert!(BOUNDS.windows(2).all(|pair| pair[0].index < pair[1].index));
    }
}
