//! The file: heading, drawing, legend, data and script, from top to bottom.

use std::io::{self, Write};

use model::label::LabelValue;
use model::profile::{Profile, Weight};

use super::Options;
use super::amount::{Amounts, grouped, share, time};
use super::data;
use super::drawing::{Drawing, Tenths};
use super::legend::{self, Entry};
use super::picture::Picture;
use super::text::{Xml, legible};
use crate::aggregate::CallTree;

const STYLE: &str = include_str!("flamegraph.css");
/// In the order in which they build on each other.
const SCRIPTS: [&str; 5] = [
    include_str!("script/profile.js"),
    include_str!("script/label.js"),
    include_str!("script/stacks.js"),
    include_str!("script/search.js"),
    include_str!("script/page.js"),
];

/// The space around everything, in CSS pixels.
const MARGIN: f64 = 12.0;
const MIN_PAGE_WIDTH: u32 = 200;
/// The height of the picture that says that there is none.
const EMPTY_HEIGHT: u32 = 120;
/// The width of a character of the proportional font at 12 px, on average, rather too much than too little.
const CHARACTER_WIDTH: f64 = 6.4;
const LEGEND_LINE: f64 = 18.0;

/// A flamegraph's file.
pub(super) struct Document<'a> {
    picture: Picture<'a>,
    amounts: Amounts<'a>,
    legend: Vec<Entry>,
    title: String,
    subtitles: Vec<String>,
    width: u32,
    inverted: bool,
}

impl<'a> Document<'a> {
    pub(super) fn new(profile: &'a Profile, calls: &CallTree<'a>, options: &'a Options) -> Self {
        let amounts = Amounts { weight: profile.recording.weight, count_name: &options.count_name };
        let width = options.width.max(MIN_PAGE_WIDTH);
        let min_share = options.min_width / (f64::from(width) - 2.0 * MARGIN);
        let picture = Picture::new(profile, calls, calls.total_weight() as f64 * min_share);
        let mut subtitles = vec![recorded(profile, &amounts)];
        subtitles.extend(missing(profile, &picture, options.min_width));
        Self {
            legend: legend::entries(profile, calls),
            title: legible(options.title.as_deref().unwrap_or(&profile.recording.title)),
            picture,
            amounts,
            subtitles,
            width,
            inverted: options.inverted,
        }
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let inner_width = f64::from(self.width) - 2.0 * MARGIN;
        let drawing = Drawing {
            picture: &self.picture,
            amounts: &self.amounts,
            width: inner_width,
            inverted: self.inverted,
        };
        let top = 34 + 18 * self.subtitles.len() as u32;
        let drawing_height = if self.picture.nodes.is_empty() { EMPTY_HEIGHT } else { drawing.height() };
        let legend_top = top + drawing_height + 20;
        let (legend, legend_lines) = place_legend(&self.legend, inner_width);
        let (width, height) = (self.width, legend_top + legend_lines * LEGEND_LINE as u32);

        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"title subtitle\">"
        )?;
        writeln!(out, "<title>{}</title>", Xml(&self.title))?;
        writeln!(out, "<style><![CDATA[\n{STYLE}]]></style>")?;
        writeln!(out, "<g id=\"static\">\n<rect class=\"page\" width=\"100%\" height=\"100%\"/>")?;
        self.write_heading(inner_width, out)?;
        writeln!(out, "<g transform=\"translate({MARGIN} {top})\">")?;
        if self.picture.nodes.is_empty() {
            self.write_empty(inner_width, out)?;
        } else {
            drawing.write(out)?;
        }
        writeln!(out, "</g>\n<g class=\"legend\" transform=\"translate({MARGIN} {legend_top})\">")?;
        for (entry, x, line) in legend {
            let y = line * LEGEND_LINE;
            write!(out, "<rect class=\"{}\" x=\"{}\" y=\"{}\" ", entry.class, Tenths(x), Tenths(y))?;
            write!(out, "width=\"11\" height=\"11\"/>")?;
            let (x, y) = (Tenths(x + 16.0), Tenths(y + 10.0));
            writeln!(out, "<text x=\"{x}\" y=\"{y}\">{}</text>", Xml(&entry.text))?;
        }
        writeln!(out, "</g>\n</g>")?;
        if !self.picture.nodes.is_empty() {
            writeln!(out, "<script id=\"profile\" type=\"application/json\"><![CDATA[")?;
            data::write(&self.picture, &self.amounts, &self.legend, self.inverted, out)?;
            writeln!(out, "]]></script>\n<script><![CDATA[")?;
            for script in SCRIPTS {
                writeln!(out, "{script}")?;
            }
            writeln!(out, "]]></script>")?;
        }
        writeln!(out, "</svg>")
    }

    fn write_heading(&self, width: f64, out: &mut impl Write) -> io::Result<()> {
        let title = cut(&self.title, width / CHARACTER_WIDTH / 1.4);
        writeln!(out, "<text id=\"title\" class=\"title\" x=\"{MARGIN}\" y=\"26\">{}</text>", Xml(&title))?;
        writeln!(out, "<g id=\"subtitle\" class=\"subtitle\">")?;
        for (line, subtitle) in self.subtitles.iter().enumerate() {
            let shown = cut(subtitle, width / CHARACTER_WIDTH);
            let y = 44 + 18 * line;
            writeln!(
                out,
                "<text x=\"{MARGIN}\" y=\"{y}\">{}<title>{}</title></text>",
                Xml(&shown),
                Xml(subtitle)
            )?;
        }
        writeln!(out, "</g>")
    }

    /// What stands where the frames would.
    fn write_empty(&self, width: f64, out: &mut impl Write) -> io::Result<()> {
        let why = match self.amounts.weight {
            Weight::CpuSamples { .. } => "Nothing ran on a CPU while it was recorded. Was there any load?",
            Weight::OffCpuNs => "No thread that was recorded waited.",
            Weight::AllocatedBytes => "Nothing that was recorded allocated memory.",
        };
        let middle = width / 2.0;
        let height = EMPTY_HEIGHT - 10;
        writeln!(out, "<rect class=\"empty\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>")?;
        writeln!(
            out,
            "<text class=\"title\" x=\"{middle}\" y=\"50\" text-anchor=\"middle\">No samples</text>"
        )?;
        let why = cut(why, width / CHARACTER_WIDTH);
        writeln!(out, "<text class=\"subtitle\" x=\"{middle}\" y=\"74\" text-anchor=\"middle\">{why}</text>")
    }
}

