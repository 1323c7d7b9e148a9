//! The thread that keeps the store in order: heads become blocks, small blocks become larger ones, old ones go.
//!
//! Every step is a block that is stored whole and then counts; what it replaces is removed afterwards, and is not counted from then on,
//! whether it was removed or not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::block::{Block, BlockError, Builder};
use super::head::Head;
use super::objects::Objects;
use super::open::set_aside;
use super::parts::{OpenBlock, PartError};
use super::row::Row;
use super::scan::Part;
use super::{Frozen, Shared, wal};
use crate::console;
use crate::times::now_ms;

const HOUR_MS: i64 = 3_600_000;
/// Blocks of one hour that are merged while the hour lasts.
const MERGED_FROM: usize = 4;
/// How long after an hour's end all of its blocks are merged: until then profiles of it may come.
const SETTLED_AFTER_MS: i64 = 15 * 60 * 1000;
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The keeper's own things.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Held as long as the store is open.
    _lock: File,
    woken: Mutex<bool>,
    wakes: Condvar,
    /// Whoever does the work holds it.
    working: Mutex<Doomed>,
}

/// Blocks that count no more, and wait until no query reads them.
#[derive(Debug, Default)]
struct Doomed {
    blocks: Vec<Arc<Block>>,
    /// Segments of the log whose blocks are stored. Until they are gone for good, these blocks keep what tells where they came from.
    segments: Vec<PathBuf>,
    /// What was told last, so that it is not told again and again.
    told: Option<String>,
}

impl Keeper {
    pub(super) fn new(lock: File) -> Self {
        Self { _lock: lock, woken: Mutex::default(), wakes: Condvar::new(), working: Mutex::default() }
    }

    /// There is something to do.
    pub(super) fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wakes.notify_one();
    }

    /// Works until the store closes.
    pub(super) fn run(&self, shared: &Shared) {
        while !shared.closing.load(Ordering::Relaxed) {
            let done = self.run_once(shared);
            let mut doomed = self.working.lock().unwrap_or_else(PoisonError::into_inner);
            match done {
                Ok(()) => doomed.told = None,
                Err(error) => {
                    let message = error.to_string();
                    if doomed.told.as_ref() != Some(&message) {
                        console::line(format_args!(
                            "the store cannot be kept in order: {message}; it is tried again"
                        ));
                        doomed.told = Some(message);
                    }
                }
            }
            drop(doomed);
            let woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = self.wakes.wait_timeout_while(woken, LOOK_EVERY, |woken| !*woken);
            *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
        }
    }

    /// Does what is due.
    pub(super) fn run_once(&self, shared: &Shared) -> io::Result<()> {
        let mut doomed = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        // Room is made before it is needed.
        let removed = remove_old(shared, &mut doomed);
        let flushed = flush(shared, &mut doomed);
        let merged = if flushed.is_ok() { compact(shared, &mut doomed) } else { Ok(()) };
        let aside = set_broken_aside(shared, &mut doomed);
        let swept = sweep(shared, &mut doomed);
        removed.and(flushed).and(merged).and(aside).and(swept)
    }
}

/// Makes blocks of frozen heads, the oldest first.
fn flush(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    loop {
        remove_segments(shared, doomed)?;
        let Some(frozen) = shared.read().frozen.first().cloned() else { return Ok(()) };
        let Frozen { head, segment } = &*frozen;
        // What an attempt that failed made is in no list, and is made again; what was made before a crash is.
        let blocks = shared.read().blocks.clone();
        let is_stored = |hour| blocks.iter().any(|block| block.is_of(*segment, hour));
        let made = blocks_of_head(&shared.objects, head, *segment, is_stored)?;
        {
            let mut state = shared.write();
            state.blocks.extend(made.into_iter().map(Arc::new));
            state.frozen.retain(|other| !Arc::ptr_eq(other, &frozen));
        }
        doomed.segments.push(wal::path(&shared.log_folder(), *segment));
    }
}

fn remove_segments(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    while let Some(path) = doomed.segments.first() {
        let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => wal::sync_folder(&shared.log_folder())?,
        }
        doomed.segments.remove(0);
        let _ = shared
            .counts
            .log_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(sum.saturating_sub(bytes)));
    }
    Ok(())
}

/// Stores a head as blocks, one an hour, but for the hours that are stored already.
pub(super) fn blocks_of_head(
    objects: &Objects,
    head: &Head,
    segment: u64,
    is_stored: impl Fn(i64) -> bool,
) -> io::Result<Vec<Block>> {
    let mut builders: BTreeMap<i64, Builder> = BTreeMap::new();
    let mut hours: Vec<i64> = Vec::new();
    for series in &head.series {
        let (first, last) = (hour_of(series.first_s), hour_of(series.last_s));
        if first == last {
            hours.push(first);
        } else {
            hours.extend(series.rows.iter().map(|row| hour_of(row.time_s)));
        }
        hours.sort_unstable();
        hours.dedup();
    }
    hours.retain(|hour| !is_stored(*hour));
    for hour in hours {
        let builder = builders.entry(hour).or_default();
        let mut source = Builder::source(&head.symbols);
        for series in &head.series {
            if (hour_of(series.first_s)..=hour_of(series.last_s)).contains(&hour) {
                let rows = series.rows.iter().filter(|row| hour_of(row.time_s) == hour);
                builder.add(&mut source, &series.labels, rows.copied());
            }
        }
    }
    let store = |(hour, builder): (i64, Builder)| {
        let made = builder.make(hour, Some(segment), Vec::new()).map_err(io::Error::other)?;
        Block::store(objects, format!("blocks/{hour:08}-{segment:012}"), made)
    };
    builders.into_iter().filter(|(_, builder)| builder.rows() > 0).map(store).collect()
}

