//! Heads and blocks as parts that a query adds up.

use std::sync::Arc;

use formats::decode::Symbols;

use super::block::{Block, BlockError, Index, StackTable};
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

    fn dictionary(&self) -> Result<impl AsRef<Symbols>, PartError> {
        Ok(Ref(&self.symbols))
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
    stacks: Cache<StackTable>,
}

impl Caches {
    /// With this bound for both kinds together.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { indexes: Cache::new(bytes_max / 4), stacks: Cache::new(bytes_max / 4 * 3) }
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

    fn dictionary(&self) -> Result<impl AsRef<StackTable>, PartError> {
        let make = || self.block.stacks(self.objects);
        Ok(self.caches.stacks.get(&self.block.name, StackTable::bytes, make)?)
    }

    fn rows(&self, wanted: &[usize], each: &mut dyn FnMut(usize, Row)) -> Result<(), PartError> {
        Ok(self.block.rows(self.objects, &self.index, wanted, each)?)
    }
}
