//! What the colours mean, and how much of the profile each stands for.

use std::collections::BTreeMap;

use model::profile::Profile;

use super::amount::share;
use super::paint::{Meaning, Paint};
use crate::aggregate::CallTree;

/// One colour of the legend.
pub(super) struct Entry {
    /// The class of the colour.
    pub(super) class: String,
    /// What it means, with its share.
    pub(super) text: String,
}

/// The colours that occur: phases with the share of all that ran in them, kinds of code with the share of what was spent
/// in that code itself.
pub(super) fn entries(profile: &Profile, calls: &CallTree<'_>) -> Vec<Entry> {
    let mut weights: BTreeMap<Meaning, u64> = BTreeMap::new();
    let mut phase_end = 0;
    for (position, node) in calls.nodes().iter().enumerate() {
        let (meaning, weight) = match node.frame.map(|frame| Meaning::of(&profile.frames.get(frame))) {
            None => (Meaning::Unknown, node.self_weight),
            // A phase inside another counts as part of the outer one.
            Some(Meaning::Phase(_)) if position < phase_end => continue,
            Some(phase @ Meaning::Phase(_)) => {
                phase_end = node.end;
                (phase, node.total_weight)
            }
            Some(meaning) => (meaning, node.self_weight),
        };
        let sum = weights.entry(meaning).or_default();
        *sum = sum.saturating_add(weight);
    }
    let total = calls.total_weight();
    let occurring = weights.into_iter().filter(|(_, weight)| *weight > 0);
    occurring
        .map(|(meaning, weight)| Entry {
            class: Paint::new(meaning, "").class().into_owned(),
            text: format!("{} {}", meaning.name(), share(weight, total)),
        })
        .collect()
}
