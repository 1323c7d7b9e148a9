//! Adding up: what a query does with each part of the store, be it a head or a block.

use std::collections::BTreeMap;

use super::TakeRow;
use super::row::Row;
use crate::labels::Labels;
use crate::store::merged::Adding;
use crate::store::{Detail, Dictionary, Group, Line, Merged, OTHER, Query, SeriesSpan, Steps, StoreError};
use crate::times::Range;

/// Groups that one answer may have.
const GROUPS_MAX: usize = 10_000;
/// Different stacks of an answer while it is added up, callers included. Beyond, the smallest become one for each caller.
const STACKS_MAX: usize = 2_000_000;
/// Points of all time series together.
const POINTS_MAX: usize = 2_000_000;

/// Series of one part of the store that a query wants, and their rows.
pub(super) trait Part {
    /// An error of reading.
    type Error: From<StoreError>;
    /// What rows refer to.
    type Dictionary: Dictionary;

    /// Every series.
    fn spans(&self) -> impl Iterator<Item = (&Labels, i64, i64)>;
    /// The stacks that rows of these series refer to, and the number of the first of them.
    fn dictionary(&self, wanted: &[usize]) -> Result<(impl AsRef<Self::Dictionary>, u32), Self::Error>;
    /// What was spent in the stacks of the series at these positions, each with its series' position in the list; a stack may come several times.
    fn totals(&self, wanted: &[usize], each: &mut dyn FnMut(usize, u32, i64)) -> Result<(), Self::Error>;
    /// The rows of the series at these positions, each with its series' position in the list.
    fn rows(&self, wanted: &[usize], each: &mut dyn FnMut(usize, Row)) -> Result<(), Self::Error>;
}

/// The positions of the series that match and have a profile in the range.
fn wanted(part: &impl Part, query: &Query, range: Range) -> (Vec<usize>, Vec<Labels>) {
    let mut positions = Vec::new();
    let mut groups = Vec::new();
    for (position, (labels, first_ms, last_ms)) in part.spans().enumerate() {
        if range.overlaps(first_ms, last_ms) && query.selector.matches(labels) {
            positions.push(position);
            groups.push(labels.only(&query.by));
        }
    }
    (positions, groups)
}

fn add(sum: &mut i64, value: i64) {
    *sum = sum.saturating_add(value);
}

/// Gives each row: for what is kept as rows and is no profile.
pub(super) fn each_row<P: Part>(part: &P, query: &Query, each: &mut TakeRow<'_>) -> Result<(), P::Error> {
    let (positions, groups) = wanted(part, query, query.range);
    if positions.is_empty() {
        return Ok(());
    }
    let (dictionary, first) = part.dictionary(&positions)?;
    let dictionary = dictionary.as_ref();
    part.rows(&positions, &mut |position, row| {
        let stack = row.stack.wrapping_sub(first);
        if query.range.contains(row.time_ms()) && (stack as usize) < dictionary.stack_count() {
            let (function, _, line) = dictionary.place(dictionary.stack(stack).1);
            each(&groups[position], row.time_ms(), (function, line), row.value);
        }
    })
}

/// Series, found in several parts.
#[derive(Debug, Default)]
pub(super) struct Spans(BTreeMap<Labels, (i64, i64)>);

impl Spans {
    pub(super) fn add(&mut self, part: &impl Part, matches: impl Fn(&Labels) -> bool, range: Range) {
        for (labels, first_ms, last_ms) in part.spans() {
            if !range.overlaps(first_ms, last_ms) || !matches(labels) {
                continue;
            }
            match self.0.get_mut(labels) {
                Some((first, last)) => {
                    *first = (*first).min(first_ms);
                    *last = (*last).max(last_ms);
                }
                None => drop(self.0.insert(labels.clone(), (first_ms, last_ms))),
            }
        }
    }

    pub(super) fn finish(self) -> Vec<SeriesSpan> {
        let span = |(labels, (first_ms, last_ms))| SeriesSpan { labels, first_ms, last_ms };
        self.0.into_iter().map(span).collect()
    }
}

/// Series of a part, and the numbers of their groups.
#[derive(Default)]
struct Wanted {
    positions: Vec<usize>,
    groups: Vec<usize>,
}

/// Stacks, added up over several parts.
pub(super) struct Merging<'a> {
    query: &'a Query,
    range: Range,
    detail: Detail,
    groups: BTreeMap<Labels, Merged>,
    /// Of all groups.
    stacks: usize,
    is_folded: bool,
}

impl<'a> Merging<'a> {
    pub(super) fn new(query: &'a Query, range: Range, detail: Detail) -> Self {
        Self { query, range, detail, groups: BTreeMap::new(), stacks: 0, is_folded: false }
    }

