//! What the picture shows: the frames that are wide enough, in their places, before any pixel is drawn.
//!
//! Callees are ordered by what was spent in them, most first, so that the hot path is at the left and what is left out
//! is at the right. The order by name that is usual elsewhere puts hot beside cold at random. Phases of the loop are the
//! exception: they keep the loop's own order.

use std::cmp::Reverse;

use model::profile::{FrameKind, Profile};

use super::calls::{Calls, Group};
use super::paint::Meaning;
use super::symbols::{Symbol, Symbols};
use crate::aggregate::StackTotal;

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
    /// The picture of these stacks, without the frames that weigh less than this share of them all; of a comparison, with how much
    /// each frame changed.
    pub(super) fn new(
        profile: &'a Profile,
        totals: &[StackTotal],
        min_share: f64,
        changes: Option<&'a [i8]>,
    ) -> Self {
        let picture = Self {
            nodes: Vec::new(),
            symbols: Symbols::new(profile, changes),
            rows: 0,
            left_out: 0,
            left_out_weight: 0,
        };
        let total = weight_of(totals);
        let min_weight = total as f64 * min_share;
        let mut placing = Placing { profile, calls: Calls::new(profile), min_weight, picture };
        if total > 0 {
            placing.place_all(totals);
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
struct Placing<'a> {
    profile: &'a Profile,
    calls: Calls<'a>,
    min_weight: f64,
    picture: Picture<'a>,
}

/// Calls that have their place, but not their turn: that comes after those to the left and all that they called.
struct Place {
    group: Group,
    depth: u32,
    start: u64,
}

impl Placing<'_> {
    fn place_all(&mut self, totals: &[StackTotal]) {
        let profile = self.profile;
        let name = |total: &StackTotal| profile.text(profile.threads[total.thread.0 as usize].name);
        let mut totals = totals.to_vec();
        totals.sort_by_key(name);
        let mut threads: Vec<&[StackTotal]> = totals.chunk_by(|a, b| name(a) == name(b)).collect();
        threads.sort_by_key(|totals| Reverse(weight_of(totals)));

        let symbol = self.picture.symbols.of_root(Meaning::All, "all");
        let all = self.push(Node { depth: 0, start: 0, total: weight_of(&totals), left_out: 0, symbol });
        let mut start = 0;
        for totals in threads {
            let outermost = self.calls.take(totals);
            let total = weight_of(totals);
            if self.is_too_narrow(total) {
                let frames: usize = outermost.iter().map(|group| group.frames).sum();
                self.leave_out(all, total, 1 + frames);
                continue;
            }
            let symbol = self.picture.symbols.of_root(Meaning::Thread, name(&totals[0]));
            let thread = self.push(Node { depth: 1, start, total, left_out: 0, symbol });
            self.place_inside(thread, outermost);
            start = start.saturating_add(total);
        }
    }

    /// Places what the node at a position called, and all that those called.
    fn place_inside(&mut self, position: usize, outermost: Vec<Group>) {
        let mut pending = Vec::new();
        self.line_up(position, outermost, &mut pending);
        while let Some(Place { group, depth, start }) = pending.pop() {
            let symbol = self.picture.symbols.of_frame(group.frame);
            let position = self.push(Node { depth, start, total: group.total, left_out: 0, symbol });
            let callees = self.calls.callees(&group);
            self.line_up(position, callees, &mut pending);
        }
    }

    /// Gives the callees of the node at a position their places. The leftmost is the last, for it is next.
    fn line_up(&mut self, position: usize, callees: Vec<Group>, pending: &mut Vec<Place>) {
        let Node { depth, start, .. } = self.picture.nodes[position];
        let (narrow, mut shown): (Vec<_>, Vec<_>) =
            callees.into_iter().partition(|group| self.is_too_narrow(group.total));
        for group in narrow {
            self.leave_out(position, group.total, group.frames);
        }
        shown.sort_by_cached_key(|group| {
            let frame = self.profile.frames.get(group.frame);
            let phase = match frame.kind {
                FrameKind::Phase(phase) => Some(phase),
                _ => None,
            };
            (phase.is_none(), phase, Reverse(group.total), self.profile.text(frame.function))
        });
        let first = pending.len();
        let mut start = start;
        for group in shown {
            let right = start.saturating_add(group.total);
            pending.push(Place { group, depth: depth + 1, start });
            start = right;
        }
        pending[first..].reverse();
    }

    fn push(&mut self, node: Node) -> usize {
        self.picture.rows = self.picture.rows.max(node.depth + 1);
        self.picture.nodes.push(node);
        self.picture.nodes.len() - 1
    }

    fn is_too_narrow(&self, weight: u64) -> bool {
        weight == 0 || (weight as f64) < self.min_weight
    }

    fn leave_out(&mut self, caller: usize, weight: u64, frames: usize) {
        // What weighs nothing is missed by nobody.
        if weight == 0 {
            return;
        }
        let node = &mut self.picture.nodes[caller];
        node.left_out = node.left_out.saturating_add(weight);
        self.picture.left_out_weight = self.picture.left_out_weight.saturating_add(weight);
        self.picture.left_out += frames;
    }
}

fn weight_of(totals: &[StackTotal]) -> u64 {
    totals.iter().map(|total| total.weight).fold(0, u64::saturating_add)
}
