//! The picture as data, for the script.
//!
//! One JSON object; columns instead of objects keep a frame at about ten bytes, and any program can read it. Nodes stand
//! in depth-first order in the columns
//! - `up`: how many levels the node lies above where a callee of the node before it would be;
//! - `symbol`: its place in the columns of `symbols`, which point into `names`, `classes` and `locations`;
//! - `rest`: what its caller's total leaves beside it and its siblings to the left: mostly zero, where the total is not;
//! - `left_out`: pairs of a node and what was spent in callees that are not in the file, for the few that have any. Nodes
//!   are counted from the pair before.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, Write};

use model::profile::Weight;
use rustc_hash::FxHashMap;

use super::amount::Amounts;
use super::legend::Entry;
use super::picture::Picture;
use super::symbols::Symbol;
use super::text::Json;

/// Writes the object.
pub(super) fn write(
    picture: &Picture<'_>,
    amounts: &Amounts<'_>,
    legend: &[Entry],
    inverted: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let (unit, period_ns) = match amounts.weight {
        Weight::CpuSamples { period_ns } => ("samples", period_ns),
        Weight::OffCpuNs => ("ns", 1),
        Weight::AllocatedBytes => ("bytes", 0),
    };
    let symbols = &picture.symbols;
    let (class_of_symbol, classes) = classes(&symbols.all);
    write!(
        out,
        "{{\"unit\":\"{unit}\",\"period_ns\":{period_ns},\"count_name\":{}",
        Json(amounts.count_name)
    )?;
    write!(out, ",\"inverted\":{inverted}")?;
    column(
        out,
        "legend",
        legend.iter().map(|entry| format!("[{},{}]", Json(&entry.class), Json(&entry.text))),
    )?;
    column(out, "classes", classes.iter().map(|class| Json(class)))?;
    column(out, "names", symbols.names().iter().map(|name| Json(name)))?;
    column(out, "locations", symbols.locations().iter().map(|location| Json(location)))?;
    write!(out, ",\n\"symbols\":{{\"length\":{}", symbols.all.len())?;
    column(out, "name", symbols.all.iter().map(|symbol| symbol.name))?;
    column(out, "location", symbols.all.iter().map(|symbol| symbol.location))?;
    column(out, "class", class_of_symbol)?;
    write!(out, "}},\n\"nodes\":{{\"length\":{},\"total\":{}", picture.nodes.len(), picture.total())?;
    column(out, "up", ups(picture))?;
    column(out, "symbol", picture.nodes.iter().map(|node| node.symbol))?;
    column(out, "rest", rests(picture))?;
    column(out, "left_out", left_out(picture))?;
    writeln!(out, "}}}}")
}

/// The class of each symbol, as a position among all classes.
fn classes(symbols: &[Symbol]) -> (Vec<usize>, Vec<Cow<'static, str>>) {
    let mut classes = Vec::new();
    let mut numbers = FxHashMap::default();
    let number = |symbol: &Symbol| {
        *numbers.entry(symbol.paint).or_insert_with(|| {
            classes.push(symbol.paint.class());
            classes.len() - 1
        })
    };
    (symbols.iter().map(number).collect(), classes)
}

fn ups<'a>(picture: &'a Picture<'_>) -> impl Iterator<Item = u32> + 'a {
    let mut callee_depth = 0;
    picture.nodes.iter().map(move |node| {
        let up = callee_depth - node.depth;
        callee_depth = node.depth + 1;
        up
    })
}

fn rests(picture: &Picture<'_>) -> impl Iterator<Item = u64> {
    // By depth: what is left of the open node's total for the callees to come.
    let mut left = vec![picture.total()];
    picture.nodes.iter().map(move |node| {
        left.truncate(node.depth as usize + 1);
        let remaining = &mut left[node.depth as usize];
        *remaining = remaining.saturating_sub(node.total);
        let rest = *remaining;
        left.push(node.total);
        rest
    })
}

fn left_out(picture: &Picture<'_>) -> Vec<u64> {
    let mut pairs = Vec::new();
    let mut before = 0;
    for (position, node) in picture.nodes.iter().enumerate().filter(|(_, node)| node.left_out > 0) {
        pairs.extend([(position - before) as u64, node.left_out]);
        before = position;
    }
    pairs
}

/// Writes a member of an object, which is not the first.
fn column(
    out: &mut impl Write,
    name: &str,
    values: impl IntoIterator<Item = impl Display>,
) -> io::Result<()> {
    write!(out, ",\n\"{name}\":[")?;
    for (position, value) in values.into_iter().enumerate() {
        let separator = if position == 0 { "" } else { "," };
        write!(out, "{separator}{value}")?;
    }
    write!(out, "]")
}
