//! Small blocks become larger ones, on two levels: those of an hour become one, and those of a day's hours become few.
//!
//! An hour's blocks are merged as soon as there are some, and all of them once the hour is over; the hours of a day when the day is over,
//! as many side by side as a block may have rows. What is late makes small blocks of hours that are part of a larger one: they wait until they are
//! worth that all is written again. Each profile keeps the hour that it belongs to, so a question about some hours reads these alone.
//!
//! A day goes as a whole when it is too old. So days are made only where that keeps nothing much longer than an operator asked for, neither in
//! time nor in bytes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Options;
use super::Shared;
use super::block::{Block, BlockError, Builder};
use super::maintenance::{Doomed, sweep};
use super::parts::{OpenBlock, PartError};
use super::row::Row;
use super::scan::Part;
use crate::times::now_ms;

const HOUR_MS: i64 = 3_600_000;
const DAY_HOURS: i64 = 24;
/// Blocks of one hour that are merged while the hour lasts.
const MERGED_FROM: usize = 4;
/// How long after an hour's end all of its blocks are merged: until then profiles of it may come.
const SETTLED_AFTER_MS: i64 = 15 * 60 * 1000;
/// Days are made where profiles are kept for so long: what is kept longer is a seventh of that at most.
const DAYS_FROM: Duration = Duration::from_secs(7 * 24 * 3600);
/// A block that spans hours takes this part of the room for all, at most.
const DAYS_IN_ROOM: u64 = 16;

/// Merges small blocks, until there are no more or a head waits to become one.
pub(super) fn compact(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    while merge(shared, doomed)? {
        // What was merged takes room, and so does what comes meanwhile.
        sweep(shared, doomed)?;
        if shared.closing.load(Ordering::Relaxed) {
            break;
        }
        if !shared.read().frozen.is_empty() {
            // Heads first; then it goes on.
            shared.keeper.wake();
            break;
        }
    }
    Ok(())
}

/// Merges what is to be merged next; whether there was something.
fn merge(shared: &Shared, doomed: &mut Doomed) -> io::Result<bool> {
    if let Some(name) = &doomed.doubtful {
        Block::delete_named(&shared.objects, name)?;
        doomed.doubtful = None;
    }
    let blocks = shared.read().blocks.clone();
    let Some(chosen) = choose(&blocks, &shared.options, now_ms()) else { return Ok(false) };
    let mut builder = Builder::default();
    for block in &chosen {
        if let Err(error) = take_over(shared, block, &mut builder) {
            return match error {
                // It is looked at again; the others are merged the next time.
                PartError::Block(error @ BlockError::Corrupted(_)) => {
                    shared.cannot_read(block, &error);
                    Ok(false)
                }
                PartError::Block(BlockError::Io(error)) => Err(error),
                PartError::Store(error) => Err(io::Error::other(error.to_string())),
            };
        }
    }
    let replaces: Vec<String> = chosen.iter().map(|block| block.name.clone()).collect();
    let made = builder.make(None, replaces).map_err(io::Error::other)?;
    let name = merged_name(&chosen);
    let merged = Block::store(&shared.objects, name.clone(), made).inspect_err(|_| {
        doomed.doubtful = Some(name);
    })?;
    let mut state = shared.write();
    state.blocks.retain(|block| !chosen.iter().any(|old| Arc::ptr_eq(old, block)));
    state.blocks.push(Arc::new(merged));
    drop(state);
    doomed.blocks.extend(chosen);
    Ok(true)
}

/// A name that none of the blocks had: the first one's, and one generation more.
fn merged_name(chosen: &[Arc<Block>]) -> String {
    let next = chosen.iter().map(|block| block.generation()).max().unwrap_or(0) + 1;
    let first = chosen[0].name.split('+').next().unwrap_or_default();
    format!("{first}+{next}")
}

/// The blocks that are merged next, if any.
fn choose(blocks: &[Arc<Block>], options: &Options, now_ms: i64) -> Option<Vec<Arc<Block>>> {
    let usable = || blocks.iter().filter(|block| !block.is_broken());
    of_an_hour(usable(), options.block_rows_max as u64, now_ms)
        .or_else(|| of_a_day(usable(), options, now_ms))
}

