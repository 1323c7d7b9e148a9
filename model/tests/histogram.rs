//! The histogram against a list of numbers.

use loopscope_model::histogram::{Histogram, upper_bound_seconds};
use proptest::prelude::*;

fn durations() -> impl Strategy<Value = Vec<u64>> {
    let duration = prop_oneof![0..20u64, 0..1_000_000u64, 0..(1u64 << 50), any::<u64>()];
    prop::collection::vec(duration, 0..200)
}

proptest! {
    #[test]
    fn merging_is_the_same_as_recording_together(a in durations(), b in durations()) {
        let mut merged = Histogram::from_ns(a.iter().copied());
        merged.merge(&Histogram::from_ns(b.iter().copied()));
        prop_assert_eq!(merged, Histogram::from_ns(a.into_iter().chain(b)));
    }

    #[test]
    fn what_was_recorded_since_is_what_was_recorded_then(a in durations(), b in durations()) {
        let earlier = Histogram::from_ns(a.iter().copied());
        let mut later = earlier.clone();
        later.merge(&Histogram::from_ns(b.iter().copied()));
        prop_assert_eq!(later.since(&earlier), Some(Histogram::from_ns(b)));
    }

    #[test]
    fn a_duration_lies_within_its_bucket(ns in 16..(1u64 << 49)) {
        let histogram = Histogram::from_ns([ns]);
        let index = histogram.buckets()[0].index;
        let seconds = ns as f64 / 1e9;
        prop_assert!(seconds <= upper_bound_seconds(index) * (1.0 + 1e-12));
        prop_assert!(seconds >= upper_bound_seconds(index - 1) * (1.0 - 1e-12));
    }

    #[test]
    fn a_quantile_is_off_by_less_than_half_a_bucket(mut ns in prop::collection::vec(16..(1u64 << 49), 1..100), q in 0.0..=1.0) {
        let quantile = Histogram::from_ns(ns.iter().copied()).quantile_seconds(q).unwrap();
        ns.sort_unstable();
        let rank = ((q * ns.len() as f64).ceil() as usize).clamp(1, ns.len());
        let exact = ns[rank - 1] as f64 / 1e9;
        prop_assert!((quantile / exact - 1.0).abs() < 0.0443, "{} for {}", quantile, exact);
    }
}

#[test]
fn an_empty_distribution_has_no_quantile() {
    assert_eq!(Histogram::default().quantile_seconds(0.5), None);
    assert_eq!(Histogram::from_ns([0, 0]).quantile_seconds(0.99), Some(0.0));
}

#[test]
fn an_instrument_that_was_begun_anew_has_nothing_since() {
    let earlier = Histogram::from_ns([5, 1_000, 1_000_000]);
    for later in [&[][..], &[0, 0, 0], &[5, 1_000], &[5, 1_000_000, 1_000_000], &[2_000; 9]] {
        assert_eq!(Histogram::from_ns(later.iter().copied()).since(&earlier), None, "{later:?}");
    }
    assert_eq!(Histogram::from_ns([7]).since(&Histogram::default()), Some(Histogram::from_ns([7])));
}
