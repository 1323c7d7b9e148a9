//! Reading a block: which series it has, its stacks, and the rows of some series.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::FileReader;

use super::super::objects::Objects;
use super::super::row::Row;
use super::table::{self, Parts};
use super::{Block, BlockError, Part};
use crate::labels::Labels;
use crate::store::{Dictionary, SeriesSpan};

/// The series of a block, and where their rows lie.
#[derive(Debug)]
pub(in super::super) struct Index {
    pub(in super::super) series: Vec<IndexSeries>,
    /// By group of rows: the first, and the end.
    groups: Vec<Range<u64>>,
    footer: Bytes,
}

/// One series.
#[derive(Debug)]
pub(in super::super) struct IndexSeries {
    pub(in super::super) span: SeriesSpan,
    rows: Range<u64>,
}

/// The stacks of a block.
#[derive(Debug)]
pub(in super::super) struct StackTable {
    callers: Vec<i32>,
    frames: Vec<i32>,
    functions: Vec<Bytes>,
    files: Vec<Bytes>,
    lines: Vec<i32>,
}

impl Block {
    /// Reads which series there are.
    pub(in super::super) fn index(&self, objects: &Objects) -> Result<Index, BlockError> {
        let table = Parts::whole(self.read(objects, "series.parquet", self.meta.index)?);
        let footer = self.meta.samples.last().copied().unwrap_or(Part { offset: 0, bytes: 0, crc32: 0 });
        let footer_bytes = self.read(objects, "samples.parquet", footer)?;
        let read = || {
            let table = table::open(table.clone())?;
            let labels = table::column(&table, 0)?.text()?;
            let first_rows = table::column(&table, 1)?.large()?;
            let rows = table::column(&table, 2)?.large()?;
            let (first, last) = (table::column(&table, 3)?.large()?, table::column(&table, 4)?.large()?);
            let mut series = Vec::with_capacity(labels.len());
            for (position, text) in labels.iter().enumerate() {
                let labels: BTreeMap<String, String> =
                    serde_json::from_slice(text.data()).map_err(|error| table::wrong(&error.to_string()))?;
                let labels = labels.into_iter().collect::<Labels>();
                let start = first_rows[position] as u64;
                let span = SeriesSpan { labels, first_ms: first[position], last_ms: last[position] };
                series.push(IndexSeries { span, rows: start..start + rows[position] as u64 });
            }
            let mut samples = Parts::new(footer.offset + footer.bytes);
            samples.add(footer.offset, footer_bytes.clone());
            let groups = groups(table::open(samples)?.metadata());
            Ok(Index { series, groups, footer: footer_bytes.clone() })
        };
        read().map_err(|error| self.corrupted("series.parquet", &error))
    }

    /// Reads the stacks.
    pub(in super::super) fn stacks(&self, objects: &Objects) -> Result<StackTable, BlockError> {
        let stacks = Parts::whole(self.read(objects, "stacks.parquet", self.meta.stacks)?);
        let frames = Parts::whole(self.read(objects, "frames.parquet", self.meta.frames)?);
        let read = || {
            let (stacks, frames) = (table::open(stacks.clone())?, table::open(frames.clone())?);
            let text = |position| {
                let column = table::column(&frames, position)?.text()?;
                Ok::<_, ParquetError>(column.into_iter().map(|text| text.data().to_vec().into()).collect())
            };
            StackTable {
                callers: table::column(&stacks, 0)?.small()?,
                frames: table::column(&stacks, 1)?.small()?,
                functions: text(0)?,
                files: text(1)?,
                lines: table::column(&frames, 2)?.small()?,
            }
            .checked()
        };
        read().map_err(|error| self.corrupted("stacks.parquet", &error))
    }

