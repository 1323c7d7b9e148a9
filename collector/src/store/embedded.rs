//! The store that needs nothing but a disk: a log of what was accepted, and immutable blocks.
//!
//! A batch is written to the [log](wal), flushed, added to the [head](head) and only then acknowledged. A head that is full or old is frozen
//! and made into [blocks](block), one for each hour that its profiles began in; then its segment of the log goes. Small blocks of an hour
//! are merged, old ones removed ([`maintenance`]). Queries [add up](scan) the head, frozen heads and blocks, which they see at one
//! instant.
//!
//! # Threads
//!
//! Who appends waits for the *writer*, the only thread that writes the log and the head; it takes all that wait, writes it, flushes once.
//! The *keeper* makes, merges and removes blocks. [`State`] is behind one lock: the writer takes it to add to the head or to
//! freeze it, the keeper to exchange heads for blocks and blocks for others, queries to read; nobody does I/O under it. Blocks that
//! are replaced are removed once no query holds them.
//!
//! # Memory
//!
//! At most [`FROZEN_MAX`] heads wait for the disk; beyond, batches are refused. A query holds what its answer needs, the caches have a
//! bound, and a block is made of no more than [`Options::block_rows_max`] rows.

mod block;
mod cache;
mod head;
mod maintenance;
mod objects;
mod open;
mod parts;
mod row;
mod scan;
mod wal;
mod writer;

/// A batch as a record of the log: what is read back was written by a program that may have been another version, or by a disk.
pub use wal::record::{decode as decode_record, encode as encode_record};

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{AppendError, Batch, Detail, Found, Group, Line, Query, SeriesSpan, Steps, Store, StoreError};
use crate::labels::Labels;
use crate::selector::Selector;
use crate::times::Range;
use block::{Block, BlockError};
use head::Head;
use maintenance::Keeper;
use objects::Objects;
use parts::{Caches, OpenBlock, PartError};
use scan::{Merging, Spans, Timelines};
use writer::{Append, Writer};

/// Heads that may wait to become blocks.
const FROZEN_MAX: usize = 2;
/// Batches that may wait to be written.
const WAITING_MAX: usize = 64;

/// How the store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of everything.
    pub folder: PathBuf,
    /// How much memory a head may take before it is made into blocks.
    pub head_bytes_max: usize,
    /// How old a head may be.
    pub head_age_max: Duration,
    /// Series of a head.
    pub series_max: usize,
    /// Rows of a block.
    pub block_rows_max: usize,
    /// How much memory what was read of blocks may take.
    pub cache_bytes_max: usize,
    /// How long profiles are kept.
    pub retention: Duration,
    /// How much disk all may take; the oldest profiles go first.
    pub disk_bytes_max: Option<u64>,
    /// How far in the future a profile may begin: clocks differ.
    pub future_max: Duration,
}

impl Options {
    /// As they are when nothing else is asked for.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            head_bytes_max: 64 << 20,
            head_age_max: Duration::from_secs(300),
            series_max: 200_000,
            block_rows_max: 4_000_000,
            cache_bytes_max: 64 << 20,
            retention: Duration::from_secs(30 * 24 * 3600),
            disk_bytes_max: None,
            future_max: Duration::from_secs(600),
        }
    }
}

/// Takes a row: its group, its time in milliseconds, the function and line of its innermost frame, and its value.
pub(crate) type TakeRow<'a> = dyn FnMut(&Labels, i64, (&str, u32), i64) + 'a;

/// The store.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    appends: Mutex<Option<SyncSender<Append>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    options: Options,
    objects: Objects,
    caches: Caches,
    state: RwLock<State>,
    keeper: Keeper,
    counts: Counts,
    closing: AtomicBool,
}

/// What there is at one instant.
#[derive(Debug, Default)]
struct State {
    head: Head,
    frozen: Vec<Arc<Frozen>>,
    blocks: Vec<Arc<Block>>,
}

/// A head that gets no more, and the segment of the log that holds the same.
#[derive(Debug)]
struct Frozen {
    head: Head,
    segment: u64,
}

