//! Other settings for a process that is measured already.

use attach::target::Facts;
use model::label::Tier;
use model::snapshot::SharedLabels;

use super::super::prober::Prober;
use super::Outside;
use crate::config::{Decision, Settings};

impl Outside {
    /// Goes on by other settings: what is measured already goes on where it is, and what is new begins. Whether the process is
    /// still to be measured.
    pub(in crate::agent::targets) fn reconfigure(
        &mut self,
        settings: &Settings,
        prober: &mut Prober,
    ) -> bool {
        // Where it cannot be read any more, it has ended, and its next reading tells so.
        let Ok(facts) = Facts::read(&self.process) else { return true };
        let Decision::Measure { tiers, service } = settings.rules.decide(&facts) else { return false };
        self.is_profiled = settings.rules.profiles(&facts);
        let service = service.unwrap_or(facts.service);
        let before = (self.asked, self.service.clone());
        if service != self.service {
            self.labels = SharedLabels::new([("service", &*service), ("pid", &self.pid().to_string())]);
            self.service = service;
        }
        let slow_ns = settings.slow.as_nanos() as u64;
        if let (Some(attachment), true) = (&self.attachment, slow_ns != self.slow_ns) {
            prober.set_slow(attachment, slow_ns);
        }
        self.slow_ns = slow_ns;
        self.asked = tiers.with_needed();
        self.budget.reconfigure(settings.budget, self.asked);
        self.change_probes(prober);
        if before != (self.asked, self.service.clone()) {
            self.tell();
        }
        true
    }

    /// Places the probes that are missing for what is asked, and takes away those that nobody asks for.
    fn change_probes(&mut self, prober: &mut Prober) {
        let wanted = self.asked.probes();
        if wanted.is_empty() {
            self.detach(prober);
            return;
        }
        if let Some(sampling) = self.sampling.take_if(|_| !wanted.has(Tier::Pool)) {
            prober.detach(sampling);
        }
        let Some(attachment) = &mut self.attachment else { return self.place_probes(prober) };
        for &tier in Tier::ALL {
            let is_refused = attachment.refused().iter().any(|(refused, _)| *refused == tier);
            // Phases need the tier loop, which comes before them.
            let lacks_loop = tier == Tier::Phases && !attachment.tiers().has(Tier::Loop);
            match (wanted.has(tier), attachment.tiers().has(tier)) {
                (true, false) if !is_refused && !lacks_loop && !self.budget.has_shed(tier) => {
                    prober.attach_tier(attachment, &self.observer, tier);
                }
                (false, true) => prober.detach_tier(attachment, tier),
                _ => {}
            }
        }
    }
}
