//! What probes may cost a process, and what becomes of a tier that costs more.
//!
//! The cost is an estimate: hits times the time of one. It is looked at over windows of some seconds, so that a burst
//! does not end a tier, and a tier that was shed is tried again after a while: load changes.
//!
//! The tier `pool` is not shed but *sampled*: its probes stand for a turn, and then they are away for as long as that turn was too dear.
//! One task does not need the other to be understood, as an iteration's phases need the iteration.

use attach::libuv::tiers::Tiers;
use model::label::Tier;
use model::time::Monotonic;

/// The length of a window.
const WINDOW_NS: u64 = 5_000_000_000;

/// How long a tier that was shed stays away.
const RETRY_NS: u64 = 600_000_000_000;

/// How long probes stand in a turn: tasks that take longer from their submission to their end are not seen whole.
const TURN_NS: u64 = 2_000_000_000;

/// The estimated cost of each tier so far, in nanoseconds of CPU time, by [`Tier`].
pub(super) type Costs = [u64; Tier::ALL.len()];

/// Watches the cost of one target.
#[derive(Debug)]
pub(super) struct Budget {
    /// The share of one core that probes may cost.
    share: f64,
    window: Option<(Monotonic, Costs)>,
    /// What those probes cost in the last window that stand all the time.
    used: f64,
    shed: Vec<(Tier, Monotonic)>,
    sampled: Option<Turns>,
}

/// What to do about a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Advice {
    /// A tier costs too much; with the share of a core that all of them cost.
    Shed(Tier, f64),
    /// The tier `pool` costs too much to measure every task, and is to be measured by turns; with the share of a core that all tiers cost.
    Sample(f64),
    /// The probes of the tier that is sampled are to be placed.
    BeginTurn,
    /// They are to be taken away.
    EndTurn,
    /// A tier that was shed long ago may be tried again, or one that has been sampled for long would now cost little enough all the time.
    Retry(Tier),
}

/// A tier that is measured by turns.
#[derive(Debug)]
struct Turns {
    /// Since when it is.
    since: Monotonic,
    /// The beginning of the turn that goes on, and the cost of all turns before it.
    turn: Option<(Monotonic, u64)>,
    due: Monotonic,
}

impl Turns {
    fn new(now: Monotonic) -> Self {
        Self { since: now, turn: None, due: now }
    }

    /// What to do now, if turns may take this share of a core and have cost so much up to now.
    fn next(&mut self, now: Monotonic, cost_ns: u64, share: f64) -> Option<Advice> {
        let Some((began, before)) = self.turn else {
            if now < self.due {
                return None;
            }
            self.turn = Some((now, cost_ns));
            return Some(Advice::BeginTurn);
        };
        let (lasted_ns, spent_ns) = (now.since_ns(began), cost_ns.saturating_sub(before));
        if lasted_ns < TURN_NS {
            return None;
        }
        let allowed_ns = share * lasted_ns as f64;
        if spent_ns as f64 > allowed_ns {
            self.turn = None;
            // What nothing is left for is as rare as can be.
            let affordable_every_ns = (spent_ns as f64 / share) as u64;
            self.due = now.plus_ns(affordable_every_ns.saturating_sub(lasted_ns).min(RETRY_NS));
            return Some(Advice::EndTurn);
        }
        // While little happens the next turn follows at once; but who works in bursts is not measured whole between two of them.
        self.turn = Some((now, cost_ns));
        let may_be_whole = now.since_ns(self.since) >= RETRY_NS && 2.0 * spent_ns as f64 <= allowed_ns;
        may_be_whole.then_some(Advice::Retry(Tier::Pool))
    }
}

impl Budget {
    pub(super) fn new(share: f64) -> Self {
        Self { share, window: None, used: 0.0, shed: Vec::new(), sampled: None }
    }

    /// Goes on with another share, and with these tiers: of others none is tried again.
    pub(super) fn reconfigure(&mut self, share: f64, tiers: Tiers) {
        self.share = share;
        self.shed.retain(|&(tier, _)| tiers.has(tier));
        self.sampled.take_if(|_| !tiers.has(Tier::Pool));
    }

    /// Whether a tier is away because it cost too much, be it for good or between two turns.
    pub(super) fn has_shed(&self, tier: Tier) -> bool {
        self.shed.iter().any(|&(shed, _)| shed == tier) || (tier == Tier::Pool && self.sampled.is_some())
    }

