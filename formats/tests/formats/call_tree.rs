//! The call tree against small profiles whose tree is plain to see, and against the sums of any profile.

use crate::synthetic::{self, Builder};
use loopscope_formats::aggregate::{CallTree, by_stack};
use model::profile::Profile;
use proptest::prelude::*;

/// The tree as lines: indented names with self and total weight.
fn drawn(profile: &Profile) -> Vec<String> {
    let tree = CallTree::new(profile);
    let line = |node: &loopscope_formats::aggregate::Node<'_>| {
        format!("{}{} {} {}", "  ".repeat(node.depth), node.name, node.self_weight, node.total_weight)
    };
    tree.nodes().iter().map(line).collect()
}

#[test]
fn weights_add_up_from_the_innermost_frame_outwards() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "worker");
    builder.sample(thread, &["main", "parse"], 2);
    builder.sample(thread, &["main"], 1);
    builder.sample(thread, &["main", "parse", "read"], 4);
    builder.sample(thread, &["main", "parse"], 8);
    let expected = ["worker 0 15", "  main 1 15", "    parse 10 14", "      read 4 4"];
    assert_eq!(drawn(&builder.profile), expected);
}

#[test]
fn children_stand_in_the_order_of_their_names() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    for name in ["c", "a", "b"] {
        builder.sample(thread, &["main", name], 1);
    }
    assert_eq!(drawn(&builder.profile), ["t 0 3", "  main 0 3", "    a 1 1", "    b 1 1", "    c 1 1"]);
}

#[test]
fn threads_of_one_name_share_a_root_and_others_do_not() {
    let mut builder = Builder::default();
    for (tid, name) in [(1, "pool"), (2, "main"), (3, "pool")] {
        let thread = builder.thread(9, tid, name);
        builder.sample(thread, &["run"], 1);
    }
    assert_eq!(drawn(&builder.profile), ["main 0 1", "  run 1 1", "pool 0 2", "  run 2 2"]);
}

#[test]
fn a_sample_without_a_stack_counts_for_its_thread() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    builder.sample(thread, &[], 3);
    assert_eq!(drawn(&builder.profile), ["t 3 3"]);
}

#[test]
fn a_profile_without_samples_has_an_empty_tree() {
    let profile = Profile::default();
    let tree = CallTree::new(&profile);
    assert_eq!((tree.nodes().len(), tree.roots().count(), tree.total_weight()), (0, 0, 0));
}

#[test]
fn a_stack_of_a_million_frames_does_not_exhaust_ours() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "deep");
    builder.sample(thread, &vec!["recurse"; 1_000_000], 7);
    let tree = CallTree::new(&builder.profile);
    let innermost = tree.nodes().last().unwrap();
    assert_eq!((innermost.depth, innermost.self_weight, tree.nodes()[0].total_weight), (1_000_000, 7, 7));
}

proptest! {
    #[test]
    fn children_and_own_weight_make_up_every_node(profile in synthetic::any_profile()) {
        let tree = CallTree::new(&profile);
        prop_assert_eq!(tree.total_weight(), profile.total_weight());
        for (position, node) in tree.nodes().iter().enumerate() {
            let children: Vec<_> = tree.children(position).map(|child| tree.nodes()[child]).collect();
            let below: u64 = children.iter().map(|child| child.total_weight).sum();
            prop_assert_eq!(node.total_weight, node.self_weight + below);
            prop_assert!(children.iter().all(|child| child.depth == node.depth + 1));
            prop_assert!(children.windows(2).all(|pair| pair[0].name <= pair[1].name));
        }
    }

    #[test]
    fn totals_by_stack_hold_every_sample_once(profile in synthetic::any_profile()) {
        let totals = by_stack(&profile);
        prop_assert_eq!(totals.iter().map(|total| total.samples).sum::<u64>(), profile.samples.len() as u64);
        prop_assert_eq!(totals.iter().map(|total| total.weight).sum::<u64>(), profile.total_weight());
        prop_assert!(totals.windows(2).all(|pair| (pair[0].thread, pair[0].stack) < (pair[1].thread, pair[1].stack)));
    }
}
