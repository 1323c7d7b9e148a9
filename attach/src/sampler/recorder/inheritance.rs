//! Which of a thread's events count, where it has two sets of them.
//!
//! A thread that is started while events are being opened may have inherited some from the thread that started it, and
//! gets its own when it is found; and the threads that it starts inherit both. Their samples would count twice. They
//! tell which event they come from, so only those of one set are kept: a thread's own, or for the threads that it starts,
//! its. Threads that were there from the beginning, and what they start, have one set only and are not looked at.

use std::collections::HashMap;

/// The threads that may have two sets of events.
#[derive(Default)]
pub(crate) struct Inheritance {
    /// The thread that each event was opened on.
    owners: HashMap<u64, u32>,
    /// The thread whose events count for a thread: itself, or the one that it comes from.
    heirs: HashMap<u32, u32>,
}

impl Inheritance {
    /// Takes what is known of another process.
    pub(crate) fn join(&mut self, other: Self) {
        self.owners.extend(other.owners);
        self.heirs.extend(other.heirs);
    }

    /// Forgets what events that are closed were opened on.
    pub(crate) fn forget(&mut self, is_closed: impl Fn(u32) -> bool) {
        self.owners.retain(|_, owner| !is_closed(*owner));
        self.heirs.retain(|tid, _| !is_closed(*tid));
    }

    /// An event was opened on a thread that may have inherited others.
    pub(crate) fn opened(&mut self, tid: u32, event: u64) {
        self.owners.insert(event, tid);
        self.heirs.insert(tid, tid);
    }

    /// A thread started another.
    pub(crate) fn forked(&mut self, parent_tid: u32, tid: u32) {
        // A thread that has events of its own may be told to be started only now: its record waited in the ring.
        if let Some(&owner) = self.heirs.get(&parent_tid) {
            self.heirs.entry(tid).or_insert(owner);
        }
    }

    /// A thread ended; its number may be used again.
    pub(crate) fn exited(&mut self, tid: u32) {
        self.heirs.remove(&tid);
    }

    /// Whether a sample of the thread by this event counts.
    pub(crate) fn counts(&self, tid: u32, event: u64) -> bool {
        self.heirs.get(&tid).is_none_or(|owner| self.owners.get(&event) == Some(owner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOUND_FIRST: u64 = 1;
    const OWN: u64 = 2;

    #[test]
    fn a_thread_with_events_of_its_own_counts_by_them_alone() {
        let mut inheritance = Inheritance::default();
        inheritance.opened(8, OWN);
        assert!(inheritance.counts(8, OWN));
        assert!(!inheritance.counts(8, FOUND_FIRST), "inherited from thread 7");
        assert!(inheritance.counts(7, FOUND_FIRST));
    }

    #[test]
    fn what_such_a_thread_starts_counts_by_its_events() {
        let mut inheritance = Inheritance::default();
        inheritance.opened(8, OWN);
        inheritance.forked(7, 8);
        inheritance.forked(8, 9);
        inheritance.forked(9, 10);
        for tid in [8, 9, 10] {
            assert!(inheritance.counts(tid, OWN) && !inheritance.counts(tid, FOUND_FIRST), "{tid}");
        }
        inheritance.forked(7, 11);
        assert!(inheritance.counts(11, FOUND_FIRST));
    }

    #[test]
    fn a_number_that_is_used_again_begins_anew() {
        let mut inheritance = Inheritance::default();
        inheritance.opened(8, OWN);
        inheritance.exited(8);
        inheritance.forked(7, 8);
        assert!(inheritance.counts(8, FOUND_FIRST));
    }
}
