//! What the colours mean, and how much of the profile each stands for.

use std::collections::BTreeMap;
use std::io::{self, Write};

use model::profile::Profile;

use super::amount::share;
use super::drawing::Tenths;
use super::paint::{Meaning, Paint};
use super::text::{CHARACTER_WIDTH, Xml};
use crate::aggregate::CallTree;

/// The distance of two lines of the static legend, in CSS pixels.
const LINE_HEIGHT: u32 = 18;
/// From an entry's left edge to its text.
const TEXT_LEFT: f64 = 16.0;
/// Between two entries.
const GAP: f64 = 14.0;

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

/// The height of the static legend.
pub(super) fn height(entries: &[Entry], width: f64) -> u32 {
    placed(entries, width).last().map_or(0, |(_, _, line)| (line + 1) * LINE_HEIGHT)
}

/// Draws the static legend, in lines of this width.
pub(super) fn write(entries: &[Entry], width: f64, out: &mut impl Write) -> io::Result<()> {
    for (entry, x, line) in placed(entries, width) {
        let y = line * LINE_HEIGHT;
        let (left, text_left, baseline) = (Tenths(x), Tenths(x + TEXT_LEFT), y + 10);
        write!(out, "<rect class=\"{}\" x=\"{left}\" y=\"{y}\" width=\"11\" height=\"11\"/>", entry.class)?;
        writeln!(out, "<text x=\"{text_left}\" y=\"{baseline}\">{}</text>", Xml(&entry.text))?;
    }
    Ok(())
}

/// Each entry with its left edge and its line.
fn placed(entries: &[Entry], width: f64) -> impl Iterator<Item = (&Entry, f64, u32)> {
    let (mut next_x, mut line) = (0.0, 0);
    entries.iter().map(move |entry| {
        let entry_width = TEXT_LEFT + entry.text.chars().count() as f64 * CHARACTER_WIDTH;
        if next_x > 0.0 && next_x + entry_width > width {
            (next_x, line) = (0.0, line + 1);
        }
        let x = next_x;
        next_x += entry_width + GAP;
        (entry, x, line)
    })
}
