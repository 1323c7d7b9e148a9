//! Samples added up: how often each stack was seen, and the tree that the stacks form.
//!
//! Formats without a time line start here. [`by_stack`] keeps what the profile tells apart (addresses, lines, threads
//! of one name); a [`CallTree`] keeps only what a reader sees: names. For those with a time line there is [`by_thread`].

mod call_tree;

pub use call_tree::{CallTree, Node};

use model::profile::{Profile, Sample, StackId, ThreadId};
use rustc_hash::FxHashMap;

/// All samples that a thread spent in one stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackTotal {
    /// The thread.
    pub thread: ThreadId,
    /// The stack, or `None` where it is not known.
    pub stack: Option<StackId>,
    /// How many samples.
    pub samples: u64,
    /// The sum of their weights; saturates.
    pub weight: u64,
}

/// Adds up the samples of equal thread and stack. Sorted by thread, then by stack.
pub fn by_stack(profile: &Profile) -> Vec<StackTotal> {
    let mut positions: FxHashMap<(ThreadId, Option<StackId>), usize> = FxHashMap::default();
    let mut totals: Vec<StackTotal> = Vec::new();
    for sample in &profile.samples {
        let position = *positions.entry((sample.thread, sample.stack)).or_insert(totals.len());
        if position == totals.len() {
            totals.push(StackTotal { thread: sample.thread, stack: sample.stack, samples: 0, weight: 0 });
        }
        totals[position].samples += 1;
        totals[position].weight = totals[position].weight.saturating_add(sample.weight);
    }
    totals.sort_unstable_by_key(|total| (total.thread, total.stack));
    totals
}

/// The samples of each thread that has any, by ascending time.
pub fn by_thread(profile: &Profile) -> Vec<(ThreadId, Vec<&Sample>)> {
    let mut threads: Vec<_> =
        (0..profile.threads.len() as u32).map(|thread| (ThreadId(thread), Vec::new())).collect();
    for sample in &profile.samples {
        threads[sample.thread.0 as usize].1.push(sample);
    }
    threads.retain(|(_, samples)| !samples.is_empty());
    threads
}