/// What the store counted since it was opened.
#[derive(Debug, Default)]
struct Counts {
    samples: AtomicU64,
    corrupted_blocks: AtomicU64,
    log_bytes: AtomicU64,
}

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
    /// Blocks that could not be read since the store was opened.
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

impl EmbeddedStore {
    /// Opens the store in a folder, which is made if it is not there. What a crash left is put in order first.
    ///
    /// # Errors
    /// Those of the disk; [`io::ErrorKind::WouldBlock`] where another process has it open.
    pub fn open(options: Options) -> io::Result<Self> {
        open::open(options)
    }

    /// Makes blocks of all that is in memory and waits until they are there, and does what maintenance is due.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn flush(&self) -> io::Result<()> {
        // Room for one more head first.
        self.shared.keeper.run_once(&self.shared)?;
        self.send_freeze()?;
        self.shared.keeper.run_once(&self.shared)
    }

    /// What the store is made of now.
    pub fn sizes(&self) -> Sizes {
        let state = self.shared.read();
        let frozen: usize = state.frozen.iter().map(|frozen| frozen.head.bytes()).sum();
        Sizes {
            blocks: state.blocks.len(),
            block_bytes: state.blocks.iter().map(|block| block.meta.bytes()).sum(),
            block_rows: state.blocks.iter().map(|block| block.meta.rows).sum(),
            log_bytes: self.shared.counts.log_bytes.load(Ordering::Relaxed),
            head_bytes: state.head.bytes() + frozen,
            head_series: state.head.series.len(),
            rows_accepted: self.shared.counts.samples.load(Ordering::Relaxed),
            corrupted_blocks: self.shared.counts.corrupted_blocks.load(Ordering::Relaxed),
        }
    }

    /// Gives each row of a query; sentences of what cannot be read come back.
    ///
    /// # Errors
    /// [`StoreError`] where nothing can be told.
    pub(crate) fn each_row(&self, query: &Query, each: &mut TakeRow<'_>) -> Result<Vec<String>, StoreError> {
        self.each_part(query.range, |part| match part {
            PartRef::Head(head) => scan::each_row(head, query, each),
            PartRef::Block(block) => scan::each_row(block, query, each),
        })
    }

    fn send_freeze(&self) -> io::Result<()> {
        let (reply, answer) = sync_channel(1);
        let ended = || io::Error::other("the store is closed");
        let sender = self.sender().ok_or_else(ended)?;
        sender.send(Append::Freeze(reply)).map_err(|_| ended())?;
        answer.recv().map_err(|_| ended())?
    }

    fn sender(&self) -> Option<SyncSender<Append>> {
        self.appends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds up all parts, as `add` does with each.
    fn each_part(
        &self,
        range: Range,
        mut add: impl FnMut(PartRef<'_, '_>) -> Result<(), PartError>,
    ) -> Result<Vec<String>, StoreError> {
        let shared = &*self.shared;
        let (blocks, frozen) = {
            // The head changes, so it is added up under the lock; all that follows is immutable.
            let state = shared.read();
            match add(PartRef::Head(&state.head)) {
                Err(PartError::Store(error)) => return Err(error),
                Err(PartError::Block(_)) | Ok(()) => {}
            }
            let overlaps = |block: &&Arc<Block>| range.overlaps(block.meta.first_ms, block.meta.last_ms);
            let blocks: Vec<_> = state.blocks.iter().filter(overlaps).cloned().collect();
            (blocks, state.frozen.clone())
        };
        let mut warnings = Vec::new();
        for frozen in &frozen {
            if let Err(PartError::Store(error)) = add(PartRef::Head(&frozen.head)) {
                return Err(error);
            }
        }
        for block in &blocks {
            if block.is_broken() {
                warnings.push(format!("block {} cannot be read and is left out", block.name));
                continue;
            }
            let added = OpenBlock::new(block, &shared.objects, &shared.caches)
                .map_err(PartError::Block)
                .and_then(|open| add(PartRef::Block(&open)));
            match added {
                Ok(()) => {}
                Err(PartError::Store(error)) => return Err(error),
                Err(PartError::Block(error)) => {
                    warnings.push(format!("block {} cannot be read and is left out: {error}", block.name));
                    shared.cannot_read(block, &error);
                }
            }
        }
        Ok(warnings)
    }
}

