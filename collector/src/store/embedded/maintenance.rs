//! The thread that keeps the store in order: heads become blocks, small blocks become larger ones ([`compact`](super::compact)), old ones go.
//!
//! Every step is a block that is stored whole and then counts; what it replaces is removed afterwards, and is not counted from then on,
//! whether it was removed or not. What could not be read is read again before it is set aside: a disk or a service that fails for a while
//! takes no block away.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::block::{Block, BlockError, Builder};
use super::compact::compact;
use super::head::Head;
use super::objects::Objects;
use super::open::{QUARANTINE, set_aside};
use super::{Frozen, Shared, wal};
use crate::console;
use crate::labels::SERVICE;
use crate::times::now_ms;

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
pub(super) struct Doomed {
    pub(super) blocks: Vec<Arc<Block>>,
    /// What could not be read a second time either, and counts no more.
    aside: Vec<Arc<Block>>,
    /// A merged block whose storing failed, perhaps in appearance only. It must be gone before the next is made: the two would count side by side.
    pub(super) doubtful: Option<String>,
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
    // Those of a service one after the other.
    let mut by_service: Vec<_> = head.series.iter().collect();
    by_service.sort_unstable_by_key(|series| series.labels.get(SERVICE));
    let mut blocks = Vec::new();
    for hour in hours {
        let mut builder = Builder::default();
        let mut source = Builder::source(&head.symbols);
        for series in &by_service {
            if (hour_of(series.first_s)..=hour_of(series.last_s)).contains(&hour) {
                let rows = series.rows.iter().filter(|row| hour_of(row.time_s) == hour);
                builder.add(&mut source, hour, &series.labels, rows.copied());
            }
        }
        if builder.rows() > 0 {
            let made = builder.make(Some(segment), Vec::new()).map_err(io::Error::other)?;
            blocks.push(Block::store(objects, Block::name_of(segment, hour), made)?);
        }
    }
    Ok(blocks)
}

pub(super) fn hour_of(time_s: u32) -> i64 {
    i64::from(time_s / 3600)
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

/// Reads again what could not be read. What then can be was not broken, but the way to it; the rest is set aside.
fn set_broken_aside(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
    let broken: Vec<_> = shared.read().blocks.iter().filter(|block| block.is_broken()).cloned().collect();
    let mut checked = Ok(());
    for block in broken {
        match block.check(&shared.objects) {
            Ok(()) => {
                console::line(format_args!("{}: all of it can be read again; the block is used", block.name));
                block.take_back();
            }
            Err(BlockError::Corrupted(what)) => {
                console::line(format_args!("{what}; the block is set aside in {QUARANTINE}"));
                shared.counts.corrupted_blocks.fetch_add(1, Ordering::Relaxed);
                shared.write().blocks.retain(|other| !Arc::ptr_eq(other, &block));
                doomed.aside.push(block);
            }
            // Nobody knows; it is looked at again.
            Err(BlockError::Io(error)) => checked = Err(error),
        }
    }
    while let Some(block) = doomed.aside.last() {
        set_aside(&shared.objects, &block.name)?;
        doomed.aside.pop();
    }
    checked
}

/// Removes the objects of blocks that nobody reads any more, in the order in which they were replaced: a block that went before those
/// that it replaced would leave them to count again after a crash.
pub(super) fn sweep(shared: &Shared, doomed: &mut Doomed) -> io::Result<()> {
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
