//! What came lately, in memory: the rows of each series, with one dictionary for all.

use std::mem::size_of;

use formats::decode::Symbols;
use rustc_hash::FxHashMap;

use super::super::merged::Interned;
use super::super::{Batch, Detail, Dictionary};
use super::row::Row;
use crate::labels::Labels;

/// What a table's row takes beside what it holds: its place in an index, and room to grow.
const ENTRY_BYTES: usize = 48;
/// What a stack takes: four numbers, and room to grow.
const STACK_BYTES: usize = 32;

/// Profiles that are in the log and not yet in blocks.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) symbols: Symbols,
    pub(super) series: Vec<HeadSeries>,
    by_labels: FxHashMap<Labels, u32>,
    bytes: usize,
}

/// A series and its rows, as they came.
#[derive(Debug)]
pub(super) struct HeadSeries {
    pub(super) labels: Labels,
    pub(super) rows: Vec<Row>,
    pub(super) first_s: u32,
    pub(super) last_s: u32,
}

impl Head {
    /// Adds a batch.
    pub(super) fn add(&mut self, batch: &Batch) {
        let (strings, frames) = (self.symbols.strings.iter().len(), self.symbols.frame_count());
        let stacks_before = self.symbols.stack_count();
        let stacks = Interned::new(&batch.symbols, Detail::Lines).stacks(&mut self.symbols);
        for series in &batch.series {
            let time_s = seconds(series.time_ms);
            let position = self.position(&series.labels, time_s);
            let own = &mut self.series[position];
            own.first_s = own.first_s.min(time_s);
            own.last_s = own.last_s.max(time_s);
            let rows = series.rows.iter().map(|&(stack, value)| Row {
                stack: stacks[stack.0 as usize].0,
                time_s,
                value,
            });
            own.rows.extend(rows);
            self.bytes += series.rows.len() * size_of::<Row>() * 3 / 2;
        }
        let texts = self.symbols.strings.iter().skip(strings).map(|text| text.len() + ENTRY_BYTES);
        self.bytes += texts.sum::<usize>();
        self.bytes += (self.symbols.frame_count() - frames) * ENTRY_BYTES;
        self.bytes += (self.symbols.stack_count() - stacks_before) * STACK_BYTES;
    }

    fn position(&mut self, labels: &Labels, time_s: u32) -> usize {
        if let Some(position) = self.by_labels.get(labels) {
            return *position as usize;
        }
        let position = self.series.len();
        self.by_labels.insert(labels.clone(), position as u32);
        self.bytes += labels.size_bytes() + 4 * ENTRY_BYTES;
        let (labels, rows) = (labels.clone(), Vec::new());
        self.series.push(HeadSeries { labels, rows, first_s: time_s, last_s: time_s });
        position
    }

    /// How many of a batch's series are new.
    pub(super) fn new_series(&self, batch: &Batch) -> usize {
        batch.series.iter().filter(|series| !self.by_labels.contains_key(&series.labels)).count()
    }

    /// How much memory it takes, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing came.
    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

/// How much memory a batch takes, at most, when nothing of it is known yet.
pub(super) fn bytes_of(batch: &Batch) -> usize {
    let symbols = &batch.symbols;
    let texts: usize = symbols.strings.iter().map(|text| text.len() + ENTRY_BYTES).sum();
    let labels: usize = batch.series.iter().map(|series| series.labels.size_bytes() + 4 * ENTRY_BYTES).sum();
    let tables = symbols.frame_count() * ENTRY_BYTES + symbols.stack_count() * STACK_BYTES;
    texts + labels + tables + batch.rows() * size_of::<Row>() * 3 / 2
}

/// The whole second that a time falls in. What does not fit was refused before.
pub(super) fn seconds(time_ms: i64) -> u32 {
    u32::try_from(time_ms.div_euclid(1000)).unwrap_or(0)
}
