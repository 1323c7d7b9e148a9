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
mod compact;
mod head;
mod maintenance;
mod objects;
mod open;
mod options;
mod parts;
mod row;
mod scan;
mod shared;
mod sizes;
mod wal;
mod writer;

pub use options::Options;
pub use sizes::Sizes;
/// A batch as a record of the log: what is read back was written by a program that may have been another version, or by a disk.
pub use wal::record::{decode as decode_record, encode as encode_record};

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::{AppendError, Batch, Detail, Found, Group, Line, Query, SeriesSpan, Steps, Store, StoreError};
use crate::labels::Labels;
use crate::selector::Selector;
use crate::times::Range;
use block::Block;
use head::Head;
use parts::{OpenBlock, PartError};
use scan::{Merging, Spans, Timelines};
use shared::{Frozen, Shared, State};
use sizes::Counts;
use writer::{Append, Writer};

/// Heads that may wait to become blocks.
const FROZEN_MAX: usize = 2;
/// Batches that may wait to be written.
const WAITING_MAX: usize = 64;

/// Takes a row: its group, its time in milliseconds, the function and line of its innermost frame, and its value.
pub(crate) type TakeRow<'a> = dyn FnMut(&Labels, i64, (&str, u32), i64) + 'a;

/// The store.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    appends: Mutex<Option<SyncSender<Append>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
        Sizes::of(&self.shared.read(), &self.shared.counts)
    }

    /// Gives each row of a query; sentences of what cannot be read come back.
    ///
    /// # Errors
    /// [`StoreError`] where nothing can be told.
    pub(crate) fn each_row(&self, query: &Query, each: &mut TakeRow<'_>) -> Result<Vec<String>, StoreError> {
        let query = &Query { range: self.shared.told(query.range), ..query.clone() };
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
        let range = self.shared.told(range);
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
        let range = self.shared.told(query.range);
        let mut merging = Merging::new(query, range, detail);
        let mut warnings = self.each_part(range, |part| match part {
            PartRef::Head(head) => merging.add(head),
            PartRef::Block(block) => merging.add(block),
        })?;
        let (value, folded) = merging.finish();
        warnings.extend(folded);
        Ok(Found { value, warnings })
    }

    fn timeline(
        &self,
        query: &Query,
        steps: Steps,
        function: Option<&str>,
    ) -> Result<Found<Vec<Line>>, StoreError> {
        let range = self.shared.told(steps.range().and(query.range));
        let mut timelines = Timelines::new(query, range, steps, function);
        let warnings = self.each_part(range, |part| match part {
            PartRef::Head(head) => timelines.add(head),
            PartRef::Block(block) => timelines.add(block),
        })?;
        Ok(Found { value: timelines.finish(), warnings })
    }
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
