//! A tree of calls, by the functions' names: of one query, or of two that are compared.

use formats::decode::Symbols;
use model::profile::{FrameId, StackId, Stacks};

use crate::store::{Dictionary, Group, OTHER};

/// The tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// The functions' names; the first is empty, the root's.
    pub names: Vec<String>,
    /// The nodes, callers before callees; the first is the root.
    pub nodes: Vec<Node>,
}

/// All calls of one function by the same callers; of two queries that are compared, the second is the base.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The caller's position; `None` of the root.
    pub parent: Option<u32>,
    /// A position in [`Tree::names`].
    pub name: u32,
    /// What was spent in the function itself.
    pub own: [i64; 2],
    /// What was spent in it and all that it called.
    pub total: [i64; 2],
}

impl Tree {
    /// The tree of a query's groups, and of a base's. With labels, these come between the root and the calls.
    pub fn new(groups: &[Group], base: &[Group], with_labels: bool) -> Self {
        let mut symbols = Symbols::default();
        let root = symbols.strings.intern("");
        let root = formats::decode::Place { function: root, file: root, line: 0 };
        let root = symbols.frames.intern(root);
        let root = symbols.stacks.push(None, root);
        let mut own: Vec<[i64; 2]> = vec![[0; 2]];
        for (column, groups) in [groups, base].into_iter().enumerate() {
            for group in groups {
                let mut top = root;
                if with_labels {
                    let values: Vec<&str> = group.labels.iter().map(|(_, value)| value).collect();
                    let name = if values.is_empty() { "(none)".to_owned() } else { values.join(", ") };
                    let frame = symbols.named(&name);
                    top = push(&mut symbols.stacks, &mut own, top, frame);
                }
                let merged = &group.merged;
                let mut nodes: Vec<StackId> = Vec::with_capacity(merged.values.len());
                let mut frames: Vec<Option<FrameId>> = vec![None; merged.symbols.frame_count()];
                for (stack, value) in merged.values.iter().enumerate() {
                    let (caller, frame) = merged.symbols.stack(stack as u32);
                    let name = || symbols.named(merged.symbols.place(frame).0);
                    let frame = *frames[frame as usize].get_or_insert_with(name);
                    let caller = caller.map_or(top, |caller| nodes[caller as usize]);
                    let node = push(&mut symbols.stacks, &mut own, caller, frame);
                    let sum = &mut own[node.0 as usize][column];
                    *sum = sum.saturating_add(*value);
                    nodes.push(node);
                }
            }
        }
        let mut nodes: Vec<Node> = own
            .into_iter()
            .zip(symbols.stacks.iter())
            .map(|(own, (caller, frame))| Node {
                parent: caller.map(|caller| caller.0),
                name: symbols.frames.get(frame).function.0,
                own,
                total: own,
            })
            .collect();
        for position in (1..nodes.len()).rev() {
            let Node { parent, total, .. } = nodes[position];
            let caller = &mut nodes[parent.unwrap_or(0) as usize];
            for (sum, more) in caller.total.iter_mut().zip(total) {
                *sum = sum.saturating_add(more);
            }
        }
        Self { names: symbols.strings.iter().map(str::to_owned).collect(), nodes }
    }

    /// What was spent at all.
    pub fn total(&self) -> [i64; 2] {
        self.nodes.first().map_or([0; 2], |root| root.total)
    }

    /// Leaves out the nodes of the smallest totals where there are more than so many.
    pub fn limited(self, nodes_max: usize) -> Self {
        if nodes_max == 0 || self.nodes.len() <= nodes_max {
            return self;
        }
        let weight = |node: &Node| node.total[0].unsigned_abs().saturating_add(node.total[1].unsigned_abs());
        let mut order: Vec<usize> = (0..self.nodes.len()).collect();
        // A caller has as much as its callee at least, and stands before it: it is kept if that is.
        order.select_nth_unstable_by_key(nodes_max, |position| {
            (std::cmp::Reverse(weight(&self.nodes[*position])), *position)
        });
        let mut kept = vec![false; self.nodes.len()];
        order[..nodes_max].iter().for_each(|position| kept[*position] = true);
        let mut tree = Self { names: self.names, nodes: Vec::with_capacity(nodes_max * 2) };
        let other = tree.names.len() as u32;
        tree.names.push(OTHER.to_owned());
        let mut new = vec![None; self.nodes.len()];
        let mut others: Vec<Option<usize>> = vec![None; nodes_max];
        for (position, node) in self.nodes.iter().enumerate() {
            let parent = match node.parent {
                None => None,
                Some(parent) => match new[parent as usize] {
                    // Left out with its caller.
                    None => continue,
                    known => known,
                },
            };
            if kept[position] || parent.is_none() {
                new[position] = Some(tree.nodes.len() as u32);
                tree.nodes.push(Node { parent, ..*node });
            } else if let Some(parent) = parent {
                let place = parent as usize;
                if others.len() <= place {
                    others.resize(place + 1, None);
                }
                let place = *others[place].get_or_insert_with(|| {
                    tree.nodes.push(Node { parent: Some(parent), name: other, ..Node::default() });
                    tree.nodes.len() - 1
                });
                for column in 0..2 {
                    let sum = &mut tree.nodes[place];
                    sum.total[column] = sum.total[column].saturating_add(node.total[column]);
                    sum.own[column] = sum.total[column];
                }
            }
        }
        tree.with_used_names()
    }

    /// Without names that no node has.
    fn with_used_names(mut self) -> Self {
        let mut new: Vec<Option<u32>> = vec![None; self.names.len()];
        let mut names = Vec::new();
        for node in &mut self.nodes {
            node.name = *new[node.name as usize].get_or_insert_with(|| {
                names.push(std::mem::take(&mut self.names[node.name as usize]));
                names.len() as u32 - 1
            });
        }
        Self { names, nodes: self.nodes }
    }
}

fn push(stacks: &mut Stacks, own: &mut Vec<[i64; 2]>, caller: StackId, frame: FrameId) -> StackId {
    let node = stacks.push(Some(caller), frame);
    if node.0 as usize == own.len() {
        own.push([0; 2]);
    }
    node
}
