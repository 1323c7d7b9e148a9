//! What probes may cost a process, and which tier goes when they cost more.
//!
//! The cost is an estimate: hits times the time of one. It is looked at over windows of some seconds, so that a burst
//! does not end a tier, and a tier that was shed is tried again after a while: load changes.

use attach::libuv::tiers::Tiers;
use model::label::Tier;
use model::time::Monotonic;

/// The length of a window.
const WINDOW_NS: u64 = 5_000_000_000;

/// How long a tier that was shed stays away.
const RETRY_NS: u64 = 600_000_000_000;

/// The estimated cost of each tier so far, in nanoseconds of CPU time, by [`Tier`].
pub(super) type Costs = [u64; Tier::ALL.len()];

/// Watches the cost of one target.
#[derive(Debug)]
pub(super) struct Budget {
    /// The share of one core that probes may cost.
    share: f64,
    window: Option<(Monotonic, Costs)>,
    shed: Vec<(Tier, Monotonic)>,
}

/// What to do about a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Advice {
    /// A tier costs too much; with the share of a core that all of them cost.
    Shed(Tier, f64),
    /// A tier that was shed long ago may be tried again.
    Retry(Tier),
}

impl Budget {
    pub(super) fn new(share: f64) -> Self {
        Self { share, window: None, shed: Vec::new() }
    }

    /// Goes on with another share, and with these tiers: of others none is tried again.
    pub(super) fn reconfigure(&mut self, share: f64, tiers: Tiers) {
        self.share = share;
        self.shed.retain(|&(tier, _)| tiers.has(tier));
    }

    /// Whether a tier is away because it cost too much.
    pub(super) fn has_shed(&self, tier: Tier) -> bool {
        self.shed.iter().any(|&(shed, _)| shed == tier)
    }

    /// Looks at the costs up to now.
    pub(super) fn check(&mut self, now: Monotonic, costs: Costs) -> Option<Advice> {
        if let Some(position) = self.shed.iter().position(|&(_, at)| now.since_ns(at) >= RETRY_NS) {
            self.window = None;
            return Some(Advice::Retry(self.shed.remove(position).0));
        }
        let Some((began, before)) = self.window else {
            self.window = Some((now, costs));
            return None;
        };
        let elapsed_ns = now.since_ns(began);
        if elapsed_ns < WINDOW_NS {
            return None;
        }
        self.window = Some((now, costs));
        let spent = |tier: Tier| costs[tier as usize].saturating_sub(before[tier as usize]);
        let total: u64 = Tier::ALL.iter().map(|&tier| spent(tier)).sum();
        let share = total as f64 / elapsed_ns as f64;
        if share <= self.share {
            return None;
        }
        let dearest = Tier::ALL.iter().copied().max_by_key(|&tier| spent(tier))?;
        // Phases are told within iterations: without the tier loop they would only cost.
        let needs_it = dearest == Tier::Loop && spent(Tier::Phases) > 0;
        let dearest = if needs_it { Tier::Phases } else { dearest };
        self.shed.push((dearest, now));
        Some(Advice::Shed(dearest, share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_ns(seconds * SECOND_NS)
    }

    /// Costs after `seconds` at these shares of a core, in thousandths.
    fn costs(seconds: u64, [reading, polls, phases, pool]: [u64; 4]) -> Costs {
        [reading, polls, phases, pool].map(|thousandths| seconds * thousandths * SECOND_NS / 1000)
    }

    #[test]
    fn below_the_budget_nothing_is_shed() {
        let mut budget = Budget::new(0.01);
        for second in 0..60 {
            assert_eq!(budget.check(at(second), costs(second, [0, 3, 3, 3])), None);
        }
    }

    #[test]
    fn the_dearest_tier_goes_first_and_the_rest_is_looked_at_again() {
        let mut budget = Budget::new(0.01);
        assert_eq!(budget.check(at(0), costs(0, [0; 4])), None);
        assert_eq!(budget.check(at(4), costs(4, [0, 2, 20, 5])), None, "a window is not over");
        let advice = budget.check(at(5), costs(5, [0, 2, 20, 5]));
        assert!(matches!(advice, Some(Advice::Shed(Tier::Phases, share)) if (share - 0.027).abs() < 1e-9));
        // The counters of a tier that is gone stand still.
        let mut later = costs(10, [0, 2, 0, 5]);
        later[Tier::Phases as usize] = costs(5, [0, 2, 20, 5])[Tier::Phases as usize];
        assert_eq!(budget.check(at(10), later), None);
    }

    #[test]
    fn the_tier_loop_does_not_go_before_the_phases_that_need_it() {
        let mut budget = Budget::new(0.01);
        budget.check(at(0), costs(0, [0; 4]));
        let advice = budget.check(at(5), costs(5, [0, 30, 20, 5]));
        assert!(matches!(advice, Some(Advice::Shed(Tier::Phases, _))), "{advice:?}");
    }

    #[test]
    fn a_tier_that_is_no_longer_asked_for_is_not_tried_again() {
        let mut budget = Budget::new(0.01);
        budget.check(at(0), costs(0, [0; 4]));
        budget.check(at(5), costs(5, [0, 0, 0, 50]));
        assert!(budget.has_shed(Tier::Pool));
        budget.reconfigure(0.5, Tiers::only(Tier::Loop));
        assert!(!budget.has_shed(Tier::Pool));
        assert_eq!(budget.check(at(605), costs(605, [0, 0, 0, 50])), None, "the new share holds");
    }

    #[test]
    fn a_tier_that_was_shed_is_tried_again_after_a_while() {
        let mut budget = Budget::new(0.01);
        budget.check(at(0), costs(0, [0; 4]));
        assert!(matches!(budget.check(at(5), costs(5, [0, 0, 0, 50])), Some(Advice::Shed(Tier::Pool, _))));
        assert_eq!(budget.check(at(604), costs(5, [0, 0, 0, 50])), None);
        assert_eq!(budget.check(at(605), costs(5, [0, 0, 0, 50])), Some(Advice::Retry(Tier::Pool)));
        assert_eq!(budget.check(at(606), costs(5, [0, 0, 0, 50])), None);
    }
}
