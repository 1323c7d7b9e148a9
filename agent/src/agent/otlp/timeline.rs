//! The time that exports are of: the wall clock's, but never backwards. Pure.
//!
//! A clock may be stepped while the agent runs. Forwards, exports follow at once. Backwards they cannot: a receiver would get points of a series that lie
//! before others, and intervals that overlap. So time goes on at half its speed until the wall clock has caught up, which it has after twice the
//! step. A clock that was ahead by [more than an hour](WAITED_FOR_NS) is not waited for: that was no correction but a mistake, and exports return to
//! the truth at once; the starts of sums are then no later than it.

use crate::clock::Moment;

/// An hour.
const WAITED_FOR_NS: u64 = 3600 * 1_000_000_000;

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    told_unix_ns: u64,
    at: Moment,
}

impl Timeline {
    /// The time to tell now, in nanoseconds since the UNIX epoch.
    pub(super) fn tell(&mut self, now: Moment) -> u64 {
        let told_unix_ns = match self.last {
            Some(last) if last.told_unix_ns.saturating_sub(now.unix_ns) <= WAITED_FOR_NS => {
                let elapsed_ns = now.monotonic.since_ns(last.at.monotonic);
                // Two readings within a nanosecond are still two.
                now.unix_ns.max(last.told_unix_ns + (elapsed_ns / 2).max(1))
            }
            _ => now.unix_ns,
        };
        self.last = Some(Last { told_unix_ns, at: now });
        told_unix_ns
    }
}

#[cfg(test)]
mod tests {
    use formats::otlp::Temporality;
    use model::snapshot::Value;
    use model::time::Monotonic;

    use super::super::series::Sums;
    use super::*;
    use crate::config::Preference;

    const S: u64 = 1_000_000_000;
    const BEGAN: u64 = 1_700_000_000 * S;

    /// A wall clock that is this far from the truth.
    fn moment(seconds: u64, ahead_ns: i64) -> Moment {
        let unix_ns = (BEGAN + seconds * S).strict_add_signed(ahead_ns);
        Moment { unix_ns, monotonic: Monotonic::from_ns(5000 * S + seconds * S) }
    }

    fn told(ahead_s: &[i64]) -> Vec<i64> {
        let mut timeline = Timeline::default();
        let of = |(second, &ahead): (u64, &i64)| {
            let told = timeline.tell(moment(second, ahead * S as i64));
            told as i64 - (BEGAN + second * S) as i64
        };
        (0..).zip(ahead_s).map(of).map(|ns| ns / (S as i64 / 2)).collect()
    }

    #[test]
    fn a_clock_that_is_not_stepped_is_told_as_it_is() {
        assert_eq!(told(&[0, 0, 0]), [0, 0, 0]);
    }

    #[test]
    fn a_step_forwards_is_followed_at_once_and_one_backwards_within_twice_its_length() {
        assert_eq!(told(&[0, 60, 60]), [0, 120, 120]);
        // In halves of a second: three seconds ahead, and half a second less each second.
        assert_eq!(told(&[3, 0, 0, 0, 0, 0, 0, 0, 0]), [6, 5, 4, 3, 2, 1, 0, 0, 0]);
    }

    #[test]
    fn a_clock_that_was_years_ahead_is_not_waited_for() {
        assert_eq!(told(&[0, 500_000_000, 500_000_000, 0, 0]), [0, 1_000_000_000, 1_000_000_000, 0, 0]);
    }

    #[test]
    fn whatever_steps_there_are_times_grow_and_starts_do_not_run_backwards() {
        let mut random = fastrand::Rng::with_seed(17);
        for preference in [Preference::Cumulative, Preference::Delta] {
            let (mut timeline, mut sums) = (Timeline::default(), Sums::new(preference, BEGAN));
            let (mut ahead_ns, mut count) = (0i64, 0);
            let (mut last_start, mut last_time) = (0, 0);
            for second in 0..20_000 {
                if second % 400 == 0 {
                    // All within half an hour of the truth, so never more than an hour apart.
                    ahead_ns = random.i64(-1800..1800) * S as i64;
                }
                // A sum that begins anew now and then.
                count = if random.u32(..500) == 0 { 0 } else { count + random.u64(..10) };
                let now = timeline.tell(moment(second, ahead_ns));
                sums.begin();
                let key = (1, "shop".to_owned());
                let told =
                    sums.tell(key, BEGAN, now, &Value::Counter(count)).expect("it began with the agent");
                sums.end();
                assert!(now > last_time, "second {second}: {last_time} then {now}");
                assert!(last_start <= told.start_unix_ns && told.start_unix_ns <= now, "second {second}");
                if sums.temporality(&Value::Counter(0)) == Temporality::Delta && last_time > 0 {
                    assert_eq!(told.start_unix_ns, last_time, "no gap and no overlap");
                }
                (last_start, last_time) = (told.start_unix_ns, now);
            }
            for second in 20_000..30_000 {
                last_time = timeline.tell(moment(second, 0));
            }
            assert_eq!(last_time, BEGAN + 29_999 * S, "it is the truth again");
        }
    }

    #[test]
    fn the_start_of_a_sum_is_moved_once_where_the_clock_was_years_ahead() {
        let mut sums = Sums::new(Preference::Cumulative, BEGAN);
        let mut start = |zero, now| {
            let told = sums.tell((1, "shop".to_owned()), zero, now, &Value::Counter(1)).expect("it is told");
            told.start_unix_ns
        };
        let ahead = BEGAN + 500_000_000 * S;
        assert_eq!(start(ahead, ahead + S), ahead);
        assert_eq!([start(ahead, BEGAN + S), start(ahead, BEGAN + 9 * S)], [BEGAN + S; 2]);
    }
}
