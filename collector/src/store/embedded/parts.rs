//! Heads and blocks as parts that a query adds up.

use std::sync::Arc;

use formats::decode::Symbols;

use super::block::{Block, BlockError, FrameTable, Index, StackTable};
use super::cache::Cache;
use super::head::Head;
use super::objects::Objects;
use super::row::Row;
use super::scan::Part;
use crate::labels::Labels;
use crate::store::StoreError;

/// Why a part cannot be added up.
#[derive(Debug)]
pub(super) enum PartError {
    /// The answer is too large, or the store failed: the query ends.
    Store(StoreError),
    /// The block cannot be read: the query goes on without it.
    Block(BlockError),
}

impl From<StoreError> for PartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BlockError> for PartError {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}

/// A reference that says so.
pub(super) struct Ref<'a, T>(&'a T);

impl<T> AsRef<T> for Ref<'_, T> {
    fn as_ref(&self) -> &T {
        self.0
    }
}

impl Part for Head {
    type Error = PartError;
    type Dictionary = Symbols;

    fn spans(&self) -> impl Iterator<Item = (&Labels, i64, i64)> {
        self.series.iter().map(|series| {
            let ms = |seconds: u32| i64::from(seconds) * 1000;
            (&series.labels, ms(series.first_s), ms(series.last_s))
        })
    }

    fn dictionary(&self, _: &[usize]) -> Result<(impl AsRef<Symbols>, u32), PartError> {
        Ok((Ref(&self.symbols), 0))
    }

    fn totals(&self, wanted: &[usize], each: &mut dyn FnMut(usize, u32, i64)) -> Result<(), PartError> {
        self.rows(wanted, &mut |position, row| each(position, row.stack, row.value))
    }

    fn rows(&self, wanted: &[usize], each: &mut dyn FnMut(usize, Row)) -> Result<(), PartError> {
        for (position, series) in wanted.iter().enumerate() {
            for row in &self.series[*series].rows {
                each(position, *row);
            }
        }
        Ok(())
    }
}

/// What was read of blocks lately.
#[derive(Debug)]
pub(super) struct Caches {
    indexes: Cache<Index>,
    frames: Cache<FrameTable>,
    stacks: Cache<StackTable>,
}

impl Caches {
    /// With this bound for all kinds together.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            indexes: Cache::new(bytes_max / 4),
            frames: Cache::new(bytes_max / 4),
            stacks: Cache::new(bytes_max / 2),
        }
    }
}

/// A block that is being read.
pub(super) struct OpenBlock<'a> {
    block: &'a Block,
    objects: &'a Objects,
    caches: &'a Caches,
    index: Arc<Index>,
}

impl<'a> OpenBlock<'a> {
    pub(super) fn new(
        block: &'a Block,
        objects: &'a Objects,
        caches: &'a Caches,
    ) -> Result<Self, BlockError> {
        let index = caches.indexes.get(&block.name, Index::bytes, || block.index(objects))?;
        Ok(Self { block, objects, caches, index })
    }

    /// The hour of a series.
    pub(super) fn hour(&self, series: usize) -> i64 {
        self.index.series[series].hour
    }

    /// All stacks, not through the cache, which is for queries.
    pub(super) fn all_stacks(&self) -> Result<StackTable, BlockError> {
        let all: Vec<usize> = (0..self.index.series.len()).collect();
        let frames = self.block.frames(self.objects)?.into();
        self.block.stacks(self.objects, &self.index, self.index.stacks_of(&all), frames)
    }
}

impl Part for OpenBlock<'_> {
    type Error = PartError;
    type Dictionary = StackTable;

    fn spans(&self) -> impl Iterator<Item = (&Labels, i64, i64)> {
        self.index
            .series
            .iter()
            .map(|series| (&series.span.labels, series.span.first_ms, series.span.last_ms))
    }

    fn dictionary(&self, wanted: &[usize]) -> Result<(impl AsRef<StackTable>, u32), PartError> {
        let name = &self.block.name;
        let stacks = self.index.stacks_of(wanted);
        let make = || {
            let frames =
                self.caches.frames.get(name, FrameTable::bytes, || self.block.frames(self.objects))?;
            self.block.stacks(self.objects, &self.index, stacks.clone(), frames)
        };
        let key = format!("{name}:{}-{}", stacks.start, stacks.end);
        let stacks = self.caches.stacks.get(&key, StackTable::bytes, make)?;
        let first = stacks.first;
        Ok((stacks, first))
    }

    fn totals(&self, wanted: &[usize], each: &mut dyn FnMut(usize, u32, i64)) -> Result<(), PartError> {
        Ok(self.block.totals(self.objects, &self.index, wanted, each)?)
    }

    fn rows(&self, wanted: &[usize], each: &mut dyn FnMut(usize, Row)) -> Result<(), PartError> {
        Ok(self.block.rows(self.objects, &self.index, wanted, each)?)
    }
}
