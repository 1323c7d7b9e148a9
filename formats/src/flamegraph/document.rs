//! The file: heading, drawing, legend, data and script, from top to bottom.

use std::io::{self, Write};

use model::profile::{Profile, Weight};

use super::amount::Amounts;
use super::drawing::Drawing;
use super::legend::{self, Entry};
use super::picture::Picture;
use super::text::{CHARACTER_WIDTH, Xml, cut, legible};
use super::{FIT_SCRIPT, Options, data, subtitle};
use crate::aggregate::by_stack;

const STYLE: &str = include_str!("flamegraph.css");
/// In the order in which they build on each other.
const SCRIPTS: [&str; 5] = [
    include_str!("script/profile.js"),
    FIT_SCRIPT,
    include_str!("script/stacks.js"),
    include_str!("script/search.js"),
    include_str!("script/page.js"),
];

/// The space around everything, in CSS pixels.
const MARGIN: f64 = 12.0;
const MIN_PAGE_WIDTH: u32 = 200;
/// The height of the picture that says that there is none.
const EMPTY_HEIGHT: u32 = 120;
/// A flamegraph's file.
pub(super) struct Document<'a> {
    picture: Picture<'a>,
    amounts: Amounts,
    legend: Vec<Entry>,
    title: String,
    subtitles: Vec<String>,
    width: u32,
    inverted: bool,
}

impl<'a> Document<'a> {
    pub(super) fn new(profile: &'a Profile, options: &'a Options) -> Self {
        let totals = by_stack(profile);
        let amounts = Amounts { weight: profile.recording.weight, count_name: legible(&options.count_name) };
        let width = options.width.max(MIN_PAGE_WIDTH);
        let min_share = options.min_width.max(0.0) / (f64::from(width) - 2.0 * MARGIN);
        let picture = Picture::new(profile, &totals, min_share, options.changes.as_deref());
        Self {
            subtitles: subtitle::lines(profile, &amounts, &picture, options),
            legend: match options.changes {
                Some(_) => legend::of_changes(),
                None => legend::entries(profile, &totals),
            },
            title: legible(options.title.as_deref().unwrap_or(&profile.recording.title)),
            picture,
            amounts,
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
        let legend_height = legend::height(&self.legend, inner_width);
        let (width, height) = (self.width, legend_top + legend_height);

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
        legend::write(&self.legend, inner_width, out)?;
        writeln!(out, "</g>\n</g>")?;
        if !self.picture.nodes.is_empty() {
            writeln!(out, "<script id=\"profile\" type=\"application/json\">")?;
            data::write(&self.picture, &self.amounts, &self.legend, self.inverted, out)?;
            writeln!(out, "</script>\n<script><![CDATA[")?;
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
