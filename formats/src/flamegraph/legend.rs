//! What the colours mean, and how much of the profile each stands for.

use std::collections::BTreeMap;
use std::io::{self, Write};

use model::label::Phase;
use model::profile::{FrameKind, Profile};

use super::amount::share;
use super::drawing::Tenths;
use super::paint::{Meaning, Paint};
use super::text::{CHARACTER_WIDTH, Xml};
use crate::aggregate::StackTotal;

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
pub(super) fn entries(profile: &Profile, totals: &[StackTotal]) -> Vec<Entry> {
    let phases = outermost_phases(profile);
    let mut weights: BTreeMap<Meaning, u64> = BTreeMap::new();
    let mut all = 0_u64;
    for total in totals {
        let stack = total.stack.map(|stack| stack.0 as usize);
        let innermost =
            total.stack.map(|stack| Meaning::of(&profile.frames.get(profile.stacks.frame(stack))));
        let phase = stack.and_then(|stack| phases[stack]).map(Meaning::Phase);
        // Where a phase is all that is known, it is the code as well.
        let code = innermost.unwrap_or(Meaning::Unknown);
        for meaning in phase.into_iter().chain((phase != Some(code)).then_some(code)) {
            let sum = weights.entry(meaning).or_default();
            *sum = sum.saturating_add(total.weight);
        }
        all = all.saturating_add(total.weight);
    }
    let occurring = weights.into_iter().filter(|(_, weight)| *weight > 0);
    occurring
        .map(|(meaning, weight)| Entry {
            class: Paint::new(meaning, "").class().into_owned(),
            text: format!("{} {}", meaning.name(), share(weight, all)),
        })
        .collect()
}

/// The colours of a comparison.
pub(super) fn of_changes() -> Vec<Entry> {
    let entry = |step| {
        let meaning = Meaning::Change(step);
        Entry { class: Paint::new(meaning, "").class().into_owned(), text: meaning.name().into_owned() }
    };
    [-3, 0, 3].map(entry).into()
}

/// By stack: a phase inside another counts as part of the outer one.
fn outermost_phases(profile: &Profile) -> Vec<Option<Phase>> {
    let mut phases: Vec<Option<Phase>> = Vec::with_capacity(profile.stacks.iter().len());
    for (caller, frame) in profile.stacks.iter() {
        let outer = caller.and_then(|caller| phases[caller.0 as usize]);
        phases.push(outer.or_else(|| match profile.frames.get(frame).kind {
            FrameKind::Phase(phase) => Some(phase),
            _ => None,
        }));
    }
    phases
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
