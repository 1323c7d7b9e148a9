//! How long to wait before an attempt is made again.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(30);
/// More than a receiver may ask for: it may err, too.
const ASKED_MAX: Duration = Duration::from_secs(600);
/// The waits of an agent that ends, which has only some seconds.
pub(super) const ENDING: Duration = Duration::from_millis(250);

/// The waits between attempts that fail one after the other.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait: it doubles with each failure up to half a minute, give or take a half, so that agents which lost their
    /// receiver together do not come back together. It is no shorter than the receiver asks for.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        self.with(asked, fastrand::f64())
    }

    fn with(&mut self, asked: Option<Duration>, chance: f64) -> Duration {
        let grown = FIRST.saturating_mul(1 << self.failures.min(10)).min(MAX);
        self.failures += 1;
        let spread = grown.mul_f64(0.5 + chance);
        match asked {
            // The spread comes on top: whoever is asked to wait for a second is not alone.
            Some(asked) => asked.min(ASKED_MAX) + spread.mul_f64(0.1),
            None => spread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let seconds: Vec<_> = (0..8).map(|_| backoff.with(None, 0.5).as_secs_f64()).collect();
        assert_eq!(seconds, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]);
        let mut long = Backoff { failures: u32::MAX - 1 };
        assert_eq!(long.with(None, 0.0), MAX / 2);
    }

    #[test]
    fn waits_are_spread() {
        assert_eq!(Backoff::default().with(None, 0.0), FIRST / 2);
        assert!(Backoff::default().with(None, 1.0) == FIRST * 3 / 2);
    }

    #[test]
    fn no_wait_is_shorter_than_what_the_receiver_asks_for() {
        let asked = Duration::from_secs(7);
        for chance in [0.0, 0.5, 1.0] {
            let wait = Backoff::default().with(Some(asked), chance);
            assert!(wait >= asked && wait < asked + FIRST, "{wait:?}");
        }
        assert!(Backoff::default().with(Some(Duration::MAX), 1.0) < ASKED_MAX + FIRST);
    }
}
