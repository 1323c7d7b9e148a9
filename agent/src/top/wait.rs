//! How long something waits, and how well that is known; the lag of a loop.

use model::catalogue::{EVENTLOOP_AWAY, EVENTLOOP_LAG, EVENTLOOP_STALL_OBSERVED};

use super::change::Change;
use super::{number, quantile};

const NS_PER_S: f64 = 1e9;

/// A duration, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wait {
    pub(super) seconds: f64,
    pub(super) precision: Precision,
}

/// How well a duration is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Precision {
    Measured,
    /// Caught by readings that are made now and then.
    Estimated,
    /// What readings missed may have been as long as this, and nothing longer was; what they did catch was shorter.
    Below {
        caught_seconds: Option<f64>,
    },
}

impl Wait {
    /// A duration that was measured.
    pub(super) fn measured(seconds: f64) -> Self {
        Self { seconds, precision: Precision::Measured }
    }

    /// What it is by way of order. What is only known to be below something comes after all that was seen.
    pub(super) fn rank(self) -> f64 {
        self.seen_seconds().unwrap_or_else(|| -1.0 / self.seconds.max(f64::MIN_POSITIVE))
    }

    /// As much of it as was seen.
    pub(super) fn seen_seconds(self) -> Option<f64> {
        match self.precision {
            Precision::Measured | Precision::Estimated => Some(self.seconds),
            Precision::Below { caught_seconds } => caught_seconds,
        }
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self.precision {
            Precision::Measured => "",
            Precision::Estimated => "~",
            Precision::Below { .. } => "<",
        };
        write!(f, "{mark}{}", number::duration(self.seconds))
    }
}

/// How long ready events had to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Lag {
    pub(super) p50_seconds: Option<f64>,
    pub(super) p99_seconds: Option<f64>,
    /// With what goes on at the end of the interval.
    pub(super) max: Option<Wait>,
}

impl Lag {
    /// The lag of a loop, and what readings may have missed of it, where that is known.
    pub(super) fn new(of_loop: Change<'_>, unseen_seconds: Option<f64>) -> Self {
        let away = away_seconds(of_loop).filter(|&away| away > 0.0);
        if of_loop.later.has(&EVENTLOOP_LAG) {
            let lag = of_loop.distribution(&EVENTLOOP_LAG, &[]);
            let quantile = |q| lag.as_ref().and_then(|lag| quantile::seconds(lag, q));
            let max = longest(quantile(1.0), away).map(Wait::measured);
            return Self { p50_seconds: quantile(0.5), p99_seconds: quantile(0.99), max };
        }
        let caught = of_loop.distribution(&EVENTLOOP_STALL_OBSERVED, &[]);
        let caught = caught.and_then(|caught| quantile::seconds(&caught, 1.0));
        // A stretch that has just begun is no finding, as long as those that were missed may have been longer.
        let away = away.filter(|&away| unseen_seconds.is_none_or(|unseen| away >= unseen));
        let seen = longest(caught, away);
        // A loop that waited all the time kept nothing waiting.
        let unseen = unseen_seconds.filter(|&unseen| unseen > seen.unwrap_or(0.0));
        let below = unseen.map(|seconds| {
            let precision = Precision::Below { caught_seconds: seen };
            Wait { seconds, precision }
        });
        let estimate = seen.map(|seconds| Wait { seconds, precision: Precision::Estimated });
        Self { max: below.or(estimate), ..Self::default() }
    }
}

/// How long the loop has been away from the poll at the end of the interval.
pub(super) fn away_seconds(of_loop: Change<'_>) -> Option<f64> {
    of_loop.amount(&EVENTLOOP_AWAY, &[]).map(|ns| ns as f64 / NS_PER_S)
}

fn longest(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::row::Row;
    use crate::top::testing::Host;
    use model::catalogue::EVENTLOOP_ITERATIONS;

    const MS: i64 = 1_000_000;
    const BELOW: Precision = Precision::Below { caught_seconds: None };

    /// The longest lag of a loop that was away for so long at the end, whose stalls were caught so often, and of which readings may have
    /// missed so much.
    fn max(away_ns: i64, caught: u64, unseen_ns: Option<u64>) -> Option<Wait> {
        let reading = |n: u64| {
            let mut host = Host::default();
            if let Some(unseen_ns) = unseen_ns {
                host.notes(1).unseen_ns.insert("main".to_owned(), unseen_ns);
            }
            let mut process = host.process("node", 1);
            let mut main = process.of_loop("main");
            main.counter(&EVENTLOOP_ITERATIONS, &[], n).gauge(&EVENTLOOP_AWAY, &[], away_ns).histogram(
                &EVENTLOOP_STALL_OBSERVED,
                &[],
                &[(1 + n * caught, 210_000_000)],
            );
            host.reading(n)
        };
        Row::all(Some(&reading(1)), &reading(2))[0].lag.max
    }

    #[test]
    fn having_caught_no_stall_tells_only_below_what_it_was() {
        let below = Wait { seconds: 0.062, precision: BELOW };
        assert_eq!(max(0, 0, Some(62_000_000)), Some(below));
        assert_eq!(max(MS, 0, Some(62_000_000)), Some(below), "it has just left its poll");
        assert_eq!(below.to_string(), "<62ms");
    }

    #[test]
    fn a_stall_that_was_caught_or_goes_on_is_an_estimate_of_the_longest() {
        let caught = max(0, 1, Some(62_000_000)).unwrap();
        assert_eq!((caught.precision, caught.seconds), (Precision::Estimated, 0.21));
        let goes_on = max(700 * MS, 0, Some(62_000_000)).unwrap();
        assert_eq!((goes_on.precision, goes_on.seconds), (Precision::Estimated, 0.7));
    }

    #[test]
    fn a_stall_that_was_caught_is_not_the_longest_where_a_longer_one_may_have_been_missed() {
        let lag = max(0, 1, Some(250_000_000)).unwrap();
        assert_eq!((lag.to_string().as_str(), lag.seen_seconds()), ("<250ms", Some(0.21)));
        assert_eq!(lag.rank(), 0.21);
    }

    #[test]
    fn where_nothing_was_caught_and_nothing_tells_what_was_missed_the_lag_is_unknown() {
        assert_eq!(max(0, 0, None), None);
        assert_eq!(max(0, 0, Some(0)), None, "it never left its poll");
    }

    #[test]
    fn what_was_seen_comes_before_what_is_only_known_to_be_shorter_than_something() {
        let below = |seconds| Wait { seconds, precision: BELOW }.rank();
        assert!(Wait::measured(1e-9).rank() > below(60.0));
        assert!(below(60.0) > below(0.01));
    }
}