    pub(super) fn add<P: Part>(&mut self, part: &P) -> Result<(), P::Error> {
        let mut numbers: BTreeMap<Labels, usize> = BTreeMap::new();
        // Those of which all rows are in the range, and those of which some are; each with the numbers of their groups.
        let (mut whole, mut partly) = (Wanted::default(), Wanted::default());
        for (position, (labels, first_ms, last_ms)) in part.spans().enumerate() {
            if self.range.overlaps(first_ms, last_ms) && self.query.selector.matches(labels) {
                let next = numbers.len();
                let group = *numbers.entry(labels.only(&self.query.by)).or_insert(next);
                // Before anything is read.
                if numbers.len() > GROUPS_MAX {
                    return Err(StoreError::TooMuch { what: "groups", limit: GROUPS_MAX }.into());
                }
                let is_whole = self.range.contains(first_ms) && self.range.contains(last_ms);
                let wanted = if is_whole { &mut whole } else { &mut partly };
                wanted.positions.push(position);
                wanted.groups.push(group);
            }
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let more = numbers.keys().filter(|group| !self.groups.contains_key(group)).count();
        if self.groups.len() + more > GROUPS_MAX {
            return Err(StoreError::TooMuch { what: "groups", limit: GROUPS_MAX }.into());
        }
        let all = [&whole.positions[..], &partly.positions].concat();
        let (dictionary, first) = part.dictionary(&all)?;
        let dictionary = dictionary.as_ref();
        // A single group has a column of sums, as most queries have; of many each has its rows, so that it costs what it has.
        let (range, is_one) = (self.range, numbers.len() == 1);
        let stacks = dictionary.stack_count();
        let mut sums = vec![0_i64; if is_one { stacks } else { 0 }];
        let mut rows: Vec<Vec<(u32, i64)>> = vec![Vec::new(); numbers.len()];
        let mut take = |group: usize, stack: u32, value: i64| {
            let stack = stack.wrapping_sub(first);
            match sums.get_mut(stack as usize) {
                Some(sum) => add(sum, value),
                None if (stack as usize) < stacks && !is_one => rows[group].push((stack, value)),
                None => {}
            }
        };
        part.totals(&whole.positions, &mut |position, stack, value| {
            take(whole.groups[position], stack, value)
        })?;
        part.rows(&partly.positions, &mut |position, row| {
            if range.contains(row.time_ms()) {
                take(partly.groups[position], row.stack, row.value);
            }
        })?;
        let mut adding = Adding::new(dictionary, self.detail);
        for (group, number) in numbers {
            let merged = self.groups.entry(group).or_default();
            self.stacks -= merged.values.len();
            if is_one {
                let spent = (0..).zip(sums.iter().copied()).filter(|(_, value)| *value != 0);
                adding.add(merged, spent);
            } else {
                adding.add(merged, rows[number].iter().copied());
            }
            self.stacks += merged.values.len();
            if self.stacks > STACKS_MAX {
                self.fold();
            }
        }
        Ok(())
    }

    /// Makes room, in equal shares of what may be left.
    fn fold(&mut self) {
        let share = STACKS_MAX / 4 / self.groups.len();
        self.groups.values_mut().for_each(|merged| merged.fold(share));
        self.stacks = self.groups.values().map(|merged| merged.values.len()).sum();
        self.is_folded = true;
    }

    /// The groups, and a sentence where not all stacks are told.
    pub(super) fn finish(self) -> (Vec<Group>, Option<String>) {
        let folded =
            format!("there are more than {STACKS_MAX} different stacks: the smallest are told as {OTHER}");
        let groups = self.groups.into_iter().map(|(labels, merged)| Group { labels, merged });
        (groups.collect(), self.is_folded.then_some(folded))
    }
}

/// Time series, added up over several parts.
pub(super) struct Timelines<'a> {
    query: &'a Query,
    range: Range,
    steps: Steps,
    function: Option<&'a str>,
    lines: BTreeMap<Labels, Line>,
}

impl<'a> Timelines<'a> {
    pub(super) fn new(query: &'a Query, range: Range, steps: Steps, function: Option<&'a str>) -> Self {
        Self { query, range, steps, function, lines: BTreeMap::new() }
    }

    pub(super) fn add<P: Part>(&mut self, part: &P) -> Result<(), P::Error> {
        let (positions, groups) = wanted(part, self.query, self.range);
        if positions.is_empty() {
            return Ok(());
        }
        let (with_function, first) = match self.function {
            None => (Vec::new(), 0),
            Some(function) => {
                let (dictionary, first) = part.dictionary(&positions)?;
                (dictionary.as_ref().stacks_with(function), first)
            }
        };
        let (steps, range) = (self.steps, self.range);
        let mut own: BTreeMap<&Labels, usize> = BTreeMap::new();
        let mut lines: Vec<Line> = Vec::new();
        let mut line_of = Vec::with_capacity(groups.len());
        for group in &groups {
            line_of.push(*own.entry(group).or_insert_with(|| {
                let (totals, in_function) = (vec![None; steps.count], vec![0; steps.count]);
                lines.push(Line { labels: group.clone(), totals, in_function });
                lines.len() - 1
            }));
            if own.len() * steps.count > POINTS_MAX {
                return Err(StoreError::TooMuch { what: "points", limit: POINTS_MAX }.into());
            }
        }
        part.rows(&positions, &mut |position, row| {
            let step = steps.position(row.time_ms()).filter(|_| range.contains(row.time_ms()));
            let Some(step) = step else { return };
            let line = &mut lines[line_of[position]];
            let total = line.totals[step].get_or_insert(0);
            *total = total.saturating_add(row.value);
            if with_function.get(row.stack.wrapping_sub(first) as usize).is_some_and(|with| *with) {
                line.in_function[step] = line.in_function[step].saturating_add(row.value);
            }
        })?;
        for line in lines {
            self.take(line)?;
        }
        Ok(())
    }

    fn take(&mut self, line: Line) -> Result<(), StoreError> {
        let Some(known) = self.lines.get_mut(&line.labels) else {
            if (self.lines.len() + 1) * self.steps.count > POINTS_MAX {
                return Err(StoreError::TooMuch { what: "points", limit: POINTS_MAX });
            }
            self.lines.insert(line.labels.clone(), line);
            return Ok(());
        };
        for (known, more) in known.totals.iter_mut().zip(line.totals) {
            if let Some(more) = more {
                *known = Some(known.unwrap_or(0).saturating_add(more));
            }
        }
        for (known, more) in known.in_function.iter_mut().zip(line.in_function) {
            *known = known.saturating_add(more);
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Line> {
        self.lines.into_values().filter(|line| line.totals.iter().any(Option::is_some)).collect()
    }
}