fn is_settled(end_hour: i64, now_ms: i64) -> bool {
    now_ms > end_hour * HOUR_MS + SETTLED_AFTER_MS
}

fn of_an_hour<'a>(
    blocks: impl Iterator<Item = &'a Arc<Block>>,
    rows_max: u64,
    now_ms: i64,
) -> Option<Vec<Arc<Block>>> {
    let mut hours: BTreeMap<i64, Vec<Arc<Block>>> = BTreeMap::new();
    for block in blocks.filter(|block| block.meta.hours == 1) {
        hours.entry(block.meta.hour).or_default().push(Arc::clone(block));
    }
    hours.into_iter().find_map(|(hour, mut of_hour)| {
        // The smallest first, as many as fit.
        of_hour.sort_by_key(|block| (block.meta.rows, block.name.clone()));
        let mut rows = 0;
        of_hour.retain(|block| {
            rows += block.meta.rows;
            rows <= rows_max
        });
        let from = if is_settled(hour + 1, now_ms) { 2 } else { MERGED_FROM };
        (of_hour.len() >= from).then_some(of_hour)
    })
}

fn of_a_day<'a>(
    blocks: impl Iterator<Item = &'a Arc<Block>>,
    options: &Options,
    now_ms: i64,
) -> Option<Vec<Arc<Block>>> {
    if options.retention < DAYS_FROM {
        return None;
    }
    let rows_max = options.block_rows_max as u64;
    let bytes_max = options.disk_bytes_max.map_or(u64::MAX, |bytes| bytes / DAYS_IN_ROOM);
    let mut days: BTreeMap<i64, Vec<Arc<Block>>> = BTreeMap::new();
    for block in blocks {
        days.entry(block.meta.hour.div_euclid(DAY_HOURS)).or_default().push(Arc::clone(block));
    }
    days.retain(|day, _| is_settled((day + 1) * DAY_HOURS, now_ms));
    days.into_values().find_map(|mut of_day| {
        of_day.sort_by_key(|block| (block.meta.hour, block.name.clone()));
        let mut rest = &of_day[..];
        while !rest.is_empty() {
            // As many side by side as fit.
            let (mut rows, mut bytes) = (0, 0);
            let fits = rest.iter().take_while(|block| {
                (rows, bytes) = (rows + block.meta.rows, bytes + block.meta.bytes());
                rows <= rows_max && bytes <= bytes_max
            });
            let (side_by_side, behind) = rest.split_at(fits.count().max(1));
            if let Some(worth_it) = worth_it(side_by_side.to_vec()) {
                return Some(worth_it);
            }
            rest = behind;
        }
        None
    })
}

/// Those that should be merged: two or more, of which none is nearly all. So what is late is added to what was late before, and only when that
/// has become enough, to the day: no row is written more often than by the logarithm of all.
fn worth_it(mut blocks: Vec<Arc<Block>>) -> Option<Vec<Arc<Block>>> {
    while blocks.len() >= 2 {
        let rows: u64 = blocks.iter().map(|block| block.meta.rows).sum();
        let (largest, its_rows) =
            blocks.iter().map(|block| block.meta.rows).enumerate().max_by_key(|(_, rows)| *rows)?;
        if its_rows <= rows * 3 / 4 {
            return Some(blocks);
        }
        blocks.remove(largest);
    }
    None
}

fn take_over(shared: &Shared, block: &Block, builder: &mut Builder) -> Result<(), PartError> {
    let open = OpenBlock::new(block, &shared.objects, &shared.caches)?;
    let stacks = open.all_stacks()?;
    let mut source = Builder::source(&stacks);
    let labels: Vec<_> = open.spans().map(|(labels, ..)| labels.clone()).collect();
    let wanted: Vec<usize> = (0..labels.len()).collect();
    let mut of_series: Vec<Row> = Vec::new();
    let mut current = 0;
    open.rows(&wanted, &mut |position, row| {
        if position != current {
            builder.add(&mut source, open.hour(current), &labels[current], of_series.drain(..));
            current = position;
        }
        of_series.push(row);
    })?;
    if let Some(labels) = labels.get(current) {
        builder.add(&mut source, open.hour(current), labels, of_series.drain(..));
    }
    Ok(())
}
