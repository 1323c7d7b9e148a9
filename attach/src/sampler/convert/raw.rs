//! Stacks as a recording meets them: chains of addresses, each held once, cheap to look up.
//!
//! A program's stacks repeat, and those that do not mostly differ in their innermost frames. So a stack is looked up by
//! hashes that run from its outermost frame inwards, beginning with that of the whole: what was met before, in the
//! same state of the address space, is found at once, and only the rest is taken apart into nodes.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};

/// A position in [`RawStacks`]; that of a stack is its innermost frame's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NodeId(pub(super) u32);

/// A position in the converter's list of places that code was mapped from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OriginId(pub(super) u32);

/// An address as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    pub(super) location: Location,
}

/// Further stacks are not taken: with some 96 bytes for each, they would fill three gigabytes.
const NODES_MAX: usize = 1 << 25;

/// Stacks of addresses.
#[derive(Default)]
pub(super) struct RawStacks {
    nodes: Vec<Node>,
    by_node: FxHashMap<Node, NodeId>,
    met: HashTable<Met>,
    /// The hashes of the stack that is looked up, from its outermost frame inwards.
    hashes: Vec<u64>,
}

/// A stack, or a part of one from its outermost frame inwards, as it was met.
struct Met {
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
        self.hashes.clear();
        let mut hasher = FxHasher::default();
        hasher.write_u64(epoch);
        for &address in addresses.iter().rev() {
            hasher.write_u64(address);
            self.hashes.push(hasher.finish());
        }
        let known = (0..addresses.len()).find_map(|skip| Some((skip, self.find(epoch, &addresses[skip..])?)));
        let (new, mut node) = known.map_or((addresses.len(), None), |(new, node)| (new, Some(node)));
        if self.nodes.len() + new > NODES_MAX {
            return None;
        }
        for (index, &address) in addresses[..new].iter().enumerate().rev() {
            let innermost =
                self.node(Node { caller: node, location: Location { origin: origin(address), address } });
            let hash = self.hashes[addresses.len() - 1 - index];
            self.met.insert_unique(hash, Met { hash, epoch, innermost }, |met| met.hash);
            node = Some(innermost);
        }
        node
    }

    /// The stack of these addresses, innermost first, which are the outermost ones of those that are looked up.
    fn find(&self, epoch: u64, addresses: &[u64]) -> Option<NodeId> {
        let is_this = |met: &Met| {
            let mut node = Some(met.innermost);
            let mut same = |&address: &u64| {
                let Some(NodeId(id)) = node else { return false };
                let Node { caller, location } = self.nodes[id as usize];
                node = caller;
                location.address == address
            };
            met.epoch == epoch && addresses.iter().all(&mut same) && node.is_none()
        };
        self.met.find(self.hashes[addresses.len() - 1], is_this).map(|met| met.innermost)
    }

    fn node(&mut self, node: Node) -> NodeId {
        *self.by_node.entry(node).or_insert_with(|| {
            self.nodes.push(node);
            NodeId(self.nodes.len() as u32 - 1)
        })
    }

    /// The nodes, without what only served to find them. A caller stands before what it calls.
    pub(super) fn into_nodes(self) -> Vec<Node> {
        self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEWHERE: Option<OriginId> = Some(OriginId(0));

    #[test]
    fn equal_stacks_are_one_and_share_their_callers() {
        let mut stacks = RawStacks::default();
        let deep = stacks.intern(1, &[30, 20, 10], |_| SOMEWHERE);
        assert_eq!(stacks.intern(1, &[30, 20, 10], |_| unreachable!("it was met")), deep);
        assert_eq!(stacks.intern(1, &[20, 10], |_| unreachable!("it was met")), Some(NodeId(1)));
        let other = stacks.intern(1, &[31, 20, 10], |address| {
            assert_eq!(address, 31, "its callers were met");
            SOMEWHERE
        });
        assert_ne!(other, deep);
        assert_eq!(stacks.into_nodes().len(), 4);
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