    /// Reads the rows of some series, by ascending position: each is given with its series' position in the list.
    pub(in super::super) fn rows(
        &self,
        objects: &Objects,
        index: &Index,
        wanted: &[usize],
        mut each: impl FnMut(usize, Row),
    ) -> Result<(), BlockError> {
        let footer = self.meta.samples.last().map_or(0, |part| part.offset);
        let mut next = 0;
        for (group, range) in index.groups.iter().enumerate() {
            // Series lie one after the other, so those of a group are neighbours in the list.
            let here = |&series: &usize| {
                let rows = &index.series[series].rows;
                rows.start < range.end && rows.end > range.start
            };
            while wanted.get(next).is_some_and(|series| index.series[*series].rows.end <= range.start) {
                next += 1;
            }
            let series: Vec<usize> = wanted[next..].iter().copied().take_while(here).collect();
            let (Some(first), Some(last)) = (series.first(), series.last()) else { continue };
            let start = index.series[*first].rows.start.max(range.start);
            let end = index.series[*last].rows.end.min(range.end);
            let mut parts = Parts::new(footer + index.footer.len() as u64);
            parts.add(footer, index.footer.clone());
            let part = *self.meta.samples.get(group).ok_or_else(|| self.missing(group))?;
            parts.add(part.offset, self.read(objects, "samples.parquet", part)?);
            let read = || {
                let table = table::open(parts.clone())?;
                let group = table.get_row_group(group)?;
                let (skip, count) = ((start - range.start) as usize, (end - start) as usize);
                let stacks = table::part(&*group, 1, skip, count)?.small()?;
                let times = table::part(&*group, 2, skip, count)?.large()?;
                let values = table::part(&*group, 3, skip, count)?.large()?;
                Ok((stacks, times, values))
            };
            let (stacks, times, values) =
                read().map_err(|error| self.corrupted("samples.parquet", &error))?;
            for (offset, series) in series.iter().enumerate() {
                let rows = &index.series[*series].rows;
                for row in rows.start.max(start) - start..rows.end.min(end) - start {
                    let row = row as usize;
                    let time_s = u32::try_from(times[row] / 1000).unwrap_or(0);
                    each(next + offset, Row { stack: stacks[row] as u32, time_s, value: values[row] });
                }
            }
        }
        Ok(())
    }

    fn read(&self, objects: &Objects, object: &str, part: Part) -> Result<Bytes, BlockError> {
        let name = format!("{}/{object}", self.name);
        let read = objects.get_part(&name, part.offset..part.offset + part.bytes);
        let bytes = read.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::UnexpectedEof => {
                BlockError::Corrupted(format!("{name}: {error}"))
            }
            _ => BlockError::Io(error),
        })?;
        if bytes.len() as u64 != part.bytes || crc32fast::hash(&bytes) != part.crc32 {
            let (start, end) = (part.offset, part.offset + part.bytes);
            return Err(BlockError::Corrupted(format!(
                "{name}: bytes {start} to {end} are not what was written"
            )));
        }
        Ok(bytes)
    }

    fn corrupted(&self, object: &str, error: &ParquetError) -> BlockError {
        BlockError::Corrupted(format!("{}/{object}: {error}", self.name))
    }

    fn missing(&self, group: usize) -> BlockError {
        BlockError::Corrupted(format!("{}/samples.parquet: group {group} of rows is missing", self.name))
    }
}

fn groups(metadata: &ParquetMetaData) -> Vec<Range<u64>> {
    let mut next = 0;
    let mut range = |rows: i64| {
        let start = next;
        next += rows as u64;
        start..next
    };
    metadata.row_groups().iter().map(|group| range(group.num_rows())).collect()
}

impl Index {
    /// How much memory it takes, about.
    pub(in super::super) fn bytes(&self) -> usize {
        let series = |series: &IndexSeries| series.span.labels.size_bytes() + 64;
        self.footer.len() + self.series.iter().map(series).sum::<usize>()
    }
}

impl StackTable {
    fn checked(self) -> Result<Self, ParquetError> {
        let callers_first =
            (0..).zip(&self.callers).all(|(position, caller)| (-1..position).contains(caller));
        let frames = self.functions.len() as i32;
        let known_frames = self.frames.iter().all(|frame| (0..frames).contains(frame));
        let texts = self.functions.iter().chain(&self.files).all(|text| std::str::from_utf8(text).is_ok());
        let lengths = self.callers.len() == self.frames.len()
            && self.files.len() == self.functions.len()
            && self.lines.len() == self.functions.len();
        if callers_first && known_frames && texts && lengths {
            Ok(self)
        } else {
            Err(table::wrong("rows refer to what is not there"))
        }
    }

    /// How much memory it takes, about.
    pub(in super::super) fn bytes(&self) -> usize {
        let texts = self.functions.iter().chain(&self.files).map(|text| text.len() + 48);
        texts.sum::<usize>() + 8 * self.callers.len() + 4 * self.lines.len()
    }
}

impl Dictionary for StackTable {
    fn stack_count(&self) -> usize {
        self.callers.len()
    }

    fn stack(&self, position: u32) -> (Option<u32>, u32) {
        let position = position as usize;
        (u32::try_from(self.callers[position]).ok(), self.frames[position] as u32)
    }

    fn frame_count(&self) -> usize {
        self.functions.len()
    }

    fn place(&self, position: u32) -> (&str, &str, u32) {
        let (function, file) =
            (self.functions[position as usize].as_ref(), self.files[position as usize].as_ref());
        // Checked when it was read.
        let utf8 = |text| std::str::from_utf8(text).unwrap_or("[unknown]");
        (utf8(function), utf8(file), self.lines[position as usize] as u32)
    }
}
