//! Iterations that had begun when probes were placed, and loops by the threads that run them.

use bytemuck::Zeroable;

use super::{Attachment, Probes, abi};

/// An iteration that began before probes were placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Begun {
    /// The thread, by its id in the outermost pid namespace.
    pub(in super::super) tid: u32,
    pub(in super::super) loop_address: u64,
    /// Where the loop's internal fields are.
    pub(in super::super) internal: u64,
    /// Whether the loop keeps its idle time.
    pub(in super::super) keeps_idle: bool,
    /// When it came to its poll, where it is; `None` where it is not.
    pub(in super::super) entered_ns: Option<u64>,
    /// The idle time that it had by then.
    pub(in super::super) idle_ns: u64,
    /// The events that it had by then.
    pub(in super::super) events: u64,
}

impl Probes {
    /// The loop that probes have seen on a thread, and where on its stack it runs.
    pub(in super::super) fn loop_of(&self, attachment: &Attachment, tid: u32) -> Option<(u64, u64)> {
        let (_, thread) = self.thread_of(attachment.slot(), tid);
        thread.filter(|thread| thread.loop_address != 0).map(|thread| (thread.loop_address, thread.stack))
    }

    /// Tells the programs of an iteration that is under way. What they have seen of the loop themselves stands: only that began later. A
    /// loop of which it `is_outermost` for sure takes the place of one that they took for it: one that runs within a callback.
    ///
    /// What happens between our look and our word is a matter of microseconds: the iteration after it may then be counted as one with it.
    pub(in super::super) fn tell_begun(&self, attachment: &Attachment, begun: &Begun, is_outermost: bool) {
        let threads = self.loaded.map("threads");
        let slot = attachment.slot();
        // If it fails, the iteration is not measured, as without our word.
        let (key, there) = self.thread_of(slot, begun.tid);
        let Some(mut thread) = there else {
            let _ = threads.insert(&key, bytemuck::bytes_of(&abi::Thread::told(slot, begun)));
            return;
        };
        let is_same = thread.loop_address == begun.loop_address;
        match is_same {
            true if thread.entered_ns == 0 => thread.tell_iteration(begun),
            false if thread.loop_address == 0 || is_outermost || begun.entered_ns.is_some() => {
                thread.tell_loop(begun);
            }
            _ => return,
        }
        let _ = threads.update(&key, bytemuck::bytes_of(&thread));
    }

    fn thread_of(&self, slot: u32, tid: u32) -> ([u8; 8], Option<abi::Thread>) {
        let key = (u64::from(slot) << 32 | u64::from(tid)).to_ne_bytes();
        let mut thread = abi::Thread::zeroed();
        let found = self.loaded.map("threads").lookup(&key, bytemuck::bytes_of_mut(&mut thread));
        (key, found.is_ok_and(|is_there| is_there).then_some(thread))
    }
}
