//! Keeping profiles and adding them up: what every engine can do.
//!
//! The schema behind the trait has two tables, whatever the engine: *stacks* (the frames of a stack, once) and *samples* (series,
//! time, stack, value), with the labels of a series beside. An engine adds up; it hands out no single rows, so that one which keeps its
//! rows on other machines can do that where they lie. Calls block and are made from a pool of threads: adding up is work for a CPU,
//! and a synchronous trait keeps it out of the threads that serve sockets.
//!
//! `collector/tests/store/conformance.rs` is what an engine has to pass. [`embedded`] is the one that needs nothing but a disk.

mod dictionary;
pub mod embedded;
mod error;
mod merged;

pub use dictionary::Dictionary;
pub use error::{AppendError, StoreError};
pub use merged::{Merged, OTHER};

use formats::decode::Symbols;
use model::profile::StackId;

use crate::labels::Labels;
use crate::selector::Selector;
use crate::times::Range;

/// Points of a time series that one query may ask for.
pub const STEPS_MAX: usize = 11_000;

/// Profiles that are stored together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What the stacks of all series refer to.
    pub symbols: Symbols,
    /// One profile of each series.
    pub series: Vec<BatchSeries>,
}

/// One profile of one series.
#[derive(Clone, Debug)]
pub struct BatchSeries {
    /// With [`PROFILE_TYPE`](crate::labels::PROFILE_TYPE).
    pub labels: Labels,
    /// When the profile began, in milliseconds since the UNIX epoch.
    pub time_ms: i64,
    /// Each stack and what was spent in it.
    pub rows: Vec<(StackId, i64)>,
}

impl Batch {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.series.iter().map(|series| series.rows.len()).sum()
    }

    /// Adds another's profiles, so that all are stored or none.
    pub fn add(&mut self, other: Batch) {
        if self.series.is_empty() {
            *self = other;
            return;
        }
        let stacks = merged::Interned::new(&other.symbols, Detail::Lines).stacks(&mut self.symbols);
        for mut series in other.series {
            for (stack, _) in &mut series.rows {
                *stack = stacks[stack.0 as usize];
            }
            self.series.push(series);
        }
    }
}

/// A series, and when its profiles began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesSpan {
    /// The series.
    pub labels: Labels,
    /// The earliest, in milliseconds since the UNIX epoch.
    pub first_ms: i64,
    /// The latest.
    pub last_ms: i64,
}

/// What is added up.
#[derive(Clone, Debug)]
pub struct Query {
    /// Of these series.
    pub selector: Selector,
    /// Of profiles that began then. Engines keep times in whole seconds.
    pub range: Range,
    /// Apart for each value of these labels.
    pub by: Vec<String>,
}

/// What makes two frames one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The function's name.
    Functions,
    /// The function, its file and the line.
    Lines,
}

/// What was spent in a group's series, by stack.
#[derive(Clone, Debug)]
pub struct Group {
    /// The labels that were grouped by.
    pub labels: Labels,
    /// The sum.
    pub merged: Merged,
}

/// What was spent in a group's series, by time.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The labels that were grouped by.
    pub labels: Labels,
    /// One a step; `None` where no profile began.
    pub totals: Vec<Option<i64>>,
    /// Of that, what was spent in the function that was asked for; zeros where none was.
    pub in_function: Vec<i64>,
}

/// The steps of a time series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Where the first begins, in milliseconds since the UNIX epoch.
    pub start_ms: i64,
    /// How long each is.
    pub step_ms: i64,
    /// How many.
    pub count: usize,
}

impl Steps {
    /// The step that a time falls in.
    pub fn position(&self, time_ms: i64) -> Option<usize> {
        let position = usize::try_from(time_ms.checked_sub(self.start_ms)?.div_euclid(self.step_ms)).ok()?;
        (position < self.count).then_some(position)
    }

    /// All of them.
    pub fn range(&self) -> Range {
        let length_ms = self.step_ms.saturating_mul(self.count as i64);
        Range { from_ms: self.start_ms, until_ms: self.start_ms.saturating_add(length_ms) }
    }
}

/// What was found, and what could not be read on the way.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The answer, of all that could be read.
    pub value: T,
    /// One sentence for each part that could not.
    pub warnings: Vec<String>,
}

/// An engine that keeps profiles.
pub trait Store: Send + Sync {
    /// Keeps a batch; when it returns, nothing short of losing the disk loses it.
    ///
    /// # Errors
    /// [`AppendError`]; then nothing of the batch was kept.
    fn append(&self, batch: Batch) -> Result<(), AppendError>;

    /// The series that match and have a profile in the range, by labels.
    ///
    /// # Errors
    /// [`StoreError`] where nothing can be told.
    fn series(&self, selector: &Selector, range: Range) -> Result<Found<Vec<SeriesSpan>>, StoreError>;

    /// What was spent where, by group.
    ///
    /// # Errors
    /// [`StoreError`] where nothing can be told, or it would be too much.
    fn merge(&self, query: &Query, detail: Detail) -> Result<Found<Vec<Group>>, StoreError>;

    /// What was spent when, by group, as far as both `query.range` and [`Steps::range`] reach.
    ///
    /// # Errors
    /// [`StoreError`] where nothing can be told, or it would be too much.
    fn timeline(
        &self,
        query: &Query,
        steps: Steps,
        function: Option<&str>,
    ) -> Result<Found<Vec<Line>>, StoreError>;
}
