//! What the table tells of a process beside its series.

use attach::libuv::probes::Attachment;
use model::label::Tier;

use super::Outside;
use crate::top::ProcessNotes;

impl Outside {
    /// What is known of the process since this was last asked.
    pub(in crate::agent::targets) fn take_notes(&mut self) -> ProcessNotes {
        let missing = self.asked.iter().filter(|&tier| !self.active().has(tier));
        ProcessNotes {
            missing: missing.map(|tier| (tier, self.why_missing(tier))).collect(),
            unseen_ns: self.observer.take_unseen_ns().into_iter().collect(),
        }
    }

    fn why_missing(&self, tier: Tier) -> String {
        let refused = self.attachment.as_ref().map_or(&[][..], Attachment::refused);
        if let Some((_, refusal)) = refused.iter().find(|(refused, _)| *refused == tier) {
            return refusal.to_string();
        }
        match &self.no_probes {
            Some(reason) => reason.clone(),
            None if self.sampling.is_some() && tier == Tier::Pool => {
                "it costs more than the budget, and only samples".to_owned()
            }
            None if self.budget.has_shed(tier) => "its probes cost more than the budget".to_owned(),
            None => "its probes could not be placed".to_owned(),
        }
    }
}
