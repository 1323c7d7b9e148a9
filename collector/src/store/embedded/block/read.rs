//! Reading a block: which series it has, and their rows and totals.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;

use bytes::Bytes;
use parquet::errors::ParquetError;

use super::super::objects::Objects;
use super::super::row::Row;
use super::grouped::Grouped;
use super::table::{self, Parts};
use super::{Block, BlockError, META, Part, SAMPLES, SERIES, STACKS, TOTALS};
use crate::labels::Labels;
use crate::store::SeriesSpan;

/// The series of a block, and where what belongs to them lies.
#[derive(Debug)]
pub(in super::super) struct Index {
    pub(in super::super) series: Vec<IndexSeries>,
    samples: Grouped,
    totals: Grouped,
    pub(super) stacks: Grouped,
}

/// One series within an hour.
#[derive(Debug)]
pub(in super::super) struct IndexSeries {
    pub(in super::super) span: SeriesSpan,
    pub(in super::super) hour: i64,
    rows: Range<u64>,
    totals: Range<u64>,
    /// Those of its service.
    stacks: Range<u64>,
}

impl Block {
    /// Reads which series there are.
    pub(in super::super) fn index(&self, objects: &Objects) -> Result<Index, BlockError> {
        let bytes = self.read(objects, SERIES, self.meta.index)?;
        Ok(Index {
            series: series(bytes).map_err(|error| self.corrupted(SERIES, &error))?,
            samples: Grouped::open(self, objects, SAMPLES, &self.meta.samples)?,
            totals: Grouped::open(self, objects, TOTALS, &self.meta.totals)?,
            stacks: Grouped::open(self, objects, STACKS, &self.meta.stacks)?,
        })
    }

    /// Reads the rows of some series, by ascending position: each is given with its series' position in the list.
    pub(in super::super) fn rows(
        &self,
        objects: &Objects,
        index: &Index,
        wanted: &[usize],
        mut each: impl FnMut(usize, Row),
    ) -> Result<(), BlockError> {
        let ranges: Vec<_> = wanted.iter().map(|series| index.series[*series].rows.clone()).collect();
        index.samples.each(self, objects, &ranges, [1, 2, 3], |[stacks, times, values], found| {
            let (stacks, times, values) = (stacks.small()?, times.large()?, values.large()?);
            for (series, rows) in found {
                for row in rows {
                    let time_s = u32::try_from(times[row] / 1000).unwrap_or(0);
                    each(series, Row { stack: stacks[row] as u32, time_s, value: values[row] });
                }
            }
            Ok(())
        })
    }

    /// Reads the sums of some series by stack, by ascending position: each is given with its series' position in the list.
    pub(in super::super) fn totals(
        &self,
        objects: &Objects,
        index: &Index,
        wanted: &[usize],
        mut each: impl FnMut(usize, u32, i64),
    ) -> Result<(), BlockError> {
        let ranges: Vec<_> = wanted.iter().map(|series| index.series[*series].totals.clone()).collect();
        index.totals.each(self, objects, &ranges, [1, 2], |[stacks, values], found| {
            let (stacks, values) = (stacks.small()?, values.large()?);
            for (series, totals) in found {
                for total in totals {
                    each(series, stacks[total] as u32, values[total]);
                }
            }
            Ok(())
        })
    }

    /// Reads all of it, as it is in its place now.
    pub(in super::super) fn check(&self, objects: &Objects) -> Result<(), BlockError> {
        if Self::find(objects, &self.name)?.meta != self.meta {
            return Err(BlockError::Corrupted(format!("{}/{META}: it is another one", self.name)));
        }
        let index = self.index(objects)?;
        let all: Vec<usize> = (0..index.series.len()).collect();
        let frames = self.frames(objects)?.into();
        self.stacks(objects, &index, index.stacks_of(&all), frames)?;
        self.totals(objects, &index, &all, |_, _, _| {})?;
        self.rows(objects, &index, &all, |_, _| {})
    }

    pub(super) fn read(&self, objects: &Objects, object: &str, part: Part) -> Result<Bytes, BlockError> {
        let name = format!("{}/{object}", self.name);
        let read = objects.get_part(&name, part.offset..part.offset + part.bytes);
        let bytes = read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => BlockError::Corrupted(format!("{name}: {error}")),
            // Where not even the description is there, it is the place that is missing, and not a part of the block.
            ErrorKind::NotFound if Self::find(objects, &self.name).is_ok() => {
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

    pub(super) fn corrupted(&self, object: &str, error: &ParquetError) -> BlockError {
        BlockError::Corrupted(format!("{}/{object}: {error}", self.name))
    }
}

impl Index {
    /// How much memory it takes, about.
    pub(in super::super) fn bytes(&self) -> usize {
        let series = |series: &IndexSeries| series.span.labels.size_bytes() + size_of::<IndexSeries>();
        let grouped = [&self.samples, &self.totals, &self.stacks].into_iter().map(Grouped::bytes);
        grouped.sum::<usize>() + self.series.iter().map(series).sum::<usize>()
    }

    /// The stacks that the services of these series have, and what lies between them.
    pub(in super::super) fn stacks_of(&self, wanted: &[usize]) -> Range<u64> {
        let stacks = || wanted.iter().map(|series| &self.series[*series].stacks);
        let start = stacks().map(|range| range.start).min().unwrap_or(0);
        start..stacks().map(|range| range.end).max().unwrap_or(start)
    }
}

fn series(bytes: Bytes) -> Result<Vec<IndexSeries>, ParquetError> {
    let table = table::open(Parts::whole(bytes))?;
    let texts = table::column(&table, 0)?.text()?;
    let numbers = |position| table::column(&table, position)?.large();
    let (hours, rows) = (numbers(1)?, ranges(&numbers(2)?, &numbers(3)?)?);
    let (totals, stacks) = (ranges(&numbers(4)?, &numbers(5)?)?, ranges(&numbers(6)?, &numbers(7)?)?);
    let (first, last) = (numbers(8)?, numbers(9)?);
    let mut series: Vec<IndexSeries> = Vec::with_capacity(texts.len());
    // A series of several hours has its labels in memory once, and the text is read once.
    let mut known: BTreeMap<&[u8], Labels> = BTreeMap::new();
    for (position, text) in texts.iter().enumerate() {
        let labels = match known.get(text.data()) {
            Some(labels) => labels.clone(),
            None => {
                let labels: BTreeMap<String, String> =
                    serde_json::from_slice(text.data()).map_err(|error| table::wrong(&error.to_string()))?;
                let labels = labels.into_iter().collect::<Labels>();
                known.insert(text.data(), labels.clone());
                labels
            }
        };
        let span = SeriesSpan { labels, first_ms: first[position], last_ms: last[position] };
        series.push(IndexSeries {
            span,
            hour: hours[position],
            rows: rows[position].clone(),
            totals: totals[position].clone(),
            stacks: stacks[position].clone(),
        });
    }
    Ok(series)
}

fn ranges(first: &[i64], count: &[i64]) -> Result<Vec<Range<u64>>, ParquetError> {
    let range = |(first, count): (&i64, &i64)| {
        let range = u64::try_from(*first).ok().zip(u64::try_from(*count).ok());
        range.and_then(|(first, count)| Some(first..first.checked_add(count)?))
    };
    let all: Option<Vec<_>> = first.iter().zip(count).map(range).collect();
    all.ok_or_else(|| table::wrong("a range is none"))
}
