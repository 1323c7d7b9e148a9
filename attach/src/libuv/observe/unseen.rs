//! How long a stretch away from the poll may have been that no two readings saw.
//!
//! Idle time is counted by libuv to the nanosecond, so what a loop was active between two readings is known, and no stretch
//! within that time was longer. One that the first of the two readings saw may have begun after the reading before that.

/// The longest stretch that may have been missed since somebody asked.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    idle_ns: u64,
    /// The last idle time was read while libuv added to it, and was too small.
    is_torn: bool,
    /// How long the stretch that the last reading saw may have lasted by then; zero where it was caught, or none was seen.
    open_ns: u64,
    longest_ns: u64,
}

/// What a reading saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The loop waits.
    Waiting,
    /// It is away from its poll, in another stretch than at the reading before.
    Away,
    /// It is away in the same stretch, which is thereby caught.
    StillAway,
}

impl Unseen {
    /// Begins with a loop that has been idle so long in all.
    pub(super) fn new(idle_ns: u64) -> Self {
        Self { idle_ns, ..Self::default() }
    }

    /// A reading so long after the last one, by which the loop has been idle so long in all.
    pub(super) fn follow(&mut self, idle_ns: u64, gap_ns: u64, seen: Seen) {
        let is_torn = idle_ns < self.idle_ns;
        let idle_in_gap_ns = match is_torn || self.is_torn {
            true => 0,
            false => idle_ns - self.idle_ns,
        };
        (self.idle_ns, self.is_torn) = (idle_ns.max(self.idle_ns), is_torn);
        let active_ns = gap_ns.saturating_sub(idle_in_gap_ns);
        if seen == Seen::StillAway {
            self.open_ns = 0;
            return;
        }
        self.longest_ns = self.longest_ns.max(self.open_ns.saturating_add(active_ns));
        self.open_ns = if seen == Seen::Away { active_ns } else { 0 };
    }

    /// The longest since the last time.
    pub(super) fn take(&mut self) -> u64 {
        std::mem::take(&mut self.longest_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn no_stretch_was_longer_than_the_loop_was_active_between_two_readings() {
        let mut unseen = Unseen::new(0);
        unseen.follow(48 * MS, 50 * MS, Seen::Waiting);
        unseen.follow(68 * MS, 50 * MS, Seen::Waiting);
        unseen.follow(118 * MS, 50 * MS, Seen::Waiting);
        assert_eq!(unseen.take(), 30 * MS);
        unseen.follow(168 * MS, 50 * MS, Seen::Waiting);
        assert_eq!(unseen.take(), 0, "asked again, it tells of what came since");
    }

    #[test]
    fn a_stretch_that_one_reading_saw_may_have_begun_before_it_and_ended_after_it() {
        let mut unseen = Unseen::new(0);
        unseen.follow(10 * MS, 50 * MS, Seen::Away);
        assert_eq!(unseen.take(), 40 * MS);
        unseen.follow(35 * MS, 50 * MS, Seen::Waiting);
        assert_eq!(unseen.take(), 65 * MS);
    }

    #[test]
    fn a_stretch_that_two_readings_saw_is_caught() {
        let mut unseen = Unseen::new(0);
        unseen.follow(30 * MS, 50 * MS, Seen::Away);
        for _ in 0..10 {
            unseen.follow(30 * MS, 50 * MS, Seen::StillAway);
        }
        unseen.follow(70 * MS, 50 * MS, Seen::Waiting);
        assert_eq!(unseen.take(), 20 * MS);
    }

    #[test]
    fn idle_time_that_was_read_too_small_makes_the_bound_no_smaller() {
        let mut unseen = Unseen::new(100 * MS);
        unseen.follow(60 * MS, 50 * MS, Seen::Away);
        unseen.follow(180 * MS, 50 * MS, Seen::Waiting);
        assert_eq!(unseen.take(), 100 * MS);
        unseen.follow(230 * MS, 50 * MS, Seen::Waiting);
        assert_eq!(unseen.take(), 0);
    }
}