/// How much was recorded, how and for how long.
fn recorded(profile: &Profile, amounts: &Amounts<'_>) -> String {
    let total = profile.total_weight();
    let samples = grouped(profile.samples.len() as u64);
    let how_much = match amounts.weight {
        Weight::CpuSamples { period_ns } => {
            let hz = 1e9 / period_ns.max(1) as f64;
            format!("{} {} at {hz:.0} Hz", grouped(total), amounts.count_name)
        }
        Weight::OffCpuNs => format!("{} off the CPU in {samples} waits", amounts.describe(total)),
        Weight::AllocatedBytes => format!("{} allocated, {samples} samples", amounts.describe(total)),
    };
    let threads = match profile.threads.len() {
        1 => "1 thread".to_owned(),
        threads => format!("{} threads", grouped(threads as u64)),
    };
    format!("{how_much} · {} · {threads}", time(profile.recording.duration_ns))
}

/// What is not in the picture, if anything is not.
fn missing(profile: &Profile, picture: &Picture<'_>, min_width: f64) -> Option<String> {
    let mut parts = Vec::new();
    let lost = profile.losses.total();
    if lost > 0 {
        let taken = match profile.recording.weight {
            Weight::CpuSamples { .. } => profile.total_weight(),
            Weight::OffCpuNs | Weight::AllocatedBytes => profile.samples.len() as u64,
        };
        let of_all = share(lost, lost.saturating_add(taken));
        let causes: Vec<_> = (profile.losses.samples.iter().filter(|(_, count)| *count > 0))
            .map(|(cause, count)| format!("{} {}", grouped(*count), cause.as_str().replace('_', " ")))
            .collect();
        parts.push(format!("{} samples lost ({of_all}: {})", grouped(lost), causes.join(", ")));
    }
    if profile.losses.truncated_stacks > 0 {
        parts.push(format!("{} stacks cut off at their outer end", grouped(profile.losses.truncated_stacks)));
    }
    if picture.left_out > 0 {
        let share = share(picture.left_out_weight, picture.total());
        let frames = grouped(picture.left_out as u64);
        parts.push(format!("{frames} frames narrower than {min_width} px left out ({share})"));
    }
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// As much of the text as fits into so many characters.
fn cut(text: &str, characters: f64) -> String {
    let characters = characters as usize;
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

/// Each entry with its x and its line, and the number of lines.
fn place_legend(entries: &[Entry], width: f64) -> (Vec<(&Entry, f64, f64)>, u32) {
    let mut placed = Vec::new();
    let (mut x, mut line) = (0.0, 0.0);
    for entry in entries {
        let needed = 16.0 + entry.text.chars().count() as f64 * CHARACTER_WIDTH;
        if x > 0.0 && x + needed > width {
            (x, line) = (0.0, line + 1.0);
        }
        placed.push((entry, x, line));
        x += needed + 14.0;
    }
    let lines = if entries.is_empty() { 0 } else { line as u32 + 1 };
    (placed, lines)
}
