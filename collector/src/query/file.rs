//! What was spent where, as files of other programs' formats.

use std::borrow::Cow;
use std::fmt::Write;
use std::io;

use formats::decode::ValueType;
use formats::flamegraph;
use formats::pprof::{OF_BASE, Part, Totals};
use model::profile::{Frame, FrameKind, Profile, Sample, StackId, Thread, ThreadId, Weight};
use model::time::Monotonic;

use super::Tree;
use super::change::{percent, points, step};
use crate::profile_type::ProfileType;
use crate::store::{Batch, BatchSeries, Group, StoreError};
use crate::times::Range;

/// A file of folded stacks names each caller again in each line; nobody reads more than this.
const FOLDED_BYTES_MAX: usize = 256 << 20;

/// Folded stacks; the values are the type's. Of a comparison, a line has two of them: the base's, then the query's, as `difffolded.pl`
/// writes them and `flamegraph.pl` reads them.
///
/// # Errors
/// [`StoreError::TooMuch`] where the file would be too long.
pub fn folded(tree: &Tree, with_base: bool) -> Result<Vec<u8>, StoreError> {
    let name = |position: u32| tree.names[tree.nodes[position as usize].name as usize].as_str();
    let caller = |position: u32| tree.nodes[position as usize].parent.unwrap_or(0);
    let mut callees: Vec<u32> = (1..tree.nodes.len() as u32).collect();
    callees.sort_by(|a, b| (caller(*a), name(*a)).cmp(&(caller(*b), name(*b))));
    let callees_of = |position: u32| {
        let first = callees.partition_point(|callee| caller(*callee) < position);
        let count = callees[first..].iter().take_while(|callee| caller(**callee) == position).count();
        &callees[first..first + count]
    };
    let mut text = String::new();
    // The path of what is written, and what is to come with the length of its caller's path.
    let mut path = String::new();
    let mut pending: Vec<(u32, usize)> = if tree.nodes.is_empty() {
        Vec::new()
    } else {
        callees_of(0).iter().rev().map(|top| (*top, 0)).collect()
    };
    while let Some((position, length)) = pending.pop() {
        path.truncate(length);
        if length > 0 {
            path.push(';');
        }
        path.extend(name(position).chars().map(|c| match c {
            ';' => ':',
            c if c.is_control() => ' ',
            c => c,
        }));
        let [own, base] = tree.nodes[position as usize].own;
        let written = match with_base {
            true if own != 0 || base != 0 => writeln!(text, "{path} {base} {own}"),
            false if own != 0 => writeln!(text, "{path} {own}"),
            _ => Ok(()),
        };
        written.expect("a string grows");
        if text.len() > FOLDED_BYTES_MAX {
            return Err(StoreError::TooMuch { what: "bytes of folded stacks", limit: FOLDED_BYTES_MAX });
        }
        pending.extend(callees_of(position).iter().rev().map(|callee| (*callee, path.len())));
    }
    Ok(text.into_bytes())
}

/// gzip-compressed pprof, with files and lines as far as they are known. Groups are told by labels of the samples; a base's samples have
/// negative values, and the label that programs for pprof know them by.
pub fn pprof(
    groups: Vec<Group>,
    base: Option<Vec<Group>>,
    profile_type: &ProfileType,
    range: Range,
) -> Vec<u8> {
    let all = together(groups, base);
    let mut out = Vec::new();
    formats::pprof::encode_parts(&all.symbols, &parts(&all), &totals(profile_type, range), &mut out)
        .expect("a vector grows");
    out
}

/// The same of a query alone, without compression.
pub(crate) fn pprof_message(groups: Vec<Group>, profile_type: &ProfileType, range: Range) -> Vec<u8> {
    let all = together(groups, None);
    formats::pprof::totals_message(&all.symbols, &parts(&all), &totals(profile_type, range))
}

/// All groups with stacks in common. Those of the base have the [label](OF_BASE) that says so.
fn together(groups: Vec<Group>, base: Option<Vec<Group>>) -> Batch {
    let mut all = Batch::default();
    let of_query = groups.into_iter().map(|group| (group, false));
    for (group, is_base) in of_query.chain(base.into_iter().flatten().map(|group| (group, true))) {
        let sign = if is_base { -1 } else { 1 };
        let values = group.merged.values.iter().map(|value| value.saturating_mul(sign));
        let rows = (0..).map(StackId).zip(values).filter(|(_, value)| *value != 0).collect();
        let labels = group.labels.iter().chain(is_base.then_some(OF_BASE)).collect();
        let series = vec![BatchSeries { labels, time_ms: 0, rows }];
        all.add(Batch { symbols: group.merged.symbols, series });
    }
    all
}

