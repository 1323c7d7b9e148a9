//! The picture as data, for the script.
//!
//! One JSON object; columns instead of objects keep a frame at about ten bytes, and any program can read it. Nodes stand
//! in depth-first order in the columns
//! - `up`: how many levels the node lies above where a callee of the node before it would be;
//! - `symbol`: its place in the columns of `symbols`, which point into `names`, `locations` and `classes`;
//! - `rest`: what its caller's total leaves beside it and its siblings to the left: mostly zero, where the total is not;
//! - `left_out`: pairs of a node and what was spent in callees that are not in the file, for the few that have any. Nodes
//!   are counted from the pair before.

use std::borrow::Cow;
use std::io;

use model::profile::Weight;
use rustc_hash::FxHashMap;

use super::amount::Amounts;
use super::legend::Entry;
use super::picture::Picture;
use super::symbols::Symbol;
use super::text::WithoutMarkup;
use crate::json::Json;

/// Writes the object, without any character that means something to XML or HTML.
pub(super) fn write(
    picture: &Picture<'_>,
    amounts: &Amounts,
    legend: &[Entry],
    inverted: bool,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let (unit, period_ns) = match amounts.weight {
        Weight::CpuSamples { period_ns } => ("samples", period_ns),
        Weight::OffCpuNs => ("ns", 1),
        Weight::AllocatedBytes => ("bytes", 0),
    };
    let symbols = &picture.symbols;
    let (class_of_symbol, classes) = classes(&symbols.all);
    let mut out = WithoutMarkup(out);
    let mut json = Json::new(&mut out);
    json.object(|json| {
        json.key("unit").string(unit);
        json.key("period_ns").integer(period_ns);
        json.key("count_name").string(&amounts.count_name);
        json.key("inverted").boolean(inverted);
        json.key("legend").array(legend, |json, entry| {
            json.object(|json| {
                json.key("class").string(&entry.class);
                json.key("text").string(&entry.text);
            });
        });
        json.key("classes").array(&classes, |json, class| json.string(class));
        json.key("names").array(symbols.names(), |json, name| json.string(name));
        json.key("locations").array(symbols.locations(), |json, location| json.string(location));
        json.key("symbols").object(|json| {
            json.key("name").array(&symbols.all, |json, symbol| json.integer(symbol.name));
            json.key("location").array(&symbols.all, |json, symbol| json.integer(symbol.location));
            json.key("class").array(class_of_symbol, Json::integer);
        });
        json.key("nodes").object(|json| {
            json.key("length").integer(picture.nodes.len());
            json.key("total").integer(picture.total());
            json.key("up").array(ups(picture), Json::integer);
            json.key("symbol").array(&picture.nodes, |json, node| json.integer(node.symbol));
            json.key("rest").array(rests(picture), Json::integer);
            json.key("left_out").array(left_out(picture), Json::integer);
        });
    });
    json.finish()
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
