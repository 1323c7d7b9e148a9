//! Stacks as a recording meets them: chains of addresses, each held once, cheap to look up.
//!
//! A program's stacks repeat. A stack that was met before, in the same state of the address space, is found by
//! one hash over its addresses; only a new one is taken apart into nodes.

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;

/// A position in [`RawStacks`]; that of a stack is its innermost frame's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) u32);

/// A position in the converter's list of places that code was mapped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OriginId(pub(super) u32);

/// An address as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Location {
    /// Where its code was mapped from; `None` where nothing was mapped.
    pub(super) origin: Option<OriginId>,
    /// The address in the process or the kernel.
    pub(super) address: u64,
}

/// A frame within its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) caller: Option<NodeId>,
    pub(super) location: u32,
}

/// Further stacks are not taken: at some 40 bytes each, nodes would fill more than a gigabyte.
const NODES_MAX: usize = 1 << 25;

/// Stacks of addresses.
#[derive(Default)]
pub(super) struct RawStacks {
    pub(super) locations: Vec<Location>,
    by_location: FxHashMap<Location, u32>,
    pub(super) nodes: Vec<Node>,
    by_node: FxHashMap<Node, NodeId>,
    whole: HashTable<Whole>,
}

/// A stack that was met.
struct Whole {
    hash: u64,
    epoch: u64,
    innermost: NodeId,
}

impl RawStacks {
    /// The stack of these addresses, innermost first. `origin` tells where an address was mapped from.
    ///
    /// `None` of a new stack when the bound is reached, and of an empty one.
    pub(super) fn intern(
        &mut self,
        epoch: u64,
        addresses: &[u64],
        mut origin: impl FnMut(u64) -> Option<OriginId>,
    ) -> Option<NodeId> {
        let hash = FxBuildHasher.hash_one((epoch, addresses));
        let (nodes, locations) = (&self.nodes, &self.locations);
        let is_this = |whole: &Whole| {
            let mut node = Some(whole.innermost);
            let mut same = |&address: &u64| {
                let Some(NodeId(id)) = node else { return false };
                let Node { caller, location } = nodes[id as usize];
                node = caller;
                locations[location as usize].address == address
            };
            whole.epoch == epoch && addresses.iter().all(&mut same) && node.is_none()
        };
        if let Some(whole) = self.whole.find(hash, is_this) {
            return Some(whole.innermost);
        }
        if self.nodes.len() + addresses.len() > NODES_MAX {
            return None;
        }
        let mut node = None;
        for &address in addresses.iter().rev() {
            let location = self.location(Location { origin: origin(address), address });
            node = Some(self.node(Node { caller: node, location }));
        }
        let innermost = node?;
        self.whole.insert_unique(hash, Whole { hash, epoch, innermost }, |whole| whole.hash);
        Some(innermost)
    }

    fn location(&mut self, location: Location) -> u32 {
        *self.by_location.entry(location).or_insert_with(|| {
            self.locations.push(location);
            self.locations.len() as u32 - 1
        })
    }

    fn node(&mut self, node: Node) -> NodeId {
        *self.by_node.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            NodeId(self.nodes.len() as u32 - 1)
        })
    }

    /// Locations and nodes, without what only served to find them.
    pub(super) fn into_tables(self) -> (Vec<Location>, Vec<Node>) {
        (self.locations, self.nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_stacks_are_one_and_share_their_callers() {
        let mut stacks = RawStacks::default();
        let origin = |_| Some(OriginId(0));
        let deep = stacks.intern(1, &[30, 20, 10], origin);
        assert_eq!(stacks.intern(1, &[30, 20, 10], |_| unreachable!("known")), deep);
        assert_ne!(stacks.intern(1, &[31, 20, 10], origin), deep);
        assert_ne!(stacks.intern(1, &[20, 10], origin), deep);
        assert_eq!((stacks.nodes.len(), stacks.locations.len()), (4, 4));
    }

    #[test]
    fn a_changed_address_space_asks_for_origins_again() {
        let mut stacks = RawStacks::default();
        let before = stacks.intern(1, &[20, 10], |_| None);
        let after = stacks.intern(2, &[20, 10], |_| Some(OriginId(7)));
        assert_ne!(before, after);
        assert_eq!(stacks.intern(3, &[20, 10], |_| Some(OriginId(7))), after);
    }

    #[test]
    fn no_addresses_are_no_stack() {
        assert_eq!(RawStacks::default().intern(1, &[], |_| None), None);
    }
}
