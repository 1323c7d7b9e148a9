//! A token bucket: at most so many requests at once, and then one an interval.
//!
//! Pure: whoever asks brings the time. The bucket is kept as the one time at which it would be full, so nothing has to be
//! filled up.

use std::time::Duration;

use model::time::Monotonic;

/// The bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    interval_ns: u64,
    burst: u32,
    /// When it is full again.
    full_at: Monotonic,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        let interval_ns = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
        Self { interval_ns, burst, full_at: Monotonic::from_ns(0) }
    }

    /// Whether another one lets through as much.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.interval_ns, self.burst) == (other.interval_ns, other.burst)
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Where there is none: the time until there is.
    pub(super) fn take(&mut self, now: Monotonic) -> Result<(), Duration> {
        let missing_ns = self.full_at.since_ns(now).saturating_add(self.interval_ns);
        let capacity_ns = self.interval_ns.saturating_mul(u64::from(self.burst));
        if missing_ns > capacity_ns {
            return Err(Duration::from_nanos(missing_ns - capacity_ns));
        }
        self.full_at = now.plus_ns(missing_ns);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_ns(1_000_000_000 + ms * 1_000_000)
    }

    #[test]
    fn a_burst_goes_through_and_then_one_an_interval() {
        let mut bucket = Bucket::new(Duration::from_millis(100), 3);
        for _ in 0..3 {
            assert_eq!(bucket.take(at(0)), Ok(()));
        }
        assert_eq!(bucket.take(at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(at(60)), Err(Duration::from_millis(40)), "a refusal costs nothing");
        assert_eq!(bucket.take(at(100)), Ok(()));
        assert!(bucket.take(at(150)).is_err());
    }

    #[test]
    fn what_is_saved_up_is_no_more_than_a_burst() {
        let mut bucket = Bucket::new(Duration::from_millis(100), 2);
        let taken = (0..10).filter(|_| bucket.take(at(1_000_000)).is_ok()).count();
        assert_eq!(taken, 2);
    }
}
