//! Chains of frames, as a tree that grows from the outermost frame: stacks that begin alike share what they share.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::FrameId;

/// A stack's position in its [`Stacks`]: the node of its innermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId(pub u32);

/// Stacks, each held once. A caller's identifier is always smaller than its callee's.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    nodes: Vec<(Option<StackId>, FrameId)>,
    by_node: HashMap<(Option<StackId>, FrameId), StackId, FxBuildHasher>,
}

impl Stacks {
    /// The stack `caller` with one more frame inside it.
    pub fn push(&mut self, caller: Option<StackId>, frame: FrameId) -> StackId {
        *self.by_node.entry((caller, frame)).or_insert_with(|| {
            self.nodes.push((caller, frame));
            StackId(self.nodes.len() as u32 - 1)
        })
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
        self.nodes[id.0 as usize].1
    }

    /// The stack of the caller; `None` of an outermost frame.
    ///
    /// # Panics
    /// If the identifier is another table's.
    pub fn caller(&self, id: StackId) -> Option<StackId> {
        self.nodes[id.0 as usize].0
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
        self.nodes.iter().copied()
    }
}