    /// The tier that was to be sampled cannot be: it is shed as others are.
    pub(super) fn refuse_turns(&mut self, now: Monotonic) {
        if self.sampled.take().is_some() {
            self.shed.push((Tier::Pool, now));
        }
    }

    /// Looks at the costs up to now: of the probes that stand all the time, and of those that stand by turns.
    pub(super) fn check(&mut self, now: Monotonic, costs: Costs, turns_cost_ns: u64) -> Option<Advice> {
        // Phases need the tier loop, which may have been shed after them.
        let has_what_it_needs = |tier| tier != Tier::Phases || !self.has_shed(Tier::Loop);
        let is_due =
            |&(tier, at): &(Tier, Monotonic)| now.since_ns(at) >= RETRY_NS && has_what_it_needs(tier);
        if let Some(position) = self.shed.iter().position(is_due) {
            self.window = None;
            return Some(Advice::Retry(self.shed.remove(position).0));
        }
        self.look_at_window(now, costs).or_else(|| self.take_turns(now, turns_cost_ns))
    }

    fn take_turns(&mut self, now: Monotonic, cost_ns: u64) -> Option<Advice> {
        let left = (self.share - self.used).max(0.0);
        let advice = self.sampled.as_mut()?.next(now, cost_ns, left);
        if matches!(advice, Some(Advice::Retry(_))) {
            (self.sampled, self.window) = (None, None);
        }
        advice
    }

