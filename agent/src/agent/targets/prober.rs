//! The BPF programs that all targets share: loaded when the first target asks for probes.

use attach::libuv::locate::Located;
use attach::libuv::probes::{Attachment, Measured, ProbeError, ProbeOptions, Probes};
use attach::libuv::tiers::Tiers;
use attach::target::Pid;
use model::catalogue;
use model::label::{LabelValue, ProbeLoss, Tier};
use model::snapshot::{SharedLabels, Snapshot, Value};

use crate::console;

/// Places probes, or has said why it cannot.
#[derive(Default)]
pub(super) struct Prober {
    probes: Option<Probes>,
    /// Loading was tried and refused: what it needs does not come while the program runs.
    refused: bool,
}

impl Prober {
    /// Places the probes of these tiers on a process; `None` where that is not possible at all. What is not possible is
    /// told.
    pub(super) fn attach(
        &mut self,
        pid: Pid,
        located: &Located,
        tiers: Tiers,
        slow_ns: u64,
    ) -> Option<Attachment> {
        let attached = self.probes()?.attach(pid, located, tiers, slow_ns);
        match attached {
            Ok(attachment) => {
                for (tier, refusal) in attachment.refused() {
                    console::line(format_args!("process {pid}: the tier {tier} is not possible: {refusal}"));
                }
                Some(attachment)
            }
            Err(error) => {
                console::line(format_args!("process {pid}: no probes: {error}"));
                None
            }
        }
    }

    /// Places the probes of one more tier.
    pub(super) fn attach_tier(&mut self, attachment: &mut Attachment, located: &Located, tier: Tier) {
        let Some(probes) = &mut self.probes else { return };
        if let Err(error) = probes.attach_tier(attachment, located, tier) {
            console::line(format_args!("the tier {tier} is not possible: {error}"));
        }
    }

    /// Takes the probes of one tier away.
    pub(super) fn detach_tier(&mut self, attachment: &mut Attachment, tier: Tier) {
        if let Some(probes) = &mut self.probes {
            probes.detach_tier(attachment, tier);
        }
    }

    /// Takes all probes of a process away.
    pub(super) fn detach(&mut self, attachment: Attachment) {
        if let Some(probes) = &mut self.probes {
            probes.detach(attachment);
        }
    }

    /// What the probes of a process have measured since they were placed.
    pub(super) fn read(&mut self, attachment: &Attachment) -> Option<Measured> {
        let measured = self.probes.as_mut()?.read(attachment);
        measured.map_err(|error: ProbeError| console::line(format_args!("cannot read probes: {error}"))).ok()
    }

    /// Adds what was lost.
    pub(super) fn add_to(&self, snapshot: &mut Snapshot) {
        let Some(probes) = &self.probes else { return };
        let losses = probes.losses();
        for cause in ProbeLoss::ALL {
            let lost = Value::Counter(losses[*cause as usize]);
            let none = SharedLabels::default();
            snapshot.push(&catalogue::LOOPSCOPE_PROBE_LOSSES, &none, &[cause.as_str()], lost);
        }
    }

    fn probes(&mut self) -> Option<&mut Probes> {
        if self.probes.is_none() && !self.refused {
            match Probes::load(&ProbeOptions::default()) {
                Ok(probes) => self.probes = Some(probes),
                Err(error) => {
                    self.refused = true;
                    console::line(format_args!(
                        "no probes can be placed, only the tier observe is possible: {error}"
                    ));
                }
            }
        }
        self.probes.as_mut()
    }
}
