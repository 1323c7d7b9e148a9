//! What was spent in each function, whoever called it.

use std::collections::HashMap;

use super::Tree;
use crate::labels::Labels;
use crate::store::{Group, Merged};

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What was spent in itself.
    pub own: i64,
    /// What was spent in it and all that it called; of calls within its own calls only the outer ones count.
    pub total: i64,
}

/// The functions of a tree, those of the largest own part first.
pub fn functions(tree: &Tree) -> Vec<Function> {
    let mut sums: HashMap<u32, (i64, i64)> = HashMap::new();
    for (position, node) in tree.nodes.iter().enumerate().skip(1) {
        let sum = sums.entry(node.name).or_default();
        sum.0 = sum.0.saturating_add(node.own[0]);
        if !is_recursive(tree, position) {
            sum.1 = sum.1.saturating_add(node.total[0]);
        }
    }
    let mut functions: Vec<Function> = sums
        .into_iter()
        .map(|(name, (own, total))| Function { name: tree.names[name as usize].clone(), own, total })
        .collect();
    functions.sort_by(|a, b| (b.own, b.total, &a.name).cmp(&(a.own, a.total, &b.name)));
    functions
}

/// What was spent in functions themselves, without whoever called them: for files that hold stacks.
pub fn flat(functions: &[Function]) -> Group {
    let mut merged = Merged::default();
    for function in functions {
        let frame = merged.symbols.named(&function.name);
        merged.symbols.stacks.push(None, frame);
        merged.values.push(function.own);
    }
    Group { labels: Labels::default(), merged }
}

fn is_recursive(tree: &Tree, position: usize) -> bool {
    let node = tree.nodes[position];
    let mut at = node.parent;
    while let Some(caller) = at {
        let caller = tree.nodes[caller as usize];
        if caller.name == node.name && caller.parent.is_some() {
            return true;
        }
        at = caller.parent;
    }
    false
}
