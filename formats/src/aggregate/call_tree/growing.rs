//! How a call tree is made from stacks: without recursion, and in time that grows with the number of stacks.

use model::profile::{FrameId, FrameKind, Profile, StackId, StringId};
use rustc_hash::FxHashMap;

use super::{Node, StackTotal};

/// What tells the children of a node apart: the position of a name and kind in their sorted order.
type Rank = u32;

/// A tree under construction: nodes in the order in which they were found, callers before callees.
pub(super) struct Growing<'a> {
    profile: &'a Profile,
    /// By frame.
    ranks: Vec<Rank>,
    nodes: Vec<GrowingNode>,
    /// Callees by caller, but for the first of each caller: most functions on a stack have only that one.
    further_callees: FxHashMap<(u32, Rank), u32>,
    /// By stack: the node, and the root it belongs to; another root's entry is void.
    of_stack: Vec<(u32, u32)>,
}

struct GrowingNode {
    name: StringId,
    frame: Option<FrameId>,
    caller: Option<u32>,
    first_callee: Option<u32>,
    rank: Rank,
    self_weight: u64,
    total_weight: u64,
}

impl<'a> Growing<'a> {
    pub(super) fn new(profile: &'a Profile) -> Self {
        Self {
            profile,
            ranks: ranks(profile),
            nodes: Vec::new(),
            further_callees: FxHashMap::default(),
            of_stack: vec![(u32::MAX, u32::MAX); profile.stacks.iter().len()],
        }
    }

    /// Adds the stacks of all threads with this name.
    pub(super) fn add_root(&mut self, name: StringId, totals: &[StackTotal]) {
        let root = self.nodes.len() as u32;
        self.nodes.push(GrowingNode {
            name,
            frame: None,
            caller: None,
            first_callee: None,
            rank: root,
            self_weight: 0,
            total_weight: 0,
        });
        let mut unknown = Vec::new();
        for total in totals {
            let node = total.stack.map_or(root, |stack| self.node_of(root, stack, &mut unknown));
            let spent = &mut self.nodes[node as usize].self_weight;
            *spent = spent.saturating_add(total.weight);
        }
    }

    /// The node of a stack's innermost frame. `unknown` is scratch space.
    fn node_of(&mut self, root: u32, stack: StackId, unknown: &mut Vec<StackId>) -> u32 {
        let mut at = Some(stack);
        let mut node = root;
        while let Some(stack) = at {
            let (known, its_root) = self.of_stack[stack.0 as usize];
            if its_root == root {
                node = known;
                break;
            }
            unknown.push(stack);
            at = self.profile.stacks.caller(stack);
        }
        while let Some(stack) = unknown.pop() {
            node = self.callee(node, self.profile.stacks.frame(stack));
            self.of_stack[stack.0 as usize] = (node, root);
        }
        node
    }

    fn callee(&mut self, caller: u32, frame: FrameId) -> u32 {
        let rank = self.ranks[frame.0 as usize];
        let new = self.nodes.len() as u32;
        let first = *self.nodes[caller as usize].first_callee.get_or_insert(new);
        let is_first = first == new || self.nodes[first as usize].rank == rank;
        let callee =
            if is_first { first } else { *self.further_callees.entry((caller, rank)).or_insert(new) };
        if callee == new {
            self.nodes.push(GrowingNode {
                name: self.profile.frames.get(frame).function,
                frame: Some(frame),
                caller: Some(caller),
                first_callee: None,
                rank,
                self_weight: 0,
                total_weight: 0,
            });
        }
        callee
    }

    /// The nodes, depth first.
    pub(super) fn finish(mut self) -> Vec<Node<'a>> {
        for position in (0..self.nodes.len()).rev() {
            let node = &mut self.nodes[position];
            node.total_weight = node.total_weight.saturating_add(node.self_weight);
            let total = node.total_weight;
            if let Some(caller) = node.caller {
                let sum = &mut self.nodes[caller as usize].total_weight;
                *sum = sum.saturating_add(total);
            }
        }
        self.depth_first()
    }

    fn depth_first(&self) -> Vec<Node<'a>> {
        let (roots, first_callee, callees) = self.callees();
        let mut sorted: Vec<Node<'a>> = Vec::with_capacity(self.nodes.len());
        let mut open: Vec<usize> = Vec::new();
        let mut pending: Vec<(u32, usize)> = roots.iter().rev().map(|&root| (root, 0)).collect();
        while let Some((position, depth)) = pending.pop() {
            close(&mut sorted, &mut open, depth);
            open.push(sorted.len());
            let node = &self.nodes[position as usize];
            sorted.push(Node {
                name: self.profile.text(node.name),
                frame: node.frame,
                kind: node.frame.map(|frame| self.profile.frames.get(frame).kind),
                depth,
                self_weight: node.self_weight,
                total_weight: node.total_weight,
                end: 0,
            });
            let callees = &callees[first_callee[position as usize]..first_callee[position as usize + 1]];
            pending.extend(callees.iter().rev().map(|&callee| (callee, depth + 1)));
        }
        close(&mut sorted, &mut open, 0);
        sorted
    }

    /// The roots; by node, where its callees begin; and all callees. Roots and callees of one node stand in order.
    fn callees(&self) -> (Vec<u32>, Vec<usize>, Vec<u32>) {
        let mut roots = Vec::new();
        let mut ends = vec![0; self.nodes.len() + 1];
        for (position, node) in (0..).zip(&self.nodes) {
            match node.caller {
                Some(caller) => ends[caller as usize] += 1,
                None => roots.push(position),
            }
        }
        let mut end = 0;
        for of_node in &mut ends {
            end += *of_node;
            *of_node = end;
        }
        // Filling each node's range from its end turns the ends into beginnings.
        let mut begins = ends;
        let mut callees = vec![0; end];
        for (position, node) in (0..).zip(&self.nodes) {
            if let Some(caller) = node.caller {
                begins[caller as usize] -= 1;
                callees[begins[caller as usize]] = position;
            }
        }
        for node in 0..self.nodes.len() {
            callees[begins[node]..begins[node + 1]]
                .sort_unstable_by_key(|&at: &u32| self.nodes[at as usize].rank);
        }
        (roots, begins, callees)
    }
}

/// Ends all open nodes from `depth` inwards.
fn close(nodes: &mut [Node<'_>], open: &mut Vec<usize>, depth: usize) {
    let end = nodes.len();
    for position in open.drain(depth..) {
        nodes[position].end = end;
    }
}

/// Each frame's place in the order by name, then kind. Frames that differ in neither share one.
fn ranks(profile: &Profile) -> Vec<Rank> {
    let frames: Vec<_> = profile.frames.iter().collect();
    let key = |frame: u32| {
        let frame = &frames[frame as usize];
        (profile.text(frame.function), kind_order(frame.kind))
    };
    let mut sorted: Vec<u32> = (0..frames.len() as u32).collect();
    sorted.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)));
    let mut ranks = vec![0; frames.len()];
    for (rank, alike) in sorted.chunk_by(|&a, &b| key(a) == key(b)).enumerate() {
        for &frame in alike {
            ranks[frame as usize] = rank as Rank;
        }
    }
    ranks
}

fn kind_order(kind: FrameKind) -> u8 {
    match kind {
        FrameKind::Phase(_) => 0,
        FrameKind::Native => 1,
        FrameKind::Jit => 2,
        FrameKind::Kernel => 3,
        FrameKind::Unknown => 4,
    }
}