/// A part of either kind.
enum PartRef<'a, 'b> {
    Head(&'a Head),
    Block(&'a OpenBlock<'b>),
}

impl Store for EmbeddedStore {
    fn append(&self, batch: Batch) -> Result<(), AppendError> {
        if batch.rows() == 0 {
            return Ok(());
        }
        self.shared.check_times(&batch)?;
        let ended = || AppendError::Io(io::Error::other("the store is closed"));
        let (reply, answer) = sync_channel(1);
        let record = wal::framed(&batch);
        let sender = self.sender().ok_or_else(ended)?;
        sender.try_send(Append::Batch { batch: Box::new(batch), record, reply }).map_err(
            |error| match error {
                TrySendError::Full(_) => AppendError::Busy,
                TrySendError::Disconnected(_) => ended(),
            },
        )?;
        answer.recv().map_err(|_| ended())?
    }

    fn series(&self, selector: &Selector, range: Range) -> Result<Found<Vec<SeriesSpan>>, StoreError> {
        let range = whole_seconds(range);
        let mut spans = Spans::default();
        let matches = |labels: &_| selector.matches(labels);
        let warnings = self.each_part(range, |part| {
            match part {
                PartRef::Head(head) => spans.add(head, matches, range),
                PartRef::Block(block) => spans.add(block, matches, range),
            }
            Ok(())
        })?;
        Ok(Found { value: spans.finish(), warnings })
    }

    fn merge(&self, query: &Query, detail: Detail) -> Result<Found<Vec<Group>>, StoreError> {
        let range = whole_seconds(query.range);
        let mut merging = Merging::new(query, range, detail);
        let warnings = self.each_part(range, |part| match part {
            PartRef::Head(head) => merging.add(head),
            PartRef::Block(block) => merging.add(block),
        })?;
        Ok(Found { value: merging.finish(), warnings })
    }

    fn timeline(
        &self,
        query: &Query,
        steps: Steps,
        function: Option<&str>,
    ) -> Result<Found<Vec<Line>>, StoreError> {
        let mut timelines = Timelines::new(query, steps, function);
        let warnings = self.each_part(steps.range(), |part| match part {
            PartRef::Head(head) => timelines.add(head),
            PartRef::Block(block) => timelines.add(block),
        })?;
        Ok(Found { value: timelines.finish(), warnings })
    }
}

/// Times are kept in whole seconds: a range begins with the second that it begins in.
fn whole_seconds(range: Range) -> Range {
    Range { from_ms: range.from_ms.div_euclid(1000).saturating_mul(1000), ..range }
}

impl Drop for EmbeddedStore {
    /// Ends the threads. What is in memory is in the log.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        drop(self.appends.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.shared.keeper.wake();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_folder(&self) -> PathBuf {
        log_folder(&self.options.folder)
    }

    fn check_times(&self, batch: &Batch) -> Result<(), AppendError> {
        let now_ms = crate::times::now_ms();
        let (oldest, newest) = self.accepted_times(now_ms);
        for series in &batch.series {
            if series.time_ms < oldest || series.time_ms > newest {
                let accepted = format!(
                    "profiles of the last {} are, and the clock here says {} s",
                    humantime::format_duration(self.options.retention),
                    now_ms / 1000
                );
                return Err(AppendError::Time { time_ms: series.time_ms, accepted });
            }
        }
        Ok(())
    }

    fn accepted_times(&self, now_ms: i64) -> (i64, i64) {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let oldest = now_ms.saturating_sub(ms(self.options.retention)).max(0);
        (oldest, now_ms.saturating_add(ms(self.options.future_max)).min(i64::from(u32::MAX) * 1000))
    }

    /// Takes a block out of use that is not what was written.
    fn cannot_read(&self, block: &Block, error: &BlockError) {
        if matches!(error, BlockError::Corrupted(_)) && block.take_out() {
            self.counts.corrupted_blocks.fetch_add(1, Ordering::Relaxed);
            crate::console::line(format_args!("{error}; the block is left out from now on, and set aside"));
            self.keeper.wake();
        }
    }
}

fn log_folder(folder: &Path) -> PathBuf {
    folder.join("wal")
}
