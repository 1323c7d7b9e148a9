//! The thread that writes the log and fills the head.

use std::io;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::head::{Head, bytes_of};
use super::wal::{RECORD_BYTES_MAX, Segment};
use super::{FROZEN_MAX, Frozen, Shared};
use crate::console;
use crate::store::{AppendError, Batch};

/// As much is written at once.
const GROUP_BYTES_MAX: usize = 8 << 20;
const AGE_LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Append {
    /// Keep this.
    Batch { batch: Box<Batch>, record: Vec<u8>, reply: SyncSender<Result<(), AppendError>> },
    /// Freeze the head, whatever is in it.
    Freeze(SyncSender<io::Result<()>>),
}

/// The writer.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// `None` where no segment could be begun.
    segment: Option<Segment>,
    next_number: u64,
    begun: Instant,
}

/// Batches that are written together.
#[derive(Default)]
struct Together {
    records: Vec<u8>,
    batches: Vec<(Batch, SyncSender<Result<(), AppendError>>)>,
    bytes: usize,
    new_series: usize,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, segment: Segment) -> Self {
        let next_number = segment.number + 1;
        shared.counts.log_bytes.fetch_add(segment.length, Ordering::Relaxed);
        Self { shared, segment: Some(segment), next_number, begun: Instant::now() }
    }

    /// Works until nobody can ask any more.
    pub(super) fn run(mut self, asked: &Receiver<Append>) {
        loop {
            let first = match asked.recv_timeout(AGE_LOOK_EVERY) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let mut together = Together::default();
            let mut freeze = Vec::new();
            let mut next = first;
            while let Some(append) = next {
                match append {
                    Append::Batch { batch, record, reply } => {
                        self.admit(&mut together, *batch, &record, reply)
                    }
                    Append::Freeze(reply) => freeze.push(reply),
                }
                next = if together.records.len() < GROUP_BYTES_MAX { asked.try_recv().ok() } else { None };
            }
            self.write(together);
            let aged = self.begun.elapsed() >= self.shared.options.head_age_max;
            if !freeze.is_empty() || aged {
                let frozen = self.freeze();
                for reply in freeze {
                    let error =
                        frozen.as_ref().err().map(|error| io::Error::new(error.kind(), error.to_string()));
                    // Whoever asked may have gone.
                    let _ = reply.send(error.map_or(Ok(()), Err));
                }
            }
        }
    }

    /// Takes a batch, or refuses it.
    fn admit(
        &mut self,
        together: &mut Together,
        batch: Batch,
        record: &[u8],
        reply: SyncSender<Result<(), AppendError>>,
    ) {
        let options = &self.shared.options;
        let bytes = bytes_of(&batch);
        let refusal = if record.len() > RECORD_BYTES_MAX || bytes > options.head_bytes_max {
            Some(AppendError::TooLarge { limit_bytes: options.head_bytes_max })
        } else {
            let full = {
                let state = self.shared.read();
                state.head.bytes() + together.bytes + bytes > options.head_bytes_max && !state.head.is_empty()
            };
            if full {
                self.write(mem::take(together));
                // One that cannot be frozen yet is filled no further.
                if let Err(error) = self.freeze() { Some(busy_or(error)) } else { None }
            } else {
                None
            }
        };
        let new_series = self.shared.read().head.new_series(&batch);
        let known = self.shared.read().head.series.len() + together.new_series;
        let refusal = refusal.or_else(|| {
            let limit = self.shared.options.series_max;
            (known + new_series > limit).then_some(AppendError::TooManySeries { limit })
        });
        if let Some(refusal) = refusal {
            let _ = reply.send(Err(refusal));
            return;
        }
        together.bytes += bytes;
        together.new_series += new_series;
        together.records.extend_from_slice(record);
        together.batches.push((batch, reply));
    }

    /// Writes batches, adds them to the head, and tells whoever waits.
    fn write(&mut self, together: Together) {
        if together.batches.is_empty() {
            return;
        }
        if let Err(error) = self.log(&together.records) {
            for (_, reply) in together.batches {
                let error = io::Error::new(error.kind(), error.to_string());
                let _ = reply.send(Err(AppendError::from_io(error)));
            }
            return;
        }
        let rows: usize = together.batches.iter().map(|(batch, _)| batch.rows()).sum();
        {
            let mut state = self.shared.write();
            for (batch, _) in &together.batches {
                state.head.add(batch);
            }
        }
        let counts = &self.shared.counts;
        counts.samples.fetch_add(rows as u64, Ordering::Relaxed);
        counts.log_bytes.fetch_add(together.records.len() as u64, Ordering::Relaxed);
        for (_, reply) in together.batches {
            let _ = reply.send(Ok(()));
        }
    }

    fn log(&mut self, records: &[u8]) -> io::Result<()> {
        if self.segment.is_none() {
            self.begin()?;
        }
        let segment = self.segment.as_mut().expect("begun");
        segment.append(records).map_err(|(error, usable)| {
            if !usable {
                // What it holds is in the head, too; both go when the head is in blocks.
                console::line(format_args!("the log cannot be written: {error}; another segment is begun"));
                self.abandon();
            }
            error
        })
    }

    /// Leaves a segment that can no longer be written, together with the head that it belongs to.
    fn abandon(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        let mut state = self.shared.write();
        let head = mem::take(&mut state.head);
        // Beyond the usual number of heads: the disk failed, and what was acknowledged must not be lost.
        state.frozen.push(Arc::new(Frozen { head, segment: segment.number }));
        drop(state);
        self.shared.keeper.wake();
    }

    fn begin(&mut self) -> io::Result<()> {
        self.segment = Some(self.next_segment()?);
        self.begun = Instant::now();
        Ok(())
    }

    fn next_segment(&mut self) -> io::Result<Segment> {
        let next = Segment::create(&self.shared.log_folder(), self.next_number)?;
        self.next_number += 1;
        self.shared.counts.log_bytes.fetch_add(next.length, Ordering::Relaxed);
        Ok(next)
    }

    /// Hands the head over to become blocks, and begins another with a segment of its own.
    fn freeze(&mut self) -> io::Result<()> {
        {
            let state = self.shared.read();
            if state.head.is_empty() {
                self.begun = Instant::now();
                return Ok(());
            }
            if state.frozen.len() >= FROZEN_MAX {
                self.shared.keeper.wake();
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        // The next segment first: without it, the head is filled further.
        let next = self.next_segment()?;
        if let Some(before) = self.segment.replace(next) {
            let mut state = self.shared.write();
            let head: Head = mem::take(&mut state.head);
            state.frozen.push(Arc::new(Frozen { head, segment: before.number }));
        }
        self.begun = Instant::now();
        self.shared.keeper.wake();
        Ok(())
    }
}

fn busy_or(error: io::Error) -> AppendError {
    if error.kind() == io::ErrorKind::WouldBlock { AppendError::Busy } else { AppendError::from_io(error) }
}
