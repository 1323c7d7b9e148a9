//! The tables of a block, as they are written.

use std::collections::BTreeMap;

use bytes::Bytes;
use formats::decode::Symbols;
use model::profile::StackId;
use parquet::data_type::ByteArray;
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;

use super::super::super::row::Row;
use super::super::Part;
use super::super::table::{self, Column};
use super::{NONE, Service};
use crate::labels::Labels;

/// Rows that are read at once: a service of one hour needs one or two groups, one of ten thousand a part of one.
const GROUP_ROWS: usize = 64 * 1024;
const SAMPLES: &str = "message samples { required int32 series; required int32 stack; \
     required int64 time (TIMESTAMP(MILLIS,true)); required int64 value; }";
const TOTALS: &str = "message totals { required int32 series; required int32 stack; required int64 value; }";
const STACKS: &str = "message stacks { required int32 caller; required int32 frame; }";
const FRAMES: &str = "message frames { required binary function (STRING); required binary file (STRING); \
     required int32 line; }";
const SERIES: &str = "message series { required binary labels (JSON); required int64 hour; \
     required int64 first_row; required int64 rows; required int64 first_total; required int64 totals; \
     required int64 first_stack; required int64 stacks; \
     required int64 first (TIMESTAMP(MILLIS,true)); required int64 last (TIMESTAMP(MILLIS,true)); }";
const SERIES_NUMBERS: [&str; 9] =
    ["hour", "first_row", "rows", "first_total", "totals", "first_stack", "stacks", "first", "last"];

/// The tables but for the largest, which is written from where its rows are.
pub(super) struct Tables<'a> {
    symbols: &'a Symbols,
    callers: Vec<i32>,
    frames: Vec<i32>,
    /// Series, stack and value.
    totals: (Vec<i32>, Vec<i32>, Vec<i64>),
    labels: Vec<ByteArray>,
    /// By the columns of [`SERIES_NUMBERS`].
    numbers: [Vec<i64>; SERIES_NUMBERS.len()],
    /// How many rows each series has.
    rows: Vec<usize>,
    row_count: usize,
    /// Where the stacks of the service begin.
    first_stack: usize,
}

/// Tables, and where their parts are.
pub(super) struct Written {
    pub(super) samples: (Bytes, Vec<Part>),
    pub(super) totals: (Bytes, Vec<Part>),
    pub(super) stacks: (Bytes, Vec<Part>),
    pub(super) frames: (Bytes, Part),
    pub(super) index: (Bytes, Part),
}

impl<'a> Tables<'a> {
    pub(super) fn new(symbols: &'a Symbols) -> Self {
        Self {
            symbols,
            callers: Vec::new(),
            frames: Vec::new(),
            totals: Default::default(),
            labels: Vec::new(),
            numbers: Default::default(),
            rows: Vec::new(),
            row_count: 0,
            first_stack: 0,
        }
    }

    /// Adds the stacks of a service, whose rows get their numbers.
    pub(super) fn add_stacks(&mut self, service: &mut Service) {
        self.first_stack = self.callers.len();
        let old = service.renumber(self.first_stack as u32);
        let mut new = vec![NONE; service.stacks.iter().len()];
        for (position, stack) in (self.first_stack as u32..).zip(old) {
            new[stack as usize] = position;
            let caller = service.stacks.caller(StackId(stack));
            self.callers.push(caller.map_or(-1, |caller| new[caller.0 as usize] as i32));
            self.frames.push(service.stacks.frame(StackId(stack)).0 as i32);
        }
    }

