//! The addresses of a recording, each once, whatever stacks it is on.

use rustc_hash::FxHashMap;

use super::raw::{Location, Node, NodeId};

/// The locations of all nodes, each once.
pub(super) struct Locations {
    pub(super) rows: Vec<Location>,
    of_node: Vec<u32>,
}

impl Locations {
    pub(super) fn of(nodes: &[Node]) -> Self {
        let mut by_row: FxHashMap<Location, u32> = FxHashMap::default();
        let mut rows = Vec::new();
        let mut intern = |node: &Node| {
            *by_row.entry(node.location).or_insert_with(|| {
                rows.push(node.location);
                rows.len() as u32 - 1
            })
        };
        let of_node = nodes.iter().map(&mut intern).collect();
        Self { rows, of_node }
    }

    /// The position of a node's location.
    pub(super) fn position(&self, node: NodeId) -> u32 {
        self.of_node[node.0 as usize]
    }
}
