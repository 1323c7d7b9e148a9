//! Making a block of rows from heads or from other blocks.

use std::collections::BTreeMap;

use bytes::Bytes;
use formats::decode::Symbols;
use model::profile::StackId;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;

use super::super::row::Row;
use super::table::{self, Column};
use super::{Made, Meta, Part, VERSION};
use crate::labels::{Labels, SERVICE};
use crate::store::merged::Interned;
use crate::store::{Detail, Dictionary};

/// Rows of samples that are read at once: a service of one hour needs one or two groups, one of ten thousand a part of one.
const GROUP_ROWS: usize = 64 * 1024;
const SAMPLES: &str = "message samples { required int32 series; required int32 stack; \
     required int64 time (TIMESTAMP(MILLIS,true)); required int64 value; }";
const STACKS: &str = "message stacks { required int32 caller; required int32 frame; }";
const FRAMES: &str = "message frames { required binary function (STRING); required binary file (STRING); \
     required int32 line; }";
const SERIES: &str = "message series { required binary labels (JSON); required int64 first_row; required int64 rows; \
     required int64 first (TIMESTAMP(MILLIS,true)); required int64 last (TIMESTAMP(MILLIS,true)); }";
const NONE: u32 = u32::MAX;

/// Series by service, so that those of one lie together, then by all labels.
type Key = (String, Labels);

/// Rows that become a block.
#[derive(Debug, Default)]
pub(in super::super) struct Builder {
    symbols: Symbols,
    series: BTreeMap<Key, Vec<Row>>,
    rows: usize,
}

/// Stacks of a source in the builder's own table.
pub(in super::super) struct Source<'a, D> {
    dictionary: &'a D,
    frames: Interned<'a, D>,
    stacks: Vec<u32>,
}

impl<'a, D: Dictionary> Source<'a, D> {
    fn stack(&mut self, symbols: &mut Symbols, stack: u32) -> u32 {
        let mut path = Vec::new();
        let mut at = Some(stack);
        while let Some(stack) = at.filter(|stack| self.stacks[*stack as usize] == NONE) {
            path.push(stack);
            at = self.dictionary.stack(stack).0;
        }
        for stack in path.into_iter().rev() {
            let (caller, frame) = self.dictionary.stack(stack);
            let frame = self.frames.frame(symbols, frame);
            let caller = caller.map(|caller| StackId(self.stacks[caller as usize]));
            self.stacks[stack as usize] = symbols.stacks.push(caller, frame).0;
        }
        self.stacks[stack as usize]
    }
}

