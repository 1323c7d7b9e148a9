//! Quantiles as they are shown: of the buckets, and no further from the mean than the buckets make sure.

use model::histogram::Histogram;

/// A quantile of a distribution. A bucket tells a duration to 4%; the sum is exact, so where all durations lie in one bucket their
/// mean tells them better, and where the quantile lies in the highest bucket and the mean does as well, it is not below it. Of a single
/// duration every quantile is that.
pub(super) fn seconds(histogram: &Histogram, q: f64) -> Option<f64> {
    let quantile = histogram.quantile_seconds(q)?;
    let mean = histogram.sum_ns() as f64 / 1e9 / histogram.count() as f64;
    let is_one_bucket = histogram.buckets().len() == 1 && histogram.zero_count() == 0;
    let is_highest = histogram.quantile_seconds(1.0) == Some(quantile);
    Some(match (is_one_bucket, is_highest) {
        (true, _) => mean,
        (false, true) => quantile.max(mean),
        (false, false) => quantile,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_single_duration_every_quantile_is_that() {
        let one = Histogram::from_ns([408_000_000]);
        for q in [0.0, 0.5, 0.99, 1.0] {
            assert_eq!(seconds(&one, q), Some(0.408));
        }
        assert_eq!(seconds(&Histogram::default(), 0.5), None);
        assert_eq!(seconds(&Histogram::from_ns([0]), 0.5), Some(0.0));
    }

    #[test]
    fn the_highest_is_never_below_the_mean_but_a_percentile_may_be() {
        let steady = Histogram::from_ns(std::iter::repeat_n(408_000_000, 500).chain([1_000_000]));
        let mean = steady.sum_ns() as f64 / 1e9 / steady.count() as f64;
        assert!(seconds(&steady, 0.99).is_some_and(|p99| p99 >= mean));
        // One in a thousand took so long that the mean lies above the 99th percentile, and that is true.
        let rare = Histogram::from_ns(std::iter::repeat_n(1_000_000, 999).chain([60_000_000_000]));
        assert!(seconds(&rare, 0.99).is_some_and(|p99| p99 < 0.01));
    }
}
