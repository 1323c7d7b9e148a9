//! Who called whom, by name, with how much was spent where.
//!
//! Below the roots, one for each thread name, a node stands for all frames with the same callers, name and kind of
//! code: addresses, lines and inlining tell no nodes apart.
//!
//! Nodes lie in one array in depth-first order, children sorted by name, so that a format writes the tree in one pass
//! over a slice, without recursion (stacks may be deeper than ours) and with the same bytes for the same profile.

mod growing;

use model::profile::{FrameId, FrameKind, Profile};

use super::{StackTotal, by_stack};
use growing::Growing;

/// A call tree; see the module.
#[derive(Clone, Debug, Default)]
pub struct CallTree<'a> {
    nodes: Vec<Node<'a>>,
}

/// All calls of one function by the same callers, or the root of all threads of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// The function's name, or the thread's.
    pub name: &'a str,
    /// One of the frames that the node stands for; `None` of a root.
    pub frame: Option<FrameId>,
    /// The kind of code; `None` of a root.
    pub kind: Option<FrameKind>,
    /// The number of callers: zero of a root.
    pub depth: usize,
    /// What was spent in the function itself, in the profile's weight. Of a root: the samples without a stack.
    pub self_weight: u64,
    /// What was spent in the function and all that it called; saturates.
    pub total_weight: u64,
    /// The position after the last of the node's descendants.
    pub end: usize,
}

impl<'a> CallTree<'a> {
    /// The call tree of a profile.
    pub fn new(profile: &'a Profile) -> Self {
        let mut totals = by_stack(profile);
        let thread_name = |total: &StackTotal| profile.threads[total.thread.0 as usize].name;
        totals.sort_by(|a, b| profile.text(thread_name(a)).cmp(profile.text(thread_name(b))));

        let mut growing = Growing::new(profile);
        for same_name in totals.chunk_by(|a, b| thread_name(a) == thread_name(b)) {
            growing.add_root(thread_name(&same_name[0]), same_name);
        }
        CallTree { nodes: growing.finish() }
    }

    /// All nodes in depth-first order; those without a caller are the roots.
    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    /// The positions of the roots, by name.
    pub fn roots(&self) -> impl Iterator<Item = usize> + '_ {
        self.siblings(0, self.nodes.len())
    }

    /// The positions of a node's children, by name.
    pub fn children(&self, position: usize) -> impl Iterator<Item = usize> + '_ {
        self.siblings(position + 1, self.nodes[position].end)
    }

    /// The weight of the whole profile; saturates.
    pub fn total_weight(&self) -> u64 {
        self.roots().fold(0, |sum, root| sum.saturating_add(self.nodes[root].total_weight))
    }

    fn siblings(&self, first: usize, end: usize) -> impl Iterator<Item = usize> + '_ {
        let existing = move |position: &usize| *position < end;
        std::iter::successors(Some(first).filter(existing), move |&position| {
            Some(self.nodes[position].end).filter(existing)
        })
    }
}
