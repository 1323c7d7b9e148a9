//! When a thread whose loop is not known is looked at again.

use model::time::Monotonic;

/// A thread that had no loop is looked at with each reading while it is known no longer than this,
const YOUNG_NS: u64 = 30_000_000_000;
/// and while it runs, until it has run for this much longer.
const RUN_MAX_NS: u64 = 10_000_000_000;

/// Then it is looked at again after this, then after twice this, and so on.
const AGAIN_NS: u64 = 1_500_000_000;
const AGAIN_MAX_NS: u64 = 60_000_000_000;
/// Likewise, of one that runs.
const AGAIN_RUNNING_MAX_NS: u64 = 6_000_000_000;

/// How a thread has been looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looked {
    since: Monotonic,
    next: Option<Monotonic>,
    wait_ns: u64,
    /// What it had run when it was no longer young, and at the last look.
    ran_first_ns: Option<u64>,
    ran_ns: u64,
}

impl Looked {
    pub(super) fn new(now: Monotonic) -> Self {
        Self { since: now, next: None, wait_ns: AGAIN_NS, ran_first_ns: None, ran_ns: 0 }
    }

    /// Looked at with the next reading.
    fn again(&mut self, now: Monotonic) {
        self.next = Some(now);
        self.wait_ns = AGAIN_NS;
    }

    /// When it is to be looked at next; `None` before the first time.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.next
    }

    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        self.next.is_none_or(|next| next <= now)
    }

    /// Looked at later each time.
    pub(super) fn later(&mut self, now: Monotonic) {
        self.wait(now, AGAIN_MAX_NS);
    }

    fn wait(&mut self, now: Monotonic, wait_max_ns: u64) {
        let wait_ns = self.wait_ns.min(wait_max_ns);
        self.next = Some(now.plus_ns(wait_ns));
        self.wait_ns = (2 * wait_ns).min(wait_max_ns);
    }

    /// When to look next at a thread that was not in a poll. `ran_ns` tells what it has run.
    pub(super) fn not_in_a_poll(&mut self, now: Monotonic, ran_ns: impl FnOnce() -> Option<u64>) {
        if now.since_ns(self.since) < YOUNG_NS {
            return self.again(now);
        }
        let ran_ns = ran_ns().unwrap_or(self.ran_ns);
        let first_ns = *self.ran_first_ns.get_or_insert(ran_ns);
        let runs = ran_ns != std::mem::replace(&mut self.ran_ns, ran_ns);
        match runs {
            true if ran_ns.saturating_sub(first_ns) < RUN_MAX_NS => self.again(now),
            true => self.wait(now, AGAIN_RUNNING_MAX_NS),
            false => self.later(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    /// How often a thread is looked at within some seconds, at 20 readings a second, if it runs for this share of the time.
    fn looks(seconds: std::ops::Range<u64>, run_share: f64) -> usize {
        let mut looked = Looked::new(Monotonic::from_ns(0));
        let mut looks = 0;
        for reading in 0..seconds.end * 20 {
            let now = Monotonic::from_ns(reading * SECOND_NS / 20);
            if looked.is_due(now) {
                looks += usize::from(reading >= seconds.start * 20);
                looked.not_in_a_poll(now, || Some((now.as_ns() as f64 * run_share) as u64));
            }
        }
        looks
    }

    #[test]
    fn a_new_thread_is_looked_at_with_each_reading() {
        assert_eq!(looks(0..30, 0.0), 600);
    }

    #[test]
    fn one_that_runs_is_looked_at_with_each_reading_for_longer() {
        assert_eq!(looks(30..40, 0.9), 200);
    }

    #[test]
    fn then_looks_become_seldom() {
        assert!((10..25).contains(&looks(60..120, 0.9)), "{}", looks(60..120, 0.9));
        assert!((1..4).contains(&looks(120..240, 0.0)), "{}", looks(120..240, 0.0));
    }
}
