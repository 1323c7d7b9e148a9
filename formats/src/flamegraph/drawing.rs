//! The static drawing: the picture as shapes of a fixed width, for where no script runs.
//!
//! A row is a group, a frame a path with a title. Frames too narrow to be pointed at are drawn without a title, each run
//! of them as one shape, so that the drawing stays small whatever the profile holds.

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};

use super::amount::{Amounts, share};
use super::label;
use super::picture::{Node, Picture};
use super::text::Xml;

/// The distance of two rows in CSS pixels.
pub(super) const ROW_HEIGHT: u32 = 18;
/// The height of a frame, which leaves a line of background between the rows.
const FRAME_HEIGHT: u32 = 17;
/// The baseline of a label in its row.
const BASELINE: u32 = 12;
/// The space between a frame's edge and its label.
const LABEL_PADDING: f64 = 3.0;
/// Frames from this width on are drawn one by one.
const MIN_WIDTH: f64 = 1.0;

/// Draws a picture.
pub(super) struct Drawing<'a> {
    pub(super) picture: &'a Picture<'a>,
    pub(super) amounts: &'a Amounts,
    pub(super) width: f64,
    pub(super) inverted: bool,
}

impl Drawing<'_> {
    /// The height of all rows.
    pub(super) fn height(&self) -> u32 {
        self.picture.rows * ROW_HEIGHT
    }

    /// Writes one group a row.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut by_row: Vec<&Node> = self.picture.nodes.iter().collect();
        by_row.sort_by_key(|node| node.depth);
        for row in by_row.chunk_by(|a, b| a.depth == b.depth) {
            let depth = row[0].depth;
            let y = if self.inverted { depth } else { self.picture.rows - 1 - depth } * ROW_HEIGHT;
            write!(out, "<g transform=\"translate(0 {y})\">")?;
            self.write_row(row, out)?;
            writeln!(out, "</g>")?;
        }
        Ok(())
    }

    fn write_row(&self, row: &[&Node], out: &mut impl Write) -> io::Result<()> {
        let mut narrow: Option<Run> = None;
        for node in row {
            let (x, width) = self.place(node);
            let class = self.picture.symbol(node).paint.class();
            if width < MIN_WIDTH {
                match &mut narrow {
                    Some(run) if x - run.end < MIN_WIDTH => run.end = x + width,
                    _ => {
                        flush(&mut narrow, out)?;
                        narrow = Some(Run { class: class.into_owned(), start: x, end: x + width });
                    }
                }
            } else {
                flush(&mut narrow, out)?;
                self.write_frame(node, &class, x, width, out)?;
            }
        }
        flush(&mut narrow, out)
    }

    fn write_frame(
        &self,
        node: &Node,
        class: &str,
        x: f64,
        width: f64,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let symbol = self.picture.symbol(node);
        let name = &self.picture.symbols.names()[symbol.name as usize];
        let location = &self.picture.symbols.locations()[symbol.location as usize];
        let gap = (width / 4.0).min(1.0);
        let shape = Shape { x, width: width - gap };
        writeln!(out, "<path class=\"{class}\" d=\"{shape}\"><title>{}", Xml(name))?;
        if !location.is_empty() {
            writeln!(out, "{}", Xml(location))?;
        }
        let amount = self.amounts.describe(node.total);
        let share = share(node.total, self.picture.total());
        let order = if self.amounts.count_name.is_empty() { [&share, &amount] } else { [&amount, &share] };
        write!(out, "{}, {}</title></path>", Xml(order[0]), Xml(order[1]))?;
        let Some(label) = label::fit(name, width - 2.0 * LABEL_PADDING) else { return Ok(()) };
        let on_dark = if symbol.paint.is_dark() { " class=\"on-dark\"" } else { "" };
        write!(
            out,
            "<text{on_dark} x=\"{}\" y=\"{BASELINE}\">{}</text>",
            Tenths(x + LABEL_PADDING),
            Xml(&label)
        )
    }

    fn place(&self, node: &Node) -> (f64, f64) {
        let scale = self.width / self.picture.total() as f64;
        (node.start as f64 * scale, node.total as f64 * scale)
    }
}

/// Neighbouring frames that are drawn as one.
struct Run {
    class: String,
    start: f64,
    end: f64,
}

fn flush(run: &mut Option<Run>, out: &mut impl Write) -> io::Result<()> {
    let Some(Run { class, start, end }) = run.take() else { return Ok(()) };
    let shape = Shape { x: start, width: (end - start).max(0.1) };
    write!(out, "<path class=\"{class}\" d=\"{shape}\"/>")
}

/// The outline of a frame.
struct Shape {
    x: f64,
    width: f64,
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "M{} 0v{FRAME_HEIGHT}h{}V0", Tenths(self.x), Tenths(self.width))
    }
}

/// A length in tenths of a pixel, as short as can be.
pub(super) struct Tenths(pub(super) f64);

impl Display for Tenths {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round() as u64;
        match tenths % 10 {
            0 => write!(f, "{}", tenths / 10),
            tenth => write!(f, "{}.{tenth}", tenths / 10),
        }
    }
}
