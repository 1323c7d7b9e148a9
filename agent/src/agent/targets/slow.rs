//! Slow iterations of all targets: one list, whether probes told them or the programs themselves.

use model::label::TargetError;
use model::time::Monotonic;

use super::Targets;
use super::finder::Target;
use super::outside::Outside;
use super::published::{self, Published};
use crate::agent::slow_log::Entry;
use crate::clock;

impl Targets {
    /// Takes the slow iterations that probes have told and, if it is time, those that are published; tells when to do it next.
    pub(super) fn take_slow(&mut self, now: Monotonic) -> Monotonic {
        let mut entries = self.probed(&[]);
        if now >= self.next_look {
            self.next_look = now.plus_ns(published::LOOK_EVERY_NS);
            let slow_ns = self.discovery.find().settings().slow.as_nanos() as u64;
            for (_, target) in self.discovery.targets_mut() {
                let Target::Published(published) = target else { continue };
                let losses = published.take_slow(&self.host, slow_ns, self.began, &mut entries);
                let missed = self.missed.get_or_insert(0);
                *missed = missed.saturating_add(losses.missed);
                if losses.refused > 0 {
                    self.own.count(Some(TargetError::Invalid));
                }
            }
        }
        self.keep_slow(entries);
        let is_published = self.discovery.targets().any(|target| matches!(target, Target::Published(_)));
        if is_published { self.next_look } else { self.next_scan }
    }

    /// Takes what probes have told, while these, too, still have their places among the probes' figures: soon they are others'.
    pub(super) fn take_last_probed(&mut self, parting: &[&Outside]) {
        let entries = self.probed(parting);
        self.keep_slow(entries);
    }

    /// What probes have told of the targets, and of those that are being parted from.
    fn probed(&mut self, parting: &[&Outside]) -> Vec<Entry> {
        let slow = self.prober.slow_iterations();
        for (_, target) in self.discovery.targets_mut() {
            if let Target::Outside(outside) = target {
                outside.take_up_loops_of(&slow, &self.prober);
            }
        }
        let entries = slow.iter().filter_map(|iteration| {
            let targets = self.discovery.targets().filter_map(Target::outside);
            let mut all = targets.chain(parting.iter().copied());
            all.find_map(|outside| outside.slow_entry(iteration, &self.host))
        });
        entries.collect()
    }

    /// Takes what a process published between the last look and its end, which its memory still holds.
    pub(super) fn take_last(&mut self, mut published: Published) {
        let slow_ns = self.discovery.find().settings().slow.as_nanos() as u64;
        let mut entries = Vec::new();
        let losses = published.take_slow(&self.host, slow_ns, self.began, &mut entries);
        self.missed = Some(self.missed.unwrap_or(0).saturating_add(losses.missed));
        self.keep_slow(entries);
    }

    fn keep_slow(&mut self, mut entries: Vec<Entry>) {
        // Each target's are in their order already.
        entries.sort_by_key(|entry| entry.ended);
        let moment = clock::now();
        for mut entry in entries {
            if let Some(spans) = self.links.spans.as_mut().filter(|_| entry.ended > self.began) {
                spans.push(&mut entry, moment);
            }
            self.links.slow_log.push(entry);
        }
        if let Some(spans) = &mut self.links.spans {
            spans.flush();
        }
    }
}
