//! What the picture shows: the frames that are wide enough, in their places, before any pixel is drawn.
//!
//! Callees are ordered by what was spent in them, most first, so that the hot path is at the left and what is left out
//! is at the right. The order by name that is usual elsewhere puts hot beside cold at random. Phases of the loop are the
//! exception: they keep the loop's own order.

use std::cmp::Reverse;

use model::profile::{FrameKind, Profile};

use super::paint::Meaning;
use super::symbols::{Symbol, Symbols};
use crate::aggregate::CallTree;

/// The frames to draw.
pub(super) struct Picture<'a> {
    /// In depth-first order; the first is the root that all threads stand on. Empty if nothing was sampled.
    pub(super) nodes: Vec<Node>,
    /// What the nodes are.
    pub(super) symbols: Symbols<'a>,
    /// The number of rows.
    pub(super) rows: u32,
    /// How many frames were too narrow.
    pub(super) left_out: usize,
    /// What was spent in them.
    pub(super) left_out_weight: u64,
}

/// A frame in its place.
#[derive(Clone, Copy)]
pub(super) struct Node {
    /// The row; zero is the root's.
    pub(super) depth: u32,
    /// The weight to the left of it.
    pub(super) start: u64,
    /// What was spent in it and all that it called: its width.
    pub(super) total: u64,
    /// What was spent in callees that were left out.
    pub(super) left_out: u64,
    /// A position in [`Symbols::all`].
    pub(super) symbol: u32,
}

impl<'a> Picture<'a> {
    /// The picture of a call tree, without the frames that weigh less than `min_weight`.
    pub(super) fn new(profile: &'a Profile, calls: &CallTree<'a>, min_weight: f64) -> Self {
        let picture = Self {
            nodes: Vec::new(),
            symbols: Symbols::new(profile),
            rows: 0,
            left_out: 0,
            left_out_weight: 0,
        };
        let mut placing = Placing { calls, min_weight, picture, pending: Vec::new() };
        if calls.total_weight() > 0 {
            placing.place_all();
        }
        placing.picture
    }

    /// What was spent in all that was sampled: the width of the picture.
    pub(super) fn total(&self) -> u64 {
        self.nodes.first().map_or(0, |root| root.total)
    }

    /// What the node is.
    pub(super) fn symbol(&self, node: &Node) -> &Symbol {
        &self.symbols.all[node.symbol as usize]
    }
}

/// A picture under construction.
struct Placing<'a, 'b> {
    calls: &'b CallTree<'a>,
    min_weight: f64,
    picture: Picture<'a>,
    pending: Vec<Place>,
}

/// Where a node of the call tree belongs; its turn comes after those to the left of it and all that they called.
struct Place {
    position: usize,
    depth: u32,
    start: u64,
}

impl Placing<'_, '_> {
    fn place_all(&mut self) {
        let symbol = self.picture.symbols.of_root(Meaning::All, "all");
        let root = Node { depth: 0, start: 0, total: self.calls.total_weight(), left_out: 0, symbol };
        self.push(root, self.calls.roots());
        while let Some(Place { position, depth, start }) = self.pending.pop() {
            let call = &self.calls.nodes()[position];
            let symbol = match call.frame {
                None => self.picture.symbols.of_root(Meaning::Thread, call.name),
                Some(frame) => self.picture.symbols.of_frame(frame),
            };
            let node = Node { depth, start, total: call.total_weight, left_out: 0, symbol };
            self.push(node, self.calls.children(position));
        }
    }

    fn push(&mut self, mut node: Node, callees: impl Iterator<Item = usize>) {
        let calls = self.calls.nodes();
        let first = self.pending.len();
        for position in callees {
            let weight = calls[position].total_weight;
            if weight > 0 && weight as f64 >= self.min_weight {
                self.pending.push(Place { position, depth: node.depth + 1, start: 0 });
            } else {
                node.left_out = node.left_out.saturating_add(weight);
                self.picture.left_out += calls[position].end - position;
            }
        }
        let callees = &mut self.pending[first..];
        callees.sort_unstable_by_key(|callee| {
            let call = &calls[callee.position];
            let phase = match call.kind {
                Some(FrameKind::Phase(phase)) => Some(phase),
                _ => None,
            };
            (phase.is_none(), phase, Reverse(call.total_weight), callee.position)
        });
        let mut start = node.start;
        for callee in callees.iter_mut() {
            callee.start = start;
            start = start.saturating_add(calls[callee.position].total_weight);
        }
        callees.reverse();
        self.picture.rows = self.picture.rows.max(node.depth + 1);
        self.picture.left_out_weight = self.picture.left_out_weight.saturating_add(node.left_out);
        self.picture.nodes.push(node);
    }
}
