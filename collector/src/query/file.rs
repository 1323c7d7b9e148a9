//! What was spent where, as files of other programs' formats.

use std::io;

use formats::decode::ValueType;
use formats::flamegraph;
use formats::pprof::Totals;
use model::profile::{Frame, FrameKind, Profile, Sample, Thread, ThreadId, Weight};
use model::time::Monotonic;

use super::Tree;
use crate::profile_type::ProfileType;
use crate::store::{Detail, Group, Merged};
use crate::times::Range;

/// Folded stacks; the values are the type's.
pub fn folded(tree: &Tree) -> Vec<u8> {
    let mut paths: Vec<String> = Vec::with_capacity(tree.nodes.len());
    let mut lines = Vec::new();
    for node in &tree.nodes {
        let name = tree.names[node.name as usize].replace(';', ":").replace(char::is_control, " ");
        let path = match node.parent.map(|parent| &paths[parent as usize]) {
            None => String::new(),
            Some(caller) if caller.is_empty() => name,
            Some(caller) => format!("{caller};{name}"),
        };
        if node.own[0] != 0 && !path.is_empty() {
            lines.push(format!("{path} {}\n", node.own[0]));
        }
        paths.push(path);
    }
    lines.sort_unstable();
    lines.concat().into_bytes()
}

/// gzip-compressed pprof, with files and lines as far as they are known.
pub fn pprof(groups: &[Group], profile_type: &ProfileType, range: Range) -> Vec<u8> {
    let merged = together(groups);
    let mut out = Vec::new();
    let totals = totals(profile_type, range);
    formats::pprof::encode_totals(&merged.symbols, &merged.values, &totals, &mut out)
        .expect("a vector grows");
    out
}

/// The same without compression.
pub(crate) fn pprof_message(groups: &[Group], profile_type: &ProfileType, range: Range) -> Vec<u8> {
    let merged = together(groups);
    formats::pprof::totals_message(&merged.symbols, &merged.values, &totals(profile_type, range))
}

fn together(groups: &[Group]) -> Merged {
    let mut merged = Merged::default();
    for group in groups {
        // It was within bounds apart; together it is a file.
        merged.add(&group.merged.symbols, &group.merged.values, Detail::Lines);
    }
    merged
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

/// A flamegraph as one SVG file.
///
/// # Errors
/// None of its own: it is written to memory.
pub fn svg(tree: &Tree, unit: &str, title: &str, subtitle: &str) -> io::Result<Vec<u8>> {
    let mut profile = Profile::default();
    profile.recording.title = title.to_owned();
    let (weight, count_name) = match unit {
        // The picture tells times and bytes by these; what they are times of, the subtitle says.
        "nanoseconds" => (Weight::OffCpuNs, "samples"),
        "bytes" => (Weight::AllocatedBytes, "samples"),
        other => (Weight::CpuSamples { period_ns: 0 }, other),
    };
    profile.recording.weight = weight;
    let name = profile.strings.intern("all");
    profile.threads.push(Thread { pid: 0, tid: 0, process_name: name, name });
    let mut stacks = Vec::with_capacity(tree.nodes.len());
    for node in &tree.nodes {
        let stack = node.parent.map(|parent| {
            let function = profile.strings.intern(&tree.names[node.name as usize]);
            let frame = profile.frames.intern(Frame {
                kind: FrameKind::Native,
                function,
                file: Default::default(),
                line: 0,
                mapping: None,
                address: 0,
                inlined: false,
            });
            profile.stacks.push(stacks[parent as usize], frame)
        });
        stacks.push(stack);
        // What a picture cannot show is what is below zero.
        if let (Ok(weight @ 1..), true) = (u64::try_from(node.own[0]), stack.is_some()) {
            let (time, thread) = (Monotonic::from_ns(0), ThreadId(0));
            profile.samples.push(Sample { time, thread, stack, weight });
        }
    }
    let options = flamegraph::Options {
        title: Some(title.to_owned()),
        subtitle: Some(subtitle.to_owned()),
        count_name: count_name.to_owned(),
        ..Default::default()
    };
    let mut out = Vec::new();
    flamegraph::encode(&profile, &options, &mut out)?;
    Ok(out)
}

/// The type of values of which nothing is known.
pub(crate) fn unknown_value() -> ValueType {
    ValueType::new("samples", "count")
}
