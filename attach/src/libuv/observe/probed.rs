//! What a process's memory and its probes tell each other: probes see loops that no reading catches, and memory tells of the iteration that
//! was under way when probes were placed.

use model::label::Tier;

use super::super::probes::{Attachment, Begun, ProbeError, Probes, SlowIteration};
use super::super::tiers::Tiers;
use super::doing::Doing;
use super::loops::{self, ObservedLoop};
use super::threads::Seen;
use super::{Observer, ProcessError};
use crate::sys::process::now;

impl Observer {
    /// Places the probes of some tiers on the process, and tells them of the iterations that are under way.
    ///
    /// # Errors
    /// As [`Probes::attach`].
    pub fn attach(&self, probes: &mut Probes, tiers: Tiers, slow_ns: u64) -> Result<Attachment, ProbeError> {
        let attachment = probes.attach(self.remote.pid(), &self.located, tiers, slow_ns)?;
        self.tell_begun(probes, &attachment);
        Ok(attachment)
    }

    /// Likewise, the probes of one more tier.
    ///
    /// # Errors
    /// As [`Probes::attach`].
    pub fn attach_tier(
        &self,
        probes: &mut Probes,
        attachment: &mut Attachment,
        tier: Tier,
    ) -> Result<(), ProbeError> {
        probes.attach_tier(attachment, &self.located, tier)?;
        self.tell_begun(probes, attachment);
        Ok(())
    }

    /// Takes up the loops that probes of this process have seen.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where the process has ended.
    pub fn take_up_seen(&mut self, probes: &Probes, attachment: &Attachment) -> Result<(), ProcessError> {
        if !self.pids_are_the_kernels {
            return Ok(());
        }
        for tid in self.threads.without(&self.loops) {
            if let Some((loop_address, stack)) = probes.loop_of(attachment, tid) {
                self.take_up(&Seen { tid, loop_address, stack })?;
            }
        }
        Ok(())
    }

    /// Takes up the loop of an iteration that probes of this process have seen, if it is not known yet.
    ///
    /// # Errors
    /// As [`Observer::take_up_seen`].
    pub fn take_up_iterated(
        &mut self,
        iteration: &SlowIteration,
        probes: &Probes,
        attachment: &Attachment,
    ) -> Result<(), ProcessError> {
        let is_known = self.name_of(iteration.loop_address).is_some();
        if is_known || !self.pids_are_the_kernels || self.has_loop(iteration.tid) {
            return Ok(());
        }
        match probes.loop_of(attachment, iteration.tid) {
            Some((loop_address, stack)) if loop_address == iteration.loop_address => {
                self.take_up(&Seen { tid: iteration.tid, loop_address, stack })
            }
            _ => Ok(()),
        }
    }

    fn take_up(&mut self, seen: &Seen) -> Result<(), ProcessError> {
        let taken = self.threads.take_up(&self.remote, &self.located, seen, now())?;
        self.loops.extend(taken);
        Ok(())
    }

    fn has_loop(&self, tid: u32) -> bool {
        self.loops.iter().any(|observed| self.tid_of(observed) == tid)
    }

    /// Tells probes that have just been placed of the iterations that are under way: of a loop that is in its poll, when it came there. So
    /// the first iteration is measured whole, however long, and loops within one of its callbacks are known as such.
    fn tell_begun(&self, probes: &Probes, attachment: &Attachment) {
        if !self.pids_are_the_kernels || !attachment.tiers().has(Tier::Loop) {
            return;
        }
        for observed in &self.loops {
            if let Some(begun) = self.begun(observed) {
                probes.tell_begun(attachment, &begun, self.located.is_node());
            }
        }
    }

    /// Where a loop is; `None` where that cannot be read, or nothing tells that it is its thread that runs it.
    fn begun(&self, observed: &ObservedLoop) -> Option<Begun> {
        let tid = self.tid_of(observed);
        let layout = &self.located.libuv.image.layout;
        let asked = now();
        let state = loops::read_one(&self.remote, layout, observed.address).ok()??;
        let mut begun = state.begun(tid, observed.address);
        if self.located.is_node() {
            return Some(begun);
        }
        // Of other programs any thread may run the default loop.
        let is_there = matches!(Doing::of(self.remote.pid(), tid), Doing::Polls(waiting)
            if waiting.descriptor == state.backend_fd() as u64);
        // One that does not keep its idle time has a probe behind its wait, and all that follows is counted from here.
        if !begun.keeps_idle {
            begun.entered_ns = Some(asked.as_ns());
        }
        is_there.then_some(begun)
    }
}