fn parts(all: &Batch) -> Vec<Part<'_>> {
    let series = all.series.iter();
    series
        .map(|series| Part {
            labels: series.labels.iter().collect(),
            rows: Cow::Borrowed(series.rows.as_slice()),
        })
        .collect()
}

/// What a pprof file says of its values.
fn totals(profile_type: &ProfileType, range: Range) -> Totals {
    Totals {
        value: profile_type.value.clone(),
        period: (profile_type.period.clone(), 0),
        started_unix_ns: range.from_ms.saturating_mul(1_000_000),
        duration_ns: range.until_ms.saturating_sub(range.from_ms).saturating_mul(1_000_000),
    }
}

/// A flamegraph as one SVG file. Of a comparison, a frame is as wide as the mean of its shares of both sides, and its colour tells how the
/// share changed.
///
/// # Errors
/// None of its own: it is written to memory.
pub fn svg(tree: &Tree, unit: &str, title: &str, subtitle: &str, with_base: bool) -> io::Result<Vec<u8>> {
    let mut profile = Profile::default();
    profile.recording.title = title.to_owned();
    let (weight, count_name) = match unit {
        _ if with_base => (Weight::CpuSamples { period_ns: 0 }, ""),
        // The picture tells times and bytes by these; what they are times of, the subtitle says.
        "nanoseconds" => (Weight::OffCpuNs, "samples"),
        "bytes" => (Weight::AllocatedBytes, "samples"),
        other => (Weight::CpuSamples { period_ns: 0 }, other),
    };
    profile.recording.weight = weight;
    // The row below all stacks, where a profile of a process has its threads.
    let name = profile.strings.intern(title);
    profile.threads.push(Thread { pid: 0, tid: 0, process_name: name, name });
    let total = tree.total().map(|total| total.max(1) as f64);
    let shares = |values: [i64; 2]| [values[0] as f64 / total[0], values[1] as f64 / total[1]];
    let mut stacks = Vec::with_capacity(tree.nodes.len());
    let mut changes = Vec::new();
    for (position, node) in (0..).zip(&tree.nodes) {
        let stack = node.parent.map(|parent| {
            let function = profile.strings.intern(&tree.names[node.name as usize]);
            let [now, base] = shares(node.total);
            let told = match with_base {
                true => format!("{}, {} in the base: {}", percent(now), percent(base), points(now, base)),
                false => String::new(),
            };
            let frame = profile.frames.intern(Frame {
                kind: FrameKind::Native,
                function,
                file: profile.strings.intern(&told),
                line: 0,
                mapping: None,
                // What changed is told of a node, not of a function.
                address: if with_base { position } else { 0 },
                inlined: false,
            });
            if with_base {
                changes.push(step(now, base));
            }
            profile.stacks.push(stacks[parent as usize], frame)
        });
        stacks.push(stack);
        let own = match with_base {
            true => (shares(node.own).iter().sum::<f64>() / 2.0 * PARTS) as i64,
            false => node.own[0],
        };
        // What a picture cannot show is what is below zero.
        if let (Ok(weight @ 1..), true) = (u64::try_from(own), stack.is_some()) {
            let (time, thread) = (Monotonic::from_ns(0), ThreadId(0));
            profile.samples.push(Sample { time, thread, stack, weight });
        }
    }
    let options = flamegraph::Options {
        title: Some(title.to_owned()),
        subtitle: Some(subtitle.to_owned()),
        count_name: count_name.to_owned(),
        changes: with_base.then_some(changes),
        ..Default::default()
    };
    let mut out = Vec::new();
    flamegraph::encode(&profile, &options, &mut out)?;
    Ok(out)
}

/// Into as many parts a share is cut: widths are whole numbers.
const PARTS: f64 = 1e12;

/// The type of values of which nothing is known.
pub(crate) fn unknown_value() -> ValueType {
    ValueType::new("samples", "count")
}
