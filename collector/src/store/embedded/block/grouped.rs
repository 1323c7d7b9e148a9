//! A table that is read in groups of rows, as many as are needed.

use std::ops::Range;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::FileReader;

use super::super::objects::Objects;
use super::table::{self, Column, Parts};
use super::{Block, BlockError, Part};

/// Where the groups of a table are.
#[derive(Debug)]
pub(super) struct Grouped {
    object: &'static str,
    /// By group: the first row, and the end.
    rows: Vec<Range<u64>>,
    parts: Vec<Part>,
    footer: Bytes,
    footer_offset: u64,
}

/// Ranges by their positions in what was asked for, within what was read.
pub(super) type Pieces = Vec<(usize, Range<usize>)>;

impl Grouped {
    /// Reads where the groups are.
    pub(super) fn open(
        block: &Block,
        objects: &Objects,
        object: &'static str,
        parts: &[Part],
    ) -> Result<Self, BlockError> {
        let missing = || BlockError::Corrupted(format!("{}/{object}: the footer is missing", block.name));
        let (footer, parts) = parts.split_last().ok_or_else(missing)?;
        let bytes = block.read(objects, object, *footer)?;
        let mut table = Parts::new(footer.offset + footer.bytes);
        table.add(footer.offset, bytes.clone());
        let table = table::open(table).map_err(|error| block.corrupted(object, &error))?;
        let mut next = 0;
        let rows = table.metadata().row_groups().iter().map(|group| {
            let start = next;
            next += group.num_rows() as u64;
            start..next
        });
        let rows: Vec<_> = rows.collect();
        if rows.len() != parts.len() {
            return Err(block.corrupted(object, &table::wrong("a group of rows is missing")));
        }
        Ok(Self { object, rows, parts: parts.to_vec(), footer: bytes, footer_offset: footer.offset })
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.footer.len() + self.rows.len() * (size_of::<Part>() + size_of::<Range<u64>>())
    }

    /// Reads columns of ranges of rows, which ascend and do not overlap: group by group, each with what is wanted of it.
    pub(super) fn each<const N: usize>(
        &self,
        block: &Block,
        objects: &Objects,
        wanted: &[Range<u64>],
        columns: [usize; N],
        mut take: impl FnMut([Column; N], Pieces) -> Result<(), ParquetError>,
    ) -> Result<(), BlockError> {
        let mut next = 0;
        for (group, rows) in self.rows.iter().enumerate() {
            while wanted.get(next).is_some_and(|wanted| wanted.end <= rows.start) {
                next += 1;
            }
            let here = |wanted: &&Range<u64>| wanted.start < rows.end;
            let last = wanted[next..].iter().take_while(here).last();
            let (Some(first), Some(last)) = (wanted.get(next), last) else { continue };
            let (start, end) = (first.start.max(rows.start), last.end.min(rows.end));
            let mut parts = Parts::new(self.footer_offset + self.footer.len() as u64);
            parts.add(self.footer_offset, self.footer.clone());
            let part = self.parts[group];
            parts.add(part.offset, block.read(objects, self.object, part)?);
            let pieces = wanted[next..].iter().take_while(here).enumerate().map(|(offset, wanted)| {
                let (from, until) = (wanted.start.max(start) - start, wanted.end.min(end).max(start) - start);
                (next + offset, from as usize..until as usize)
            });
            let pieces = pieces.collect();
            let read = || {
                let table = table::open(parts.clone())?;
                let group = table.get_row_group(group)?;
                let (skip, count) = ((start - rows.start) as usize, (end.max(start) - start) as usize);
                let mut found = Vec::with_capacity(N);
                for column in columns {
                    found.push(table::part(&*group, column, skip, count)?);
                }
                let found: [Column; N] = found.try_into().map_err(|_| table::wrong("a column is missing"))?;
                take(found, pieces)
            };
            read().map_err(|error| block.corrupted(self.object, &error))?;
        }
        Ok(())
    }
}
