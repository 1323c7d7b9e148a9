//! Making a block of rows from heads or from other blocks.

mod columns;

use std::collections::BTreeMap;

use formats::decode::Symbols;
use model::profile::{StackId, Stacks};
use parquet::errors::Result;

use super::super::row::Row;
use super::{FRAMES, Made, Meta, SAMPLES, SERIES, STACKS, TOTALS, VERSION};
use crate::labels::{Labels, SERVICE};
use crate::store::merged::Interned;
use crate::store::{Detail, Dictionary};
use columns::Tables;

const NONE: u32 = u32::MAX;

/// Rows that become a block.
#[derive(Debug, Default)]
pub(in super::super) struct Builder {
    /// Text and frames of all services; the stacks are theirs.
    symbols: Symbols,
    services: BTreeMap<String, Service>,
    rows: usize,
}

/// What is of one service. Its stacks refer to no other service's, so they are read alone.
#[derive(Debug, Default)]
struct Service {
    stacks: Stacks,
    /// By hour and labels.
    runs: BTreeMap<(i64, Labels), Vec<Row>>,
}

/// Stacks of a source in the builder's own tables.
pub(in super::super) struct Source<'a, D> {
    dictionary: &'a D,
    frames: Interned<'a, D>,
    /// Whose stacks the following are.
    service: String,
    stacks: Vec<u32>,
    /// Those that have a number.
    known: Vec<u32>,
}

impl<'a, D: Dictionary> Source<'a, D> {
    fn turn_to(&mut self, service: &str) {
        if self.service != service {
            service.clone_into(&mut self.service);
            for stack in self.known.drain(..) {
                self.stacks[stack as usize] = NONE;
            }
        }
    }

    fn stack(&mut self, symbols: &mut Symbols, own: &mut Stacks, stack: u32) -> u32 {
        let known = self.stacks[stack as usize];
        if known != NONE {
            return known;
        }
        let begins = self.known.len();
        let mut at = Some(stack);
        while let Some(stack) = at.filter(|stack| self.stacks[*stack as usize] == NONE) {
            self.known.push(stack);
            at = self.dictionary.stack(stack).0;
        }
        for position in (begins..self.known.len()).rev() {
            let stack = self.known[position];
            let (caller, frame) = self.dictionary.stack(stack);
            let frame = self.frames.frame(symbols, frame);
            let caller = caller.map(|caller| StackId(self.stacks[caller as usize]));
            self.stacks[stack as usize] = own.push(caller, frame).0;
        }
        self.stacks[stack as usize]
    }
}

impl Builder {
    /// A source of rows that refer to this dictionary.
    pub(in super::super) fn source<'a, D: Dictionary>(dictionary: &'a D) -> Source<'a, D> {
        let frames = Interned::new(dictionary, Detail::Lines);
        let stacks = vec![NONE; dictionary.stack_count()];
        Source { dictionary, frames, service: String::new(), stacks, known: Vec::new() }
    }

    /// Adds rows of a series within an hour. Those of a service should come one after the other: what is known of a source's stacks is known of one
    /// service at a time.
    pub(in super::super) fn add<D: Dictionary>(
        &mut self,
        source: &mut Source<'_, D>,
        hour: i64,
        labels: &Labels,
        rows: impl Iterator<Item = Row>,
    ) {
        let name = labels.get(SERVICE).unwrap_or("");
        if !self.services.contains_key(name) {
            self.services.insert(name.to_owned(), Service::default());
        }
        let service = self.services.get_mut(name).expect("just added");
        source.turn_to(name);
        let own = service.runs.entry((hour, labels.clone())).or_default();
        let before = own.len();
        let (symbols, stacks) = (&mut self.symbols, &mut service.stacks);
        own.extend(rows.map(|row| Row { stack: source.stack(symbols, stacks, row.stack), ..row }));
        self.rows += own.len() - before;
    }

    /// How many rows there are.
    pub(in super::super) fn rows(&self) -> usize {
        self.rows
    }

    /// Makes the block; there must be rows.
    pub(in super::super) fn make(mut self, segment: Option<u64>, replaces: Vec<String>) -> Result<Made> {
        let mut tables = Tables::new(&self.symbols);
        for service in self.services.values_mut() {
            tables.add_stacks(service);
            for ((hour, labels), rows) in &mut service.runs {
                add_up(rows);
                tables.add_run(*hour, labels, rows);
            }
        }
        let rows = self.services.values().flat_map(|service| service.runs.values()).flatten();
        let written = tables.write(rows)?;
        let hours = || self.services.values().flat_map(|service| service.runs.keys()).map(|(hour, _)| *hour);
        let times =
            || self.services.values().flat_map(|service| service.runs.values()).flatten().map(Row::time_ms);
        let (first, last) = (hours().min().unwrap_or(0), hours().max().unwrap_or(0));
        let meta = Meta {
            version: VERSION,
            hour: first,
            hours: last - first + 1,
            first_ms: times().min().unwrap_or(0),
            last_ms: times().max().unwrap_or(0),
            rows: self
                .services
                .values()
                .flat_map(|service| service.runs.values())
                .map(|rows| rows.len() as u64)
                .sum(),
            series: hours().count() as u64,
            segment,
            replaces,
            samples: written.samples.1,
            totals: written.totals.1,
            stacks: written.stacks.1,
            frames: written.frames.1,
            index: written.index.1,
            checksum: 0,
        };
        let objects = vec![
            (SAMPLES, written.samples.0),
            (TOTALS, written.totals.0),
            (STACKS, written.stacks.0),
            (FRAMES, written.frames.0),
            (SERIES, written.index.0),
        ];
        Ok(Made { meta: meta.sealed(), objects })
    }
}

impl Service {
    /// Gives stacks the order in which rows need them, beginning with a number, so that what is read together lies together. Returns the old
    /// position of each.
    fn renumber(&mut self, first: u32) -> Vec<u32> {
        let mut new = vec![NONE; self.stacks.iter().len()];
        let mut old = Vec::with_capacity(new.len());
        let mut path = Vec::new();
        for row in self.runs.values_mut().flatten() {
            let mut at = Some(StackId(row.stack));
            while let Some(stack) = at.filter(|stack| new[stack.0 as usize] == NONE) {
                path.push(stack);
                at = self.stacks.caller(stack);
            }
            for stack in path.drain(..).rev() {
                new[stack.0 as usize] = first + old.len() as u32;
                old.push(stack.0);
            }
            row.stack = new[row.stack as usize];
        }
        old
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
