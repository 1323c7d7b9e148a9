//! A tree as Pyroscope's clients draw it: level by level, with each node's distance from the one before.

use formats::pyroscope_server::FlameGraph;

use crate::query::{self, Tree};

/// What the root is called.
const ROOT: &str = "total";
/// What Pyroscope's clients call nodes that were left out.
const OTHER: &str = "other";

/// The graph of one query.
pub(super) fn single(tree: &Tree) -> FlameGraph {
    let mut graph = laid_out(tree, 1);
    graph.total = tree.total()[0];
    graph
}

/// The graph of two queries; the second is the right side.
pub(super) fn of_two(tree: &Tree) -> FlameGraph {
    let mut graph = laid_out(tree, 2);
    graph.sides = tree.total();
    graph.total = graph.sides[0].saturating_add(graph.sides[1]);
    graph
}

fn laid_out(tree: &Tree, columns: usize) -> FlameGraph {
    let mut callees: Vec<Vec<u32>> = vec![Vec::new(); tree.nodes.len()];
    for (position, node) in (0..).zip(&tree.nodes) {
        if let Some(parent) = node.parent {
            callees[parent as usize].push(position);
        }
    }
    let mut graph = FlameGraph {
        names: tree
            .names
            .iter()
            .map(|name| if name == query::OTHER { OTHER.to_owned() } else { name.clone() })
            .collect(),
        ..FlameGraph::default()
    };
    if let Some(root) = graph.names.first_mut() {
        *root = ROOT.to_owned();
    }
    // By level: where the last node ends, on each side.
    let mut ends: Vec<[i64; 2]> = Vec::new();
    let mut open = if tree.nodes.is_empty() { Vec::new() } else { vec![(0_u32, 0_usize, [0_i64; 2])] };
    while let Some((position, level, start)) = open.pop() {
        let node = tree.nodes[position as usize];
        if graph.levels.len() == level {
            graph.levels.push(Vec::new());
            ends.push([0; 2]);
        }
        for column in 0..columns {
            let (own, total) = (node.own[column].max(0), node.total[column].max(0));
            graph.max_self = graph.max_self.max(own);
            let distance = start[column].saturating_sub(ends[level][column]);
            graph.levels[level].extend([distance, total, own]);
            ends[level][column] = start[column].saturating_add(total);
        }
        graph.levels[level].push(node.name.into());
        let mut at = start;
        for (sum, own) in at.iter_mut().zip(node.own) {
            *sum = sum.saturating_add(own.max(0));
        }
        let first = open.len();
        for &callee in &callees[position as usize] {
            open.push((callee, level + 1, at));
            for (sum, total) in at.iter_mut().zip(tree.nodes[callee as usize].total) {
                *sum = sum.saturating_add(total.max(0));
            }
        }
        // The leftmost is next.
        open[first..].reverse();
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Node;

    #[test]
    fn nodes_lie_within_their_callers_and_tell_their_distance() {
        let node = |parent, name, own, total| Node { parent, name, own: [own, 0], total: [total, 0] };
        let tree = Tree {
            names: ["", "a", "b", "c"].map(str::to_owned).to_vec(),
            nodes: vec![
                node(None, 0, 0, 10),
                node(Some(0), 1, 1, 6),
                node(Some(0), 2, 4, 4),
                node(Some(1), 3, 2, 2),
                node(Some(1), 2, 3, 3),
            ],
        };
        let graph = single(&tree);
        assert_eq!(graph.names, ["total", "a", "b", "c"]);
        assert_eq!(
            graph.levels,
            [vec![0, 10, 0, 0], vec![0, 6, 1, 1, 0, 4, 4, 2], vec![1, 2, 2, 3, 0, 3, 3, 2]]
        );
        assert_eq!((graph.total, graph.max_self), (10, 4));
    }

    #[test]
    fn sums_saturate() {
        let node = |parent, own| Node { parent, name: 0, own: [own; 2], total: [i64::MAX; 2] };
        let nodes = vec![node(None, 0), node(Some(0), i64::MAX), node(Some(0), i64::MAX)];
        let graph = of_two(&Tree { names: vec![String::new()], nodes });
        assert_eq!((graph.total, graph.max_self, graph.levels.len()), (i64::MAX, i64::MAX, 2));
    }
}
