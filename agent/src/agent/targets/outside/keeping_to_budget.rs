//! What the probes of a process may cost it.

use attach::libuv::probes::HIT_NS;
use attach::libuv::tiers::Tiers;
use model::label::Tier;
use model::time::Monotonic;

use super::super::budget::{Advice, Costs};
use super::super::prober::Prober;
use super::Outside;
use crate::console;

impl Outside {
    /// Looks at what the probes cost, and takes away or places again what the budget says.
    pub(super) fn keep_to_the_budget(&mut self, now: Monotonic, prober: &mut Prober) {
        let Some(attachment) = &mut self.attachment else { return };
        let costs: Costs = prober.hits(attachment).map(|hits| hits * HIT_NS);
        let turns_hits =
            self.sampling.as_ref().map_or(0, |sampling| prober.hits(sampling)[Tier::Pool as usize]);
        let (pid, service) = (self.process.pid(), &self.service);
        let tell = |what: std::fmt::Arguments<'_>| {
            console::line(format_args!("process {pid} ({service}): {what}"));
        };
        let dear = |share: f64| {
            format!("probes cost an estimated {:.2}% of a core, more than the budget", 100.0 * share)
        };
        match self.budget.check(now, costs, turns_hits * HIT_NS) {
            None => {}
            Some(Advice::Shed(tier, share)) => {
                prober.detach_tier(attachment, tier);
                tell(format_args!("{}: the tier {tier} is shed for ten minutes", dear(share)));
            }
            Some(Advice::Sample(share)) => {
                prober.detach_tier(attachment, Tier::Pool);
                tell(format_args!(
                    "{}: the tier {} measures two seconds now and then, as often as the budget allows",
                    dear(share),
                    Tier::Pool
                ));
            }
            Some(Advice::BeginTurn) => self.begin_turn(now, prober),
            Some(Advice::EndTurn) => self.end_turn(prober),
            Some(Advice::Retry(tier)) => {
                prober.attach_tier(attachment, &self.observer, tier);
                tell(format_args!("the tier {tier} is tried again"));
                if tier == Tier::Pool {
                    self.end_turn(prober);
                }
            }
        }
    }

    fn begin_turn(&mut self, now: Monotonic, prober: &mut Prober) {
        match &mut self.sampling {
            Some(sampling) => prober.attach_tier(sampling, &self.observer, Tier::Pool),
            // What is sampled is kept apart from what was measured whole: it has a place of its own.
            none => {
                let tier = Tiers::only(Tier::Pool);
                *none = prober.attach(&self.observer, tier, self.slow_ns).ok();
            }
        }
        if self.sampling.is_none() {
            self.budget.refuse_turns(now);
        }
    }

    fn end_turn(&mut self, prober: &mut Prober) {
        if let Some(sampling) = &mut self.sampling {
            prober.detach_tier(sampling, Tier::Pool);
        }
    }
}
