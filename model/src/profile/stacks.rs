//! Chains of frames, as a tree that grows from the outermost frame: stacks that begin alike share what they share.
//!
//! A caller's few callees are a list, which is gone through: they are as a rule added one after the other, so they lie side by side, where one
//! table of all pairs of a caller and a frame would have each of them in another place of the memory. A caller with many callees has those in a
//! table beside.

use hashbrown::HashTable;
use std::hash::BuildHasher;

use super::{FrameId, Seeded};

/// Callees of one caller that are gone through.
const LIST_MAX: u32 = 8;
const NONE: u32 = u32::MAX;
const MANY: u32 = u32::MAX - 1;

/// A stack's position in its [`Stacks`]: the node of its innermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub u32);

/// Stacks, each held once. A caller's identifier is always smaller than its callee's.
#[derive(Clone, Debug)]
pub struct Stacks {
    nodes: Vec<Node>,
    /// Of those without a caller, as [`Node::callee`].
    outermost: u32,
    /// The callees of callers that have many.
    of_many: HashTable<StackId>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    caller: u32,
    frame: FrameId,
    /// The callee that was added last, from which the list goes on; or [`MANY`].
    callee: u32,
    /// The caller's callee that was added before.
    sibling: u32,
}

impl Stacks {
    /// The stack `caller` with one more frame inside it.
    pub fn push(&mut self, caller: Option<StackId>, frame: FrameId) -> StackId {
        let last = caller.map_or(self.outermost, |caller| self.nodes[caller.0 as usize].callee);
        if last == MANY {
            let found = self.of_many.find(hash(number(caller), frame), |&StackId(callee)| {
                let node = &self.nodes[callee as usize];
                node.frame == frame && node.caller == number(caller)
            });
            return found.copied().unwrap_or_else(|| self.add_to_many(caller, frame));
        }
        let (mut callee, mut listed) = (last, 0);
        while callee != NONE {
            let node = &self.nodes[callee as usize];
            if node.frame == frame {
                return StackId(callee);
            }
            callee = node.sibling;
            listed += 1;
        }
        if listed == LIST_MAX {
            let mut callee = last;
            while callee != NONE {
                self.put_into_table(StackId(callee));
                callee = self.nodes[callee as usize].sibling;
            }
            return self.add_to_many(caller, frame);
        }
        self.add(caller, frame, last)
    }

    fn add(&mut self, caller: Option<StackId>, frame: FrameId, sibling: u32) -> StackId {
        let id = self.nodes.len() as u32;
        self.nodes.push(Node { caller: number(caller), frame, callee: NONE, sibling });
        *self.callee_of(caller) = id;
        StackId(id)
    }

    fn add_to_many(&mut self, caller: Option<StackId>, frame: FrameId) -> StackId {
        let id = self.add(caller, frame, NONE);
        *self.callee_of(caller) = MANY;
        self.put_into_table(id);
        id
    }

    fn put_into_table(&mut self, id: StackId) {
        let nodes = &self.nodes;
        let hash_of = |id: &StackId| hash(nodes[id.0 as usize].caller, nodes[id.0 as usize].frame);
        self.of_many.insert_unique(hash_of(&id), id, hash_of);
    }

    fn callee_of(&mut self, caller: Option<StackId>) -> &mut u32 {
        match caller {
            Some(caller) => &mut self.nodes[caller.0 as usize].callee,
            None => &mut self.outermost,
        }
    }

    /// The stack of these frames, from the outermost to the innermost; `None` of no frames.
    pub fn intern(&mut self, frames: impl IntoIterator<Item = FrameId>) -> Option<StackId> {
        frames.into_iter().fold(None, |caller, frame| Some(self.push(caller, frame)))
    }

    /// The innermost frame.
    ///
    /// # Panics
    /// If the identifier is another table's.
    pub fn frame(&self, id: StackId) -> FrameId {
        self.nodes[id.0 as usize].frame
    }

    /// The stack of the caller; `None` of an outermost frame.
    ///
    /// # Panics
    /// If the identifier is another table's.
    pub fn caller(&self, id: StackId) -> Option<StackId> {
        self.nodes[id.0 as usize].caller()
    }

    /// The frames from the outermost to the innermost.
    pub fn frames(&self, id: Option<StackId>) -> Vec<FrameId> {
        let mut frames: Vec<_> =
            std::iter::successors(id, |&id| self.caller(id)).map(|id| self.frame(id)).collect();
        frames.reverse();
        frames
    }

    /// Every node as its caller and its frame, by identifier.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Option<StackId>, FrameId)> + '_ {
        self.nodes.iter().map(|node| (node.caller(), node.frame))
    }
}

impl Node {
    fn caller(&self) -> Option<StackId> {
        (self.caller != NONE).then_some(StackId(self.caller))
    }
}

impl Default for Stacks {
    fn default() -> Self {
        Self { nodes: Vec::new(), outermost: NONE, of_many: HashTable::new() }
    }
}

fn number(caller: Option<StackId>) -> u32 {
    caller.map_or(NONE, |caller| caller.0)
}

fn hash(caller: u32, frame: FrameId) -> u64 {
    Seeded.hash_one((caller, frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_with_many_callees_finds_each_again() {
        for callees in [1, LIST_MAX, LIST_MAX + 1, LIST_MAX + 2, 1000] {
            let mut stacks = Stacks::default();
            let top = stacks.push(None, FrameId(0));
            let mut made = Vec::new();
            for frame in 0..callees {
                // Outermost ones, and those of two callers.
                let caller = Some(stacks.push(None, FrameId(frame)));
                made.push((caller, frame, stacks.push(caller, FrameId(frame))));
                made.push((Some(top), frame, stacks.push(Some(top), FrameId(frame))));
            }
            let count = stacks.iter().len();
            for (caller, frame, id) in made {
                assert_eq!(stacks.push(caller, FrameId(frame)), id);
                assert_eq!((stacks.caller(id), stacks.frame(id)), (caller, FrameId(frame)));
            }
            assert_eq!(stacks.iter().len(), count, "nothing is there twice");
            assert_eq!(count, 3 * callees as usize - 1);
        }
    }
}
