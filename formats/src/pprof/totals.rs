//! Writing pprof of what decoders read: sums by stack, without addresses.

use std::borrow::Cow;
use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use model::profile::StackId;
use prost::Message;
use rustc_hash::FxHashMap;

use super::{ROWS_AT_A_TIME, wire};
use crate::decode::{Symbols, ValueType};

/// What is said of the sums.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// What they count.
    pub value: ValueType,
    /// What was counted to take a sample, and how much of it passed from one to the next; zero where unknown.
    pub period: (ValueType, i64),
    /// When the first sample was taken: nanoseconds since the UNIX epoch.
    pub started_unix_ns: i64,
    /// How long samples were taken.
    pub duration_ns: i64,
}

/// Sums of samples with the same labels, by stack.
#[derive(Clone, Debug, Default)]
pub struct Part<'a> {
    /// Names and values.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Stacks, and what was spent in them.
    pub rows: Cow<'a, [(StackId, i64)]>,
}

/// The label that programs for pprof know samples of a base by. What is in the base has the values of it negated, as `pprof` itself writes
/// what it was told to subtract.
pub const OF_BASE: (&str, &str) = ("pprof::base", "true");

/// Writes sums as a message that is not compressed.
pub fn totals_message(symbols: &Symbols, parts: &[Part<'_>], totals: &Totals) -> Vec<u8> {
    let mut out = Vec::new();
    let mut texts: Vec<String> = symbols.strings.iter().map(str::to_owned).collect();
    let mut known: FxHashMap<String, i64> = FxHashMap::default();
    let mut text = |text: &str| -> i64 {
        if text.is_empty() {
            return 0;
        }
        *known.entry(text.to_owned()).or_insert_with(|| {
            texts.push(text.to_owned());
            texts.len() as i64 - 1
        })
    };
    let mut value_type =
        |value: &ValueType| wire::ValueType { kind: text(&value.kind), unit: text(&value.unit) };
    let value = value_type(&totals.value);
    let head = wire::Profile {
        sample_type: vec![value],
        default_sample_type: value.kind,
        time_nanos: totals.started_unix_ns,
        duration_nanos: totals.duration_ns,
        period_type: Some(value_type(&totals.period.0)),
        period: totals.period.1,
        ..Default::default()
    };
    append(&mut out, &head);
    let labels: Vec<Vec<wire::Label>> = parts
        .iter()
        .map(|part| {
            let label =
                |&(name, value): &(&str, &str)| wire::Label { key: text(name), str: text(value), num: 0 };
            part.labels.iter().map(label).collect()
        })
        .collect();
    // A place is a location; a function is told by its name and file.
    let mut functions: FxHashMap<(u32, u32), u64> = FxHashMap::default();
    for (position, place) in symbols.frames.iter().enumerate() {
        let next = functions.len() as u64 + 1;
        let id = *functions.entry((place.function.0, place.file.0)).or_insert(next);
        let (name, filename) = (place.function.0.into(), place.file.0.into());
        let function = (id == next).then_some(wire::Function { id, name, system_name: name, filename });
        let line = wire::Line { function_id: id, line: place.line.into() };
        let location =
            wire::Location { id: position as u64 + 1, mapping_id: 0, address: 0, line: vec![line] };
        let row = wire::Profile {
            function: function.into_iter().collect(),
            location: vec![location],
            ..Default::default()
        };
        append(&mut out, &row);
    }
    for (part, labels) in parts.iter().zip(&labels) {
        for (stack, value) in part.rows.iter().filter(|(_, value)| *value != 0) {
            let frames = std::iter::successors(Some(*stack), |&stack| symbols.stacks.caller(stack));
            let location_id = frames.map(|stack| u64::from(symbols.stacks.frame(stack).0) + 1).collect();
            let sample = wire::Sample { location_id, value: vec![*value], label: labels.clone() };
            append(&mut out, &wire::Profile { sample: vec![sample], ..Default::default() });
        }
    }
    for texts in texts.chunks(ROWS_AT_A_TIME) {
        append(&mut out, &wire::Profile { string_table: texts.to_vec(), ..Default::default() });
    }
    out
}

/// Writes sums, by stack, as gzip-compressed pprof.
///
/// # Errors
/// Those of `out`.
pub fn encode_totals(
    symbols: &Symbols,
    values: &[i64],
    totals: &Totals,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let rows = (0..).map(StackId).zip(values.iter().copied()).collect::<Vec<_>>().into();
    let all = Part { labels: Vec::new(), rows };
    encode_parts(symbols, &[all], totals, out)
}

/// Writes sums by labels and stack, likewise.
///
/// # Errors
/// Those of `out`.
pub fn encode_parts(
    symbols: &Symbols,
    parts: &[Part<'_>],
    totals: &Totals,
    out: &mut impl io::Write,
) -> io::Result<()> {
    let mut gzip = GzEncoder::new(out, Compression::fast());
    io::Write::write_all(&mut gzip, &totals_message(symbols, parts, totals))?;
    gzip.finish().map(drop)
}

fn append(out: &mut Vec<u8>, part: &wire::Profile) {
    part.encode(out).expect("a vector grows");
}
