//! What waits for the receiver: encoded batches, the oldest first, bounded in bytes. They wait in memory or, where there is a
//! [directory](super::buffer) for them, on disk.
//!
//! Where a batch cannot be written to the disk it waits in memory, within the bound of that.

use std::collections::VecDeque;
use std::io;

use super::buffer::{Buffer, Found, HEADER_BYTES, Payload};

/// A file takes up a multiple of it, on usual file systems.
const BLOCK_BYTES: usize = 4096;

/// Which batch it is.
pub(super) type BatchId = u64;

/// Batches that wait.
#[derive(Debug)]
pub(super) struct Queue {
    batches: VecDeque<Batch>,
    /// The bound of what waits in memory.
    memory_max: usize,
    disk: Option<Disk>,
    next_id: BatchId,
    /// The one that is on its way, which is not dropped: it may have arrived.
    sending: Option<BatchId>,
}

#[derive(Debug)]
struct Disk {
    buffer: Buffer,
    bytes_max: usize,
}

#[derive(Debug)]
struct Batch {
    id: BatchId,
    points: u64,
    length: usize,
    /// `None` of what is on disk.
    payload: Option<Payload>,
}

impl Batch {
    fn is_in_memory(&self) -> bool {
        self.payload.is_some()
    }
}

impl Queue {
    /// None waits, and all will wait in memory.
    pub(super) fn new(memory_max: usize) -> Self {
        Self { batches: VecDeque::new(), memory_max, disk: None, next_id: 0, sending: None }
    }

    /// Lets batches wait on disk, behind what an earlier agent left there. Gives the number of points that were dropped because there
    /// is more than there may be.
    pub(super) fn keep_on_disk(&mut self, buffer: Buffer, found: Vec<Found>, bytes_max: usize) -> u64 {
        self.next_id = found.last().map_or(0, |last| last.id + 1);
        let batch =
            |found: Found| Batch { id: found.id, points: found.points, length: found.length, payload: None };
        self.batches = found.into_iter().map(batch).collect();
        self.disk = Some(Disk { buffer, bytes_max });
        self.make_room(false, 0, bytes_max)
    }

    /// How much waits.
    pub(super) fn bytes(&self) -> usize {
        self.batches.iter().map(|batch| batch.length).sum()
    }

    /// Points that wait in memory, or on disk.
    pub(super) fn points(&self, in_memory: bool) -> u64 {
        let batches = self.batches.iter().filter(|batch| batch.is_in_memory() == in_memory);
        batches.map(|batch| batch.points).sum()
    }

    /// Adds a batch; the oldest make room for it. Gives the number of points that were dropped, those of the batch itself
    /// where there is not room enough for it in any case, and why it could not be written to the disk.
    pub(super) fn push(&mut self, payload: Payload, points: u64) -> (u64, io::Result<()>) {
        let (id, length) = (self.next_id, payload.bytes.len());
        let mut dropped = 0;
        let mut written = Ok(());
        let mut batch = Batch { id, points, length, payload: Some(payload) };
        if let Some(bytes_max) = self.disk.as_ref().map(|disk| disk.bytes_max) {
            dropped += self.make_room(false, length, bytes_max);
            if self.fits(false, length, bytes_max) {
                let buffer = &self.disk.as_ref().expect("it was just there").buffer;
                written = buffer.write(id, batch.payload.as_ref().expect("it was just put there"), points);
                if written.is_ok() {
                    batch.payload = None;
                }
            }
        }
        if batch.is_in_memory() {
            dropped += self.make_room(true, length, self.memory_max);
            if !self.fits(true, length, self.memory_max) {
                return (dropped + points, written);
            }
        }
        self.batches.push_back(batch);
        self.next_id += 1;
        (dropped, written)
    }

    /// Drops the oldest of those that wait in memory, or on disk, until there is room; gives the number of their points.
    fn make_room(&mut self, in_memory: bool, length: usize, bytes_max: usize) -> u64 {
        let mut dropped = 0;
        while !self.fits(in_memory, length, bytes_max) {
            let is_dropped =
                |batch: &Batch| batch.is_in_memory() == in_memory && Some(batch.id) != self.sending;
            let Some(at) = self.batches.iter().position(is_dropped) else { break };
            let batch = self.batches.remove(at).expect("it was just found");
            self.forget(&batch);
            dropped += batch.points;
        }
        dropped
    }

    fn fits(&self, in_memory: bool, length: usize, bytes_max: usize) -> bool {
        let batches = self.batches.iter().filter(|batch| batch.is_in_memory() == in_memory);
        batches.map(|batch| room(in_memory, batch.length)).sum::<usize>() + room(in_memory, length)
            <= bytes_max
    }

    fn forget(&self, batch: &Batch) {
        if let (false, Some(disk)) = (batch.is_in_memory(), &self.disk) {
            disk.buffer.remove(batch.id);
        }
    }

    /// The oldest batch, which is now on its way; it stays until it is [removed](Queue::remove).
    ///
    /// # Errors
    /// Where it cannot be read any more: it is no longer there, and had so many points.
    pub(super) fn next(&mut self) -> Option<Result<(BatchId, Payload), u64>> {
        let batch = self.batches.front()?;
        let payload = match (&batch.payload, &self.disk) {
            (Some(payload), _) => Ok(payload.clone()),
            (None, Some(disk)) => disk.buffer.read(batch.id).map(|(payload, _)| payload),
            (None, None) => unreachable!("without a disk all wait in memory"),
        };
        let (id, points) = (batch.id, batch.points);
        Some(match payload {
            Ok(payload) => {
                self.sending = Some(id);
                Ok((id, payload))
            }
            Err(_) => {
                self.remove(id);
                Err(points)
            }
        })
    }

    /// It did not arrive.
    pub(super) fn put_back(&mut self, id: BatchId) {
        debug_assert_eq!(self.sending, Some(id));
        self.sending = None;
    }

    /// It arrived, or never will.
    pub(super) fn remove(&mut self, id: BatchId) {
        self.sending = None;
        let is_it = self.batches.front().is_some_and(|batch| batch.id == id);
        if let Some(batch) = is_it.then(|| self.batches.pop_front()).flatten() {
            self.forget(&batch);
        }
    }

    /// Points of a batch.
    pub(super) fn points_of(&self, id: BatchId) -> u64 {
        self.batches.iter().find(|batch| batch.id == id).map_or(0, |batch| batch.points)
    }
}

/// What a batch takes up: on disk, whole blocks. What is empty is none.
fn room(in_memory: bool, length: usize) -> usize {
    match length {
        0 => 0,
        _ if in_memory => length,
        _ => length.saturating_add(HEADER_BYTES).next_multiple_of(BLOCK_BYTES),
    }
}

#[cfg(test)]
mod tests;