    fn look_at_window(&mut self, now: Monotonic, costs: Costs) -> Option<Advice> {
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
        let share_of = |spent_ns: u64| spent_ns as f64 / elapsed_ns as f64;
        let total: u64 = Tier::ALL.iter().map(|&tier| spent(tier)).sum();
        self.used = share_of(total);
        if self.used <= self.share {
            return None;
        }
        let share = self.used;
        // What is away cost something until its probes were: that is no reason to take it away again.
        let stands = |tier: Tier| spent(tier) > 0 && !self.has_shed(tier);
        let standing = Tier::ALL.iter().copied().filter(|&tier| stands(tier));
        let dearest = standing.max_by_key(|&tier| spent(tier))?;
        // Phases are told within iterations: without the tier loop they would only cost.
        let needs_it = dearest == Tier::Loop && stands(Tier::Phases);
        let dearest = if needs_it { Tier::Phases } else { dearest };
        self.used -= share_of(spent(dearest));
        if dearest == Tier::Pool {
            self.sampled = Some(Turns::new(now));
            return Some(Advice::Sample(share));
        }
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
            assert_eq!(budget.check(at(second), costs(second, [0, 3, 3, 3]), 0), None);
        }
    }

    #[test]
    fn the_dearest_tier_goes_first_and_the_rest_is_looked_at_again() {
        let mut budget = Budget::new(0.01);
        assert_eq!(budget.check(at(0), costs(0, [0; 4]), 0), None);
        assert_eq!(budget.check(at(4), costs(4, [0, 2, 20, 5]), 0), None, "a window is not over");
        let advice = budget.check(at(5), costs(5, [0, 2, 20, 5]), 0);
        assert!(matches!(advice, Some(Advice::Shed(Tier::Phases, share)) if (share - 0.027).abs() < 1e-9));
        // The counters of a tier that is gone stand still.
        let mut later = costs(10, [0, 2, 0, 5]);
        later[Tier::Phases as usize] = costs(5, [0, 2, 20, 5])[Tier::Phases as usize];
        assert_eq!(budget.check(at(10), later, 0), None);
    }

    #[test]
    fn the_tier_loop_does_not_go_before_the_phases_that_need_it() {
        let mut budget = Budget::new(0.01);
        budget.check(at(0), costs(0, [0; 4]), 0);
        let advice = budget.check(at(5), costs(5, [0, 30, 20, 5]), 0);
        assert!(matches!(advice, Some(Advice::Shed(Tier::Phases, _))), "{advice:?}");
    }

    #[test]
    fn a_tier_is_shed_once_though_it_was_hit_until_its_probes_were_away() {
        let mut budget = Budget::new(0.0001);
        budget.check(at(0), costs(0, [0; 4]), 0);
        assert!(matches!(
            budget.check(at(5), costs(5, [0, 3, 6, 0]), 0),
            Some(Advice::Shed(Tier::Phases, _))
        ));
        // Between the reading and the end of its probes.
        let phases_ns = costs(5, [0, 0, 6, 0])[Tier::Phases as usize] + 20_000;
        let later = |seconds, polls| {
            let mut later = costs(seconds, [0, polls, 0, 0]);
            later[Tier::Phases as usize] = phases_ns;
            later
        };
        assert!(matches!(budget.check(at(10), later(10, 3), 0), Some(Advice::Shed(Tier::Loop, _))));
        let mut stopped = later(10, 3);
        stopped[Tier::Loop as usize] += 20_000;
        for second in 11..610 {
            assert_eq!(budget.check(at(second), stopped, 0), None, "after {second} s");
        }
        let again = [610, 611, 612].map(|second| budget.check(at(second), stopped, 0));
        assert_eq!(again, [Some(Advice::Retry(Tier::Loop)), Some(Advice::Retry(Tier::Phases)), None]);
    }

    #[test]
    fn a_tier_that_is_away_is_never_the_dearest() {
        let mut budget = Budget::new(0.01);
        budget.check(at(0), costs(0, [0; 4]), 0);
        let before = costs(5, [0, 2, 50, 0]);
        assert!(matches!(budget.check(at(5), before, 0), Some(Advice::Shed(Tier::Phases, _))));
        // It was hit for long, as on a machine that has no time to take its probes away.
        let mut late = before;
        late[Tier::Phases as usize] += SECOND_NS;
        assert_eq!(budget.check(at(10), late, 0), None, "nothing is left to shed");
        let mut later = late;
        later[Tier::Phases as usize] += SECOND_NS;
        later[Tier::Loop as usize] += SECOND_NS / 10;
        assert!(matches!(budget.check(at(15), later, 0), Some(Advice::Shed(Tier::Loop, _))));
    }

    #[test]
    fn a_tier_that_is_no_longer_asked_for_is_not_tried_again() {
        let mut budget = Budget::new(0.01);
        budget.check(at(0), costs(0, [0; 4]), 0);
        budget.check(at(5), costs(5, [0, 0, 30, 50]), 0);
        budget.check(at(10), costs(10, [0, 0, 30, 25]), 0);
        assert!(budget.has_shed(Tier::Pool) && budget.has_shed(Tier::Phases));
        budget.reconfigure(0.5, Tiers::only(Tier::Loop));
        assert!(!budget.has_shed(Tier::Pool) && !budget.has_shed(Tier::Phases));
        for second in 605..620 {
            assert_eq!(
                budget.check(at(second), costs(second, [0, 5, 30, 25]), 0),
                None,
                "the new share holds"
            );
        }
    }

    #[test]
    fn a_tier_that_was_shed_is_tried_again_after_a_while() {
        let mut budget = Budget::new(0.01);
        budget.check(at(0), costs(0, [0; 4]), 0);
        let spent = costs(5, [0, 0, 50, 0]);
        assert!(matches!(budget.check(at(5), spent, 0), Some(Advice::Shed(Tier::Phases, _))));
        assert_eq!(budget.check(at(604), spent, 0), None);
        assert_eq!(budget.check(at(605), spent, 0), Some(Advice::Retry(Tier::Phases)));
        assert_eq!(budget.check(at(606), spent, 0), None);
    }

    /// Costs after `seconds` of the loop's probes at this share of a core, in thousandths, where those of the pool have cost a second.
    fn costs_beside_the_pool(seconds: u64, polls: u64) -> Costs {
        let mut costs = costs(seconds, [0, polls, 0, 0]);
        costs[Tier::Pool as usize] = SECOND_NS;
        costs
    }

    /// A budget of this share, by which the pool is sampled from the sixth second on.
    fn sampling(share: f64, polls: u64) -> Budget {
        let mut budget = Budget::new(share);
        budget.check(at(0), costs(0, [0; 4]), 0);
        let advice = budget.check(at(5), costs_beside_the_pool(5, polls), 0);
        assert!(matches!(advice, Some(Advice::Sample(share)) if share >= 0.2), "{advice:?}");
        assert!(budget.has_shed(Tier::Pool));
        budget
    }

    /// A process whose tasks cost this share of a core while probes stand, looked at each second: what was advised, and what the turns cost.
    fn sample(
        budget: &mut Budget,
        last: u64,
        polls: u64,
        share: impl Fn(u64) -> f64,
    ) -> (Vec<(u64, Advice)>, u64) {
        let (mut advised, mut turns_ns, mut is_placed) = (Vec::new(), 0, false);
        for second in 6..last {
            turns_ns += if is_placed { (share(second) * SECOND_NS as f64) as u64 } else { 0 };
            if let Some(advice) = budget.check(at(second), costs_beside_the_pool(second, polls), turns_ns) {
                is_placed = advice == Advice::BeginTurn;
                advised.push((second, advice));
            }
        }
        (advised, turns_ns)
    }

    #[test]
    fn the_pool_is_sampled_as_often_as_the_budget_allows() {
        // At 20% of a core, and 0.8% left: two seconds of every fifty.
        let (advised, cost_ns) = sample(&mut sampling(0.01, 2), 606, 2, |_| 0.2);
        let turns = advised.iter().filter(|(_, advice)| *advice == Advice::BeginTurn).count();
        assert!((11..=13).contains(&turns), "{advised:?}");
        let spent = cost_ns as f64 / (600 * SECOND_NS) as f64;
        assert!((0.007..0.0095).contains(&spent), "{spent}");
    }

    #[test]
    fn a_pool_with_little_left_to_do_is_measured_whole_again_after_a_while() {
        let mut budget = sampling(0.01, 0);
        let advised = sample(&mut budget, 608, 0, |_| 0.003).0;
        assert_eq!(advised, [(6, Advice::BeginTurn), (606, Advice::Retry(Tier::Pool))]);
        assert!(!budget.has_shed(Tier::Pool));
    }

    #[test]
    fn a_pool_that_works_in_bursts_costs_no_more() {
        for (period, busy) in [(9, 6), (14, 6), (30, 1), (60, 20), (7, 1)] {
            let load = |second: u64| if second % period < busy { 0.2 } else { 0.0 };
            let (advised, cost_ns) = sample(&mut sampling(0.01, 2), 604, 2, load);
            let spent = cost_ns as f64 / (600 * SECOND_NS) as f64;
            // A turn may have just ended whose pause is still to come.
            assert!(spent <= 0.008 + 0.002, "{busy} of {period} s busy: {spent}");
            assert!(advised.iter().all(|(_, advice)| !matches!(advice, Advice::Retry(_))), "{advised:?}");
        }
    }

    #[test]
    fn phases_are_not_tried_again_before_the_tier_loop_that_they_need() {
        let mut budget = Budget::new(0.001);
        budget.check(at(0), costs(0, [0; 4]), 0);
        assert!(matches!(
            budget.check(at(5), costs(5, [0, 2, 9, 0]), 0),
            Some(Advice::Shed(Tier::Phases, _))
        ));
        let mut later = costs(10, [0, 2, 0, 0]);
        later[Tier::Phases as usize] = costs(5, [0, 0, 9, 0])[Tier::Phases as usize];
        assert!(matches!(budget.check(at(10), later, 0), Some(Advice::Shed(Tier::Loop, _))));
        assert_eq!(budget.check(at(606), later, 0), None);
        assert_eq!(budget.check(at(610), later, 0), Some(Advice::Retry(Tier::Loop)));
        assert_eq!(budget.check(at(611), later, 0), Some(Advice::Retry(Tier::Phases)));
    }

    #[test]
    fn with_nothing_left_a_turn_is_taken_as_rarely_as_tiers_are_tried_again() {
        let advised = sample(&mut sampling(0.001, 1), 700, 1, |_| 0.2).0;
        let begun =
            advised.iter().filter(|(_, advice)| *advice == Advice::BeginTurn).map(|(second, _)| *second);
        assert_eq!(begun.collect::<Vec<_>>(), [6, 608]);
    }

    #[test]
    fn a_pool_that_cannot_be_sampled_is_shed() {
        let mut budget = sampling(0.01, 0);
        budget.refuse_turns(at(6));
        assert_eq!(budget.check(at(7), costs_beside_the_pool(7, 0), 0), None);
        assert!(budget.has_shed(Tier::Pool));
        assert_eq!(budget.check(at(606), costs_beside_the_pool(606, 0), 0), Some(Advice::Retry(Tier::Pool)));
    }
}