    /// Adds a series of the service whose stacks were added last, with its rows of an hour, which are sorted.
    pub(super) fn add_run(&mut self, hour: i64, labels: &Labels, rows: &[Row]) {
        let series = self.labels.len() as i32;
        let first_total = self.totals.0.len();
        for same in rows.chunk_by(|one, next| one.stack == next.stack) {
            self.totals.0.push(series);
            self.totals.1.push(same[0].stack as i32);
            self.totals.2.push(same.iter().fold(0, |sum: i64, row| sum.saturating_add(row.value)));
        }
        let object: BTreeMap<&str, &str> = labels.iter().collect();
        self.labels.push(ByteArray::from(serde_json::to_vec(&object).expect("text")));
        let first_row = self.row_count;
        self.row_count += rows.len();
        self.rows.push(rows.len());
        let time = |time: Option<u32>| i64::from(time.unwrap_or(0)) * 1000;
        let numbers = [
            hour,
            first_row as i64,
            rows.len() as i64,
            first_total as i64,
            (self.totals.0.len() - first_total) as i64,
            self.first_stack as i64,
            (self.callers.len() - self.first_stack) as i64,
            time(rows.iter().map(|row| row.time_s).min()),
            time(rows.iter().map(|row| row.time_s).max()),
        ];
        for (column, number) in self.numbers.iter_mut().zip(numbers) {
            column.push(number);
        }
    }

    /// Writes all, with the rows in the order in which their series were added.
    pub(super) fn write<'r>(self, rows: impl Iterator<Item = &'r Row>) -> Result<Written> {
        let mut rows =
            (0..).zip(&self.rows).flat_map(|(series, count)| std::iter::repeat_n(series, *count)).zip(rows);
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
        let samples = grouped(table::write(SAMPLES, &["stack", "time"], groups)?);
        let (series, stack, value) = &self.totals;
        let groups = series.chunks(GROUP_ROWS).zip(stack.chunks(GROUP_ROWS)).zip(value.chunks(GROUP_ROWS));
        let groups = groups.map(|((series, stack), value)| {
            vec![Column::Small(series.to_vec()), Column::Small(stack.to_vec()), Column::Large(value.to_vec())]
        });
        let totals = grouped(table::write(TOTALS, &["stack"], groups)?);
        let groups = self.callers.chunks(GROUP_ROWS).zip(self.frames.chunks(GROUP_ROWS));
        let groups = groups
            .map(|(callers, frames)| vec![Column::Small(callers.to_vec()), Column::Small(frames.to_vec())]);
        let stacks = grouped(table::write(STACKS, &["caller", "frame"], groups)?);
        let frames = whole(table::write(FRAMES, &["line"], [frame_columns(self.symbols)].into_iter())?);
        let mut columns = vec![Column::Text(self.labels)];
        columns.extend(self.numbers.map(Column::Large));
        let index = whole(table::write(SERIES, &SERIES_NUMBERS, [columns].into_iter())?);
        Ok(Written { samples, totals, stacks, frames, index })
    }
}

fn frame_columns(symbols: &Symbols) -> Vec<Column> {
    use crate::store::Dictionary;
    let places = || (0..symbols.frame_count() as u32).map(|frame| symbols.place(frame));
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    vec![
        Column::Text(places().map(|(function, _, _)| text(function)).collect()),
        Column::Text(places().map(|(_, file, _)| text(file)).collect()),
        Column::Small(places().map(|(_, _, line)| i32::try_from(line).unwrap_or(0)).collect()),
    ]
}

/// The groups of a table, and behind them what tells where they are.
fn grouped((bytes, metadata): (Bytes, ParquetMetaData)) -> (Bytes, Vec<Part>) {
    let mut parts = Vec::new();
    let mut end = 0;
    for group in metadata.row_groups() {
        let start = group.columns().iter().map(|column| column.byte_range().0).min().unwrap_or(0) as usize;
        let ends = group.columns().iter().map(|column| column.byte_range().0 + column.byte_range().1);
        end = ends.max().unwrap_or(0) as usize;
        parts.push(part(&bytes, start, end));
    }
    parts.push(part(&bytes, end, bytes.len()));
    (bytes, parts)
}

fn whole((bytes, _): (Bytes, ParquetMetaData)) -> (Bytes, Part) {
    let part = part(&bytes, 0, bytes.len());
    (bytes, part)
}

fn part(bytes: &Bytes, start: usize, end: usize) -> Part {
    Part { offset: start as u64, bytes: (end - start) as u64, crc32: crc32fast::hash(&bytes[start..end]) }
}