fn hour_of(time_s: u32) -> i64 {
    i64::from(time_s / 3600)
}

/// Merges the small blocks of an hour.
fn compact(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    loop {
        let blocks = shared.read().blocks.clone();
        let Some(chosen) = choose(&blocks, shared.options.block_rows_max) else { return Ok(()) };
        let mut builder = Builder::default();
        for block in &chosen {
            if let Err(error) = take_over(shared, block, &mut builder) {
                return match error {
                    // It is set aside; the others are merged the next time.
                    PartError::Block(error @ BlockError::Corrupted(_)) => {
                        shared.cannot_read(block, &error);
                        Ok(())
                    }
                    PartError::Block(BlockError::Io(error)) => Err(error),
                    PartError::Store(error) => Err(io::Error::other(error.to_string())),
                };
            }
        }
        let replaces: Vec<String> = chosen.iter().map(|block| block.name.clone()).collect();
        let hour = chosen[0].meta.hour;
        let made = builder.make(hour, None, replaces).map_err(io::Error::other)?;
        let merged = Block::store(&shared.objects, merged_name(&chosen), made)?;
        let mut state = shared.write();
        state.blocks.retain(|block| !chosen.iter().any(|old| Arc::ptr_eq(old, block)));
        state.blocks.push(Arc::new(merged));
        drop(state);
        doomed.blocks.extend(chosen);
        if shared.closing.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

/// A name that none of the blocks had: the first one's, and one generation more.
fn merged_name(chosen: &[Arc<Block>]) -> String {
    let next = chosen.iter().map(|block| block.generation()).max().unwrap_or(0) + 1;
    let first = chosen[0].name.split('+').next().unwrap_or_default();
    format!("{first}+{next}")
}

/// The blocks that are merged next, if any.
fn choose(blocks: &[Arc<Block>], rows_max: usize) -> Option<Vec<Arc<Block>>> {
    let mut hours: BTreeMap<i64, Vec<Arc<Block>>> = BTreeMap::new();
    for block in blocks.iter().filter(|block| !block.is_broken()) {
        hours.entry(block.meta.hour).or_default().push(Arc::clone(block));
    }
    for (hour, mut of_hour) in hours {
        // The smallest first, as many as fit.
        of_hour.sort_by_key(|block| (block.meta.rows, block.name.clone()));
        let mut rows = 0;
        of_hour.retain(|block| {
            rows += block.meta.rows;
            rows <= rows_max as u64
        });
        let settled = now_ms() > (hour + 1) * HOUR_MS + SETTLED_AFTER_MS;
        if of_hour.len() >= if settled { 2 } else { MERGED_FROM } {
            return Some(of_hour);
        }
    }
    None
}

fn take_over(shared: &Shared, block: &Block, builder: &mut Builder) -> Result<(), PartError> {
    let open = OpenBlock::new(block, &shared.objects, &shared.caches)?;
    // Not through the cache, which is for queries.
    let stacks = block.stacks(&shared.objects)?;
    let mut source = Builder::source(&stacks);
    let labels: Vec<_> = open.spans().map(|(labels, ..)| labels.clone()).collect();
    let wanted: Vec<usize> = (0..labels.len()).collect();
    let mut of_series: Vec<Row> = Vec::new();
    let mut current = 0;
    open.rows(&wanted, &mut |position, row| {
        if position != current {
            builder.add(&mut source, &labels[current], of_series.drain(..));
            current = position;
        }
        of_series.push(row);
    })?;
    if let Some(labels) = labels.get(current) {
        builder.add(&mut source, labels, of_series.drain(..));
    }
    Ok(())
}

/// Removes what is too old, and the oldest where all takes too much room.
fn remove_old(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    let (oldest_ms, _) = shared.accepted_times(now_ms());
    let mut blocks = shared.read().blocks.clone();
    blocks.sort_by_key(|block| std::cmp::Reverse(block.meta.last_ms));
    let mut room = shared.options.disk_bytes_max.unwrap_or(u64::MAX);
    room = room.saturating_sub(shared.counts.log_bytes.load(Ordering::Relaxed));
    let mut gone = Vec::new();
    for block in blocks {
        match room.checked_sub(block.meta.bytes()) {
            Some(rest) if block.meta.last_ms >= oldest_ms => room = rest,
            _ => {
                // Everything older goes, too: a gap in the middle would be worse than an earlier end.
                if block.meta.last_ms >= oldest_ms {
                    room = 0;
                }
                gone.push(block);
            }
        }
    }
    if !gone.is_empty() {
        shared.write().blocks.retain(|block| !gone.iter().any(|old| Arc::ptr_eq(old, block)));
        doomed.blocks.extend(gone);
    }
    Ok(())
}

fn set_broken_aside(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    let broken: Vec<_> = shared.read().blocks.iter().filter(|block| block.is_broken()).cloned().collect();
    for block in broken {
        set_aside(&shared.objects, &block.name)?;
        shared.write().blocks.retain(|other| !Arc::ptr_eq(other, &block));
        doomed.blocks.retain(|other| other.name != block.name);
    }
    Ok(())
}

/// Removes the objects of blocks that nobody reads any more, in the order in which they were replaced: a block that went before those
/// that it replaced would leave them to count again after a crash.
fn sweep(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    while let Some(block) = doomed.blocks.first() {
        // One reference is ours, and nobody can get another.
        if Arc::strong_count(block) > 1 {
            break;
        }
        block.delete(&shared.objects)?;
        doomed.blocks.remove(0);
    }
    Ok(())
}
