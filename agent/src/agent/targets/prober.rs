//! The BPF programs that all targets share: loaded when the first target asks for probes.

use attach::libuv::observe::Observer;
use attach::libuv::probes::{Attachment, ProbeError, ProbeOptions, Probes, Readings, SlowIteration};
use attach::libuv::tiers::Tiers;
use attach::target::ProcessError;
use model::catalogue;
use model::label::{LabelValue, ProbeLoss, Tier};
use model::snapshot::{SharedLabels, Snapshot, Value};

use super::budget::Costs;
use crate::console;

/// Places probes, or has said why it cannot.
#[derive(Default)]
pub(super) struct Prober {
    probes: Option<Probes>,
    /// Why loading was refused, if it was tried: what it needs does not come while the program runs.
    refused: Option<String>,
}

impl Prober {
    /// Places the probes of these tiers on a process; where that is not possible at all, gives the reason. What is not possible
    /// is told.
    pub(super) fn attach(
        &mut self,
        observer: &Observer,
        tiers: Tiers,
        slow_ns: u64,
    ) -> Result<Attachment, String> {
        let (attached, pid) = (observer.attach(self.probes()?, tiers, slow_ns), observer.pid());
        match attached {
            Ok(attachment) => {
                for (tier, refusal) in attachment.refused() {
                    console::line(format_args!("process {pid}: the tier {tier} is not possible: {refusal}"));
                }
                Ok(attachment)
            }
            Err(error) => {
                console::line(format_args!("process {pid}: no probes: {error}"));
                Err(error.to_string())
            }
        }
    }

    /// Places the probes of one more tier.
    pub(super) fn attach_tier(&mut self, attachment: &mut Attachment, observer: &Observer, tier: Tier) {
        let Some(probes) = &mut self.probes else { return };
        if let Err(error) = observer.attach_tier(probes, attachment, tier) {
            console::line(format_args!("the tier {tier} is not possible: {error}"));
        }
    }

    /// Lets an observer take up the loops that probes have seen.
    pub(super) fn show_loops(
        &self,
        attachment: &Attachment,
        observer: &mut Observer,
    ) -> Result<(), ProcessError> {
        self.probes.as_ref().map_or(Ok(()), |probes| observer.take_up_seen(probes, attachment))
    }

    /// Likewise, the loop of an iteration.
    pub(super) fn show_loop(
        &self,
        attachment: &Attachment,
        observer: &mut Observer,
        iteration: &SlowIteration,
    ) -> Result<(), ProcessError> {
        let probes = self.probes.as_ref();
        probes.map_or(Ok(()), |probes| observer.take_up_iterated(iteration, probes, attachment))
    }

    /// Takes the probes of one tier away.
    pub(super) fn detach_tier(&mut self, attachment: &mut Attachment, tier: Tier) {
        if let Some(probes) = &mut self.probes {
            probes.detach_tier(attachment, tier);
        }
    }

    /// Sets another time from which on an iteration is slow.
    pub(super) fn set_slow(&mut self, attachment: &Attachment, slow_ns: u64) {
        let Some(probes) = &mut self.probes else { return };
        if let Err(error) = probes.set_slow(attachment, slow_ns) {
            console::line(format_args!("slow iterations are counted as before: {error}"));
        }
    }

    /// Takes all probes of a process away.
    pub(super) fn detach(&mut self, attachment: Attachment) {
        if let Some(probes) = &mut self.probes {
            probes.detach(attachment);
        }
    }

    /// Forgets what was measured of threads that have ended.
    pub(super) fn forget_ended_threads(&mut self, attachment: &Attachment, is_alive: &dyn Fn(u32) -> bool) {
        if let Some(probes) = &mut self.probes {
            probes.forget_ended_threads(attachment, is_alive);
        }
    }

    /// How often a process ran into its probes, by tier.
    pub(super) fn hits(&self, attachment: &Attachment) -> Costs {
        self.probes.as_ref().map_or_else(Costs::default, |probes| probes.hits(attachment))
    }

    /// The slow iterations since the last time.
    pub(super) fn slow_iterations(&mut self) -> Vec<SlowIteration> {
        let mut taken = Vec::new();
        if let Some(probes) = &mut self.probes {
            probes.slow_iterations(|iteration| taken.push(iteration));
        }
        taken
    }

    /// What all probes have measured; `None` where there are none.
    pub(super) fn collect(&self) -> Option<Readings> {
        let collected = self.probes.as_ref()?.collect();
        collected.map_err(|error: ProbeError| console::line(format_args!("cannot read probes: {error}"))).ok()
    }

    /// Adds what was lost, and the slow iterations that were missed elsewhere.
    pub(super) fn add_to(&self, missed: Option<u64>, snapshot: &mut Snapshot) {
        let losses = self.probes.as_ref().map(Probes::losses);
        for cause in ProbeLoss::ALL {
            let of_probes = losses.map(|losses| losses[*cause as usize]);
            let missed = missed.filter(|_| *cause == ProbeLoss::EventsFull);
            let Some(lost) = [of_probes, missed].into_iter().flatten().reduce(u64::saturating_add) else {
                continue;
            };
            let lost = Value::Counter(lost);
            let none = SharedLabels::default();
            snapshot.push(&catalogue::LOOPSCOPE_PROBE_LOSSES, &none, &[cause.as_str()], lost);
        }
    }

    fn probes(&mut self) -> Result<&mut Probes, String> {
        if let Some(reason) = &self.refused {
            return Err(reason.clone());
        }
        if self.probes.is_none() {
            match Probes::load(&ProbeOptions::default()) {
                Ok(probes) => self.probes = Some(probes),
                Err(error) => {
                    console::line(format_args!(
                        "no probes can be placed, only the tier observe is possible: {error}"
                    ));
                    let reason = self.refused.insert(error.to_string());
                    return Err(reason.clone());
                }
            }
        }
        Ok(self.probes.as_mut().expect("they have just been loaded"))
    }
}