impl Builder {
    /// A source of rows that refer to this dictionary.
    pub(in super::super) fn source<'a, D: Dictionary>(dictionary: &'a D) -> Source<'a, D> {
        let frames = Interned::new(dictionary, Detail::Lines);
        Source { dictionary, frames, stacks: vec![NONE; dictionary.stack_count()] }
    }

    /// Adds rows of a series.
    pub(in super::super) fn add<D: Dictionary>(
        &mut self,
        source: &mut Source<'_, D>,
        labels: &Labels,
        rows: impl Iterator<Item = Row>,
    ) {
        let key = (labels.get(SERVICE).unwrap_or("").to_owned(), labels.clone());
        let own = self.series.entry(key).or_default();
        let before = own.len();
        own.extend(rows.map(|row| Row { stack: source.stack(&mut self.symbols, row.stack), ..row }));
        self.rows += own.len() - before;
    }

    /// How many rows there are.
    pub(in super::super) fn rows(&self) -> usize {
        self.rows
    }

    /// Makes the block; there must be rows.
    pub(in super::super) fn make(
        mut self,
        hour: i64,
        segment: Option<u64>,
        replaces: Vec<String>,
    ) -> Result<Made> {
        let stacks = self.renumber();
        for rows in self.series.values_mut() {
            add_up(rows);
        }
        let symbols = &self.symbols;
        let times = || self.series.values().flatten().map(Row::time_ms);
        let (first_ms, last_ms) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let (samples_bytes, samples) = self.samples()?;
        let (stacks_bytes, _) =
            table::write(STACKS, &["caller", "frame"], [stack_columns(symbols, &stacks)].into_iter())?;
        let (frames_bytes, _) = table::write(FRAMES, &["line"], [frame_columns(symbols)].into_iter())?;
        let deltas = ["first_row", "rows", "first", "last"];
        let (index_bytes, _) = table::write(SERIES, &deltas, [self.series_columns()].into_iter())?;
        let meta = Meta {
            version: VERSION,
            hour,
            first_ms,
            last_ms,
            rows: self.series.values().map(|rows| rows.len() as u64).sum(),
            series: self.series.len() as u64,
            segment,
            replaces,
            samples: parts(&samples_bytes, &samples),
            stacks: part(&stacks_bytes, 0, stacks_bytes.len()),
            frames: part(&frames_bytes, 0, frames_bytes.len()),
            index: part(&index_bytes, 0, index_bytes.len()),
            checksum: 0,
        };
        let objects = vec![
            ("samples.parquet", samples_bytes),
            ("stacks.parquet", stacks_bytes),
            ("frames.parquet", frames_bytes),
            ("series.parquet", index_bytes),
        ];
        Ok(Made { meta: meta.sealed(), objects })
    }

    /// Gives stacks the order in which rows need them, so that the stacks of a service lie together. Returns the old
    /// position of each.
    fn renumber(&mut self) -> Vec<u32> {
        let mut new = vec![NONE; self.symbols.stack_count()];
        let mut old = Vec::with_capacity(new.len());
        let mut path = Vec::new();
        for row in self.series.values_mut().flatten() {
            let mut at = Some(row.stack);
            while let Some(stack) = at.filter(|stack| new[*stack as usize] == NONE) {
                path.push(stack);
                at = self.symbols.stack(stack).0;
            }
            for stack in path.drain(..).rev() {
                new[stack as usize] = old.len() as u32;
                old.push(stack);
            }
            row.stack = new[row.stack as usize];
        }
        old
    }

    fn samples(&self) -> Result<(Bytes, ParquetMetaData)> {
        let mut rows = (0..)
            .zip(self.series.values())
            .flat_map(|(series, rows)| rows.iter().map(move |row| (series, row)));
        let groups = std::iter::from_fn(|| {
            let group: Vec<(i32, &Row)> = rows.by_ref().take(GROUP_ROWS).collect();
            (!group.is_empty()).then(|| {
                vec![
                    Column::Small(group.iter().map(|(series, _)| *series).collect()),
                    Column::Small(group.iter().map(|(_, row)| row.stack as i32).collect()),
                    Column::Large(group.iter().map(|(_, row)| row.time_ms()).collect()),
                    Column::Large(group.iter().map(|(_, row)| row.value).collect()),
                ]
            })
        });
        table::write(SAMPLES, &["stack", "time"], groups)
    }

    fn series_columns(&self) -> Vec<Column> {
        let labels = self.series.keys().map(|(_, labels)| {
            let object: BTreeMap<&str, &str> = labels.iter().collect();
            ByteArray::from(serde_json::to_vec(&object).expect("text"))
        });
        let mut next = 0;
        let first_rows = self.series.values().map(|rows| {
            let first = next;
            next += rows.len() as i64;
            first
        });
        let times = |choose: fn(&[Row]) -> Option<u32>| {
            let time = |rows: &Vec<Row>| i64::from(choose(rows).unwrap_or(0)) * 1000;
            Column::Large(self.series.values().map(time).collect())
        };
        vec![
            Column::Text(labels.collect()),
            Column::Large(first_rows.collect()),
            Column::Large(self.series.values().map(|rows| rows.len() as i64).collect()),
            times(|rows| rows.iter().map(|row| row.time_s).min()),
            times(|rows| rows.iter().map(|row| row.time_s).max()),
        ]
    }
}

/// Sorts rows, and makes one of those of equal stack and time.
fn add_up(rows: &mut Vec<Row>) {
    rows.sort_unstable_by_key(|row| (row.stack, row.time_s));
    rows.dedup_by(|later, earlier| {
        let same = (later.stack, later.time_s) == (earlier.stack, earlier.time_s);
        if same {
            earlier.value = earlier.value.saturating_add(later.value);
        }
        same
    });
}

fn stack_columns(symbols: &Symbols, stacks: &[u32]) -> Vec<Column> {
    let mut new = vec![-1; symbols.stack_count()];
    let mut callers = Vec::with_capacity(stacks.len());
    let mut frames = Vec::with_capacity(stacks.len());
    for (position, stack) in (0..).zip(stacks) {
        let (caller, frame) = symbols.stack(*stack);
        new[*stack as usize] = position;
        callers.push(caller.map_or(-1, |caller| new[caller as usize]));
        frames.push(frame as i32);
    }
    vec![Column::Small(callers), Column::Small(frames)]
}

fn frame_columns(symbols: &Symbols) -> Vec<Column> {
    let places = || (0..symbols.frame_count() as u32).map(|frame| symbols.place(frame));
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    vec![
        Column::Text(places().map(|(function, _, _)| text(function)).collect()),
        Column::Text(places().map(|(_, file, _)| text(file)).collect()),
        Column::Small(places().map(|(_, _, line)| i32::try_from(line).unwrap_or(0)).collect()),
    ]
}

/// The groups of a table, and behind them what tells where they are.
fn parts(bytes: &Bytes, metadata: &ParquetMetaData) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut end = 0;
    for group in metadata.row_groups() {
        let start = group.columns().iter().map(|column| column.byte_range().0).min().unwrap_or(0) as usize;
        let ends = group.columns().iter().map(|column| column.byte_range().0 + column.byte_range().1);
        end = ends.max().unwrap_or(0) as usize;
        parts.push(part(bytes, start, end));
    }
    parts.push(part(bytes, end, bytes.len()));
    parts
}

fn part(bytes: &Bytes, start: usize, end: usize) -> Part {
    Part { offset: start as u64, bytes: (end - start) as u64, crc32: crc32fast::hash(&bytes[start..end]) }
}
