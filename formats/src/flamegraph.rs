//! A flamegraph as one SVG file, for every place where an SVG is shown.
//!
//! The file holds the profile twice. Once as a drawing: plain shapes, labels and titles, so that it also looks right
//! where scripts are off (a preview on a code host, an image viewer, a printer). And once as data, a few bytes a frame,
//! from which the script in the file draws it again for the window's width, zooms and searches. Drawing from data
//! instead of moving the static shapes keeps 100,000 frames quick, because only what can be seen becomes shapes; and
//! the data may hold frames that the drawing is too small for.
//!
//! The file refers to nothing outside of itself. Names come from the profiled program and are not trusted: see `text`.
//! Meant for a document of its own (opened, or embedded as `<img>`, `<object>`, `<iframe>`); pasted into a page, its
//! styles would meet the page's.

mod amount;
mod calls;
mod data;
mod document;
mod drawing;
mod label;
mod legend;
mod paint;
mod picture;
mod subtitle;
mod symbols;
mod text;

use std::io;

use model::profile::Profile;

use document::Document;

/// The function `fit(name, cells)` of JavaScript: as much of a function's name as so many cells of a monospaced font hold,
/// or nothing. For pages that draw flamegraphs of their own.
pub const FIT_SCRIPT: &str = include_str!("flamegraph/script/label.js");

/// How a flamegraph looks.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The heading; without one, what the profile says of itself.
    pub title: Option<String>,
    /// What was recorded, in one line; without one, what the profile says of itself.
    pub subtitle: Option<String>,
    /// The width of the static drawing in CSS pixels, at least 200. In a browser with scripts, the window's counts.
    pub width: u32,
    /// Frames that would be narrower than this in the static drawing, in CSS pixels, are left out of the file, with all
    /// that they call; the subtitle tells how many. Zero keeps every frame.
    pub min_width: f64,
    /// Whether callers stand above what they call (icicles) instead of below (flames). The reader can turn it.
    pub inverted: bool,
    /// What a sample's weight counts in a CPU profile, in the plural.
    pub count_name: String,
    /// Of a comparison, by frame: how much more there is of it than in the base, from -5 for much less to 5 for much more. Colours tell
    /// that, then, and not what kind of code a frame is; a frame's file is a good place to say it in words.
    pub changes: Option<Vec<i8>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            title: None,
            subtitle: None,
            width: 1200,
            min_width: 0.1,
            inverted: false,
            count_name: "samples".to_owned(),
            changes: None,
        }
    }
}

/// Writes the flamegraph of a profile.
///
/// # Errors
/// Only those of `out`.
pub fn encode(profile: &Profile, options: &Options, out: &mut impl io::Write) -> io::Result<()> {
    let mut out = io::BufWriter::with_capacity(64 * 1024, out);
    Document::new(profile, options).write(&mut out)?;
    io::Write::flush(&mut out)
}
