//! What the embedded store is made of, and what it counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::shared::State;

/// What the store is made of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Blocks.
    pub blocks: usize,
    /// How much disk they take.
    pub block_bytes: u64,
    /// Rows in blocks.
    pub block_rows: u64,
    /// How much disk the log takes.
    pub log_bytes: u64,
    /// How much memory heads take, about.
    pub head_bytes: usize,
    /// Series in the head that is filled.
    pub head_series: usize,
    /// Rows that were accepted since the store was opened.
    pub rows_accepted: u64,
    /// Blocks that could not be read and were set aside since the store was opened.
    pub corrupted_blocks: u64,
}

impl Sizes {
    /// Those of two stores together.
    pub(crate) fn and(self, other: &Self) -> Self {
        Self {
            blocks: self.blocks + other.blocks,
            block_bytes: self.block_bytes + other.block_bytes,
            block_rows: self.block_rows + other.block_rows,
            log_bytes: self.log_bytes + other.log_bytes,
            head_bytes: self.head_bytes + other.head_bytes,
            head_series: self.head_series + other.head_series,
            rows_accepted: self.rows_accepted + other.rows_accepted,
            corrupted_blocks: self.corrupted_blocks + other.corrupted_blocks,
        }
    }
}

/// What the store counted since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) samples: AtomicU64,
    pub(super) corrupted_blocks: AtomicU64,
    pub(super) log_bytes: AtomicU64,
}

impl Sizes {
    /// Those of this state.
    pub(super) fn of(state: &State, counts: &Counts) -> Self {
        let frozen: usize = state.frozen.iter().map(|frozen| frozen.head.bytes()).sum();
        Self {
            blocks: state.blocks.len(),
            block_bytes: state.blocks.iter().map(|block| block.meta.bytes()).sum(),
            block_rows: state.blocks.iter().map(|block| block.meta.rows).sum(),
            log_bytes: counts.log_bytes.load(Ordering::Relaxed),
            head_bytes: state.head.bytes() + frozen,
            head_series: state.head.series.len(),
            rows_accepted: counts.samples.load(Ordering::Relaxed),
            corrupted_blocks: counts.corrupted_blocks.load(Ordering::Relaxed),
        }
    }
}
