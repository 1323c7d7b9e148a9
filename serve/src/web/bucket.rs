//! A token bucket: at most so many requests at once, and then one an interval.
//!
//! Pure: whoever asks brings the time. The bucket is kept as the one time at which it would be full, so nothing has to be
//! filled up.

use std::time::{Duration, Instant};

/// The bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    interval: Duration,
    burst: u32,
    /// When it is full again; `None` where it always was.
    full_at: Option<Instant>,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self { interval, burst, full_at: None }
    }

    /// Whether another one lets through as much.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.interval, self.burst) == (other.interval, other.burst)
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Where there is none: the time until there is.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let waits = self.full_at.map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now));
        let missing = waits.saturating_add(self.interval);
        let capacity = self.interval.saturating_mul(self.burst);
        if missing > capacity {
            return Err(missing - capacity);
        }
        // At most 2³² intervals, each of at most 2³⁰ seconds: half of what an instant can tell.
        self.full_at = Some(now + missing);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_through_and_then_one_an_interval() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
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
        let later = Instant::now() + Duration::from_secs(1000);
        let mut bucket = Bucket::new(Duration::from_millis(100), 2);
        let taken = (0..10).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(taken, 2);
    }
}
