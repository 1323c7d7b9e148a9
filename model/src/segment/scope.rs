//! Registering instruments: each gets cells, and the directory tells which.

use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{self, Encoding, Entry, ScopeKind, closed_word};
use super::slow::{self, LocalSlowIterations};
use super::writer::Writer;
use crate::catalogue::{self, Kind, Metric};
use crate::instrument::{
    Counter, Gauge, HISTOGRAM_CELLS, Histogram, LocalCounter, LocalGauge, LocalHistogram, PEAK_CELLS,
    PeakGauge,
};

/// A part of a segment that begins and ends as one: an event loop, or the process. Closed when dropped.
///
/// `labels` are the positions of the metric's label values ([`crate::label::LabelValue::position`]), in the order of
/// [`Metric::labels`]. Register each metric and set of labels once: a second registration gives the same cells.
///
/// Registering an instrument always succeeds. Where the segment is full, the instrument gets cells of its own that
/// nobody can read, and the segment's count of dropped instruments rises.
pub struct Scope {
    pub(super) writer: Writer,
    pub(super) number: Option<usize>,
    pub(super) kind: ScopeKind,
    /// What was registered when its place was another's.
    pub(super) inherited: Vec<Entry>,
    /// Where the directory may begin to tell of its own.
    pub(super) first_entry: usize,
}

impl Scope {
    /// A counter that any thread may add to.
    pub fn counter(&self, metric: &'static Metric, labels: &[u8]) -> Counter {
        expect_kind(metric, Kind::Counter);
        Counter::new(&self.register(metric, labels, Encoding::Sum)[0])
    }

    /// A counter for the calling thread.
    pub fn local_counter(&self, metric: &'static Metric, labels: &[u8]) -> LocalCounter {
        expect_kind(metric, Kind::Counter);
        LocalCounter::new(&self.register(metric, labels, Encoding::Sum)[0])
    }

    /// A gauge that any thread may change.
    pub fn gauge(&self, metric: &'static Metric, labels: &[u8]) -> Gauge {
        expect_kind(metric, Kind::Gauge);
        Gauge::new(&self.register(metric, labels, Encoding::Sum)[0])
    }

    /// A gauge for the calling thread.
    pub fn local_gauge(&self, metric: &'static Metric, labels: &[u8]) -> LocalGauge {
        expect_kind(metric, Kind::Gauge);
        LocalGauge::new(&self.register(metric, labels, Encoding::Sum)[0])
    }

    /// A histogram that any thread may record to.
    pub fn histogram(&self, metric: &'static Metric, labels: &[u8]) -> Histogram {
        expect_kind(metric, Kind::Histogram);
        Histogram::new(self.register_histogram(metric, labels))
    }

    /// A histogram for the calling thread.
    pub fn local_histogram(&self, metric: &'static Metric, labels: &[u8]) -> LocalHistogram {
        expect_kind(metric, Kind::Histogram);
        LocalHistogram::new(self.register_histogram(metric, labels))
    }

    /// A gauge that is read as `current`, and its peak of the last minute as `peak`.
    pub fn peak_gauge(&self, current: &'static Metric, peak: &'static Metric, labels: &[u8]) -> PeakGauge {
        expect_kind(current, Kind::Gauge);
        expect_kind(peak, Kind::Gauge);
        let cells = self.register(peak, labels, Encoding::Peak);
        self.publish_again(current, peak, labels, Encoding::Sum, 1);
        PeakGauge::new(cells.first_chunk::<PEAK_CELLS>().expect("as many cells as the encoding has"))
    }

    /// Cells for an allocator that keeps one shard a thread: see [`AllocationCells`].
    pub fn allocation_cells(&self, shards: u16) -> AllocationCells {
        const STRIDE: usize = AllocationCells::STRIDE;
        let words =
            match self.number.and_then(|_| self.writer.allocate(usize::from(shards) * STRIDE + STRIDE)) {
                // A shard never shares a cache line with another thread's.
                Some(offset) => {
                    let aligned = offset.next_multiple_of(STRIDE);
                    let encodings = [
                        (&catalogue::HEAP_ALLOCATED_BYTES, Encoding::Sum, 0),
                        (&catalogue::HEAP_LIVE_BYTES, Encoding::Difference, 0),
                        (&catalogue::HEAP_FREED_BYTES, Encoding::Sum, 1),
                        (&catalogue::HEAP_ALLOCATIONS, Encoding::Sum, 2),
                        (&catalogue::HEAP_LIVE_OBJECTS, Encoding::Difference, 2),
                    ];
                    for (metric, encoding, cell) in encodings {
                        self.publish(metric, &[], encoding, aligned + cell, shards, STRIDE);
                    }
                    &self.writer.words[aligned..aligned + usize::from(shards) * STRIDE]
                }
                None => self.unpublished(usize::from(shards) * STRIDE),
            };
        AllocationCells { words }
    }

    /// The ring of slow iterations of a loop, for the loop's thread, which will tell all of `slow_ns` or more; `None` where the segment
    /// has no room. Ask for it once.
    pub fn local_slow_iterations(&self, slow_ns: u64) -> Option<LocalSlowIterations> {
        let word = &self.writer.scope_words(self.number?)[layout::SCOPE_RING];
        let place = slow::Place::unpack(word.load(Ordering::Relaxed)).or_else(|| {
            let place = slow::Place::at(self.writer.allocate(slow::WORDS)?);
            word.store(place.pack(), Ordering::Release);
            Some(place)
        });
        if place.is_none() {
            self.writer.words[layout::WORD_DROPPED].fetch_add(1, Ordering::Relaxed);
        }
        LocalSlowIterations::new(self.writer.words, place?, slow_ns)
    }

    fn register_histogram(
        &self,
        metric: &'static Metric,
        labels: &[u8],
    ) -> &'static [AtomicU64; HISTOGRAM_CELLS] {
        let cells = self.register(metric, labels, Encoding::Histogram);
        cells.first_chunk().expect("as many cells as the encoding has")
    }

    /// Cells for a metric: those that this scope's predecessor had, or new ones.
    fn register(&self, metric: &'static Metric, labels: &[u8], encoding: Encoding) -> &'static [AtomicU64] {
        check_labels(metric, labels);
        let count = encoding.cells();
        if let Some(entry) = self.known(metric, labels, encoding) {
            let start = entry.offset as usize;
            return &self.writer.words[start..start + count];
        }
        match self.number.and_then(|_| self.writer.allocate(count)) {
            Some(offset) => {
                self.publish(metric, labels, encoding, offset, 1, count);
                &self.writer.words[offset..offset + count]
            }
            None => self.unpublished(count),
        }
    }

    /// The entry for this metric, whether it was made for this scope or for one that had its place before. Not all of the directory is
    /// searched: with the places of a hundred closed loops in it that would take longer than everything else.
    fn known(&self, metric: &Metric, labels: &[u8], encoding: Encoding) -> Option<Entry> {
        let number = self.number?;
        let padded = pad(labels);
        let is_it = |entry: &Entry| {
            usize::from(entry.scope) == number
                && entry.metric == metric.id
                && entry.encoding == encoding as u8
                && entry.labels == padded
        };
        let inherited = self.inherited.iter().copied().find(is_it);
        inherited.or_else(|| self.writer.entries_from(self.first_entry).find(is_it))
    }

    /// Publishes a second metric on the first cells of one that is registered.
    fn publish_again(
        &self,
        metric: &'static Metric,
        on: &'static Metric,
        labels: &[u8],
        encoding: Encoding,
        cells: usize,
    ) {
        check_labels(metric, labels);
        if self.known(metric, labels, encoding).is_some() {
            return;
        }
        if let Some(entry) = self.known(on, labels, Encoding::Peak) {
            self.publish(metric, labels, encoding, entry.offset as usize, 1, cells);
        }
    }

    fn publish(
        &self,
        metric: &Metric,
        labels: &[u8],
        encoding: Encoding,
        offset: usize,
        shards: u16,
        stride: usize,
    ) {
        let Some(number) = self.number else { return };
        let entry = Entry {
            metric: metric.id,
            encoding: encoding as u8,
            labels: pad(labels),
            shards,
            offset: offset as u32,
            stride: stride as u16,
            scope: number as u16,
        };
        if self.writer.append(entry).is_none() {
            self.writer.words[layout::WORD_DROPPED].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Cells outside the segment. They are never freed: instruments may outlive the scope.
    fn unpublished(&self, count: usize) -> &'static [AtomicU64] {
        self.writer.words[layout::WORD_DROPPED].fetch_add(1, Ordering::Relaxed);
        (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let closing = self.writer.words[layout::WORD_CLOSINGS].fetch_add(1, Ordering::Relaxed) + 1;
            self.writer.scope_words(number)[0].store(closed_word(self.kind, closing), Ordering::Release);
        }
    }
}

/// The positions of up to two label values, as a directory entry holds them.
fn pad(labels: &[u8]) -> [u8; 2] {
    [labels.first().copied().unwrap_or(0), labels.get(1).copied().unwrap_or(0)]
}

fn expect_kind(metric: &Metric, kind: Kind) {
    assert_eq!(metric.kind, kind, "{} is of another kind", metric.name);
}

fn check_labels(metric: &Metric, labels: &[u8]) {
    let fits = labels.len() == metric.labels.len()
        && metric
            .labels
            .iter()
            .zip(labels)
            .all(|(label, &position)| usize::from(position) < label.values.len());
    assert!(fits, "{labels:?} do not fit the labels of {}", metric.name);
}

/// The cells of a counting allocator: one shard a thread, each on a cache line of its own, added up by readers.
///
/// The cells of a shard are: bytes allocated, bytes freed, allocations, releases. The allocator sees to it that each
/// shard has one writer at a time.
#[derive(Clone, Copy)]
pub struct AllocationCells {
    words: &'static [AtomicU64],
}

impl AllocationCells {
    /// Words of a shard: one cache line.
    const STRIDE: usize = 8;

    /// The four cells of each shard.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &'static [AtomicU64; 4]> {
        self.words
            .chunks_exact(Self::STRIDE)
            .map(|shard| shard.first_chunk().expect("a shard has eight words"))
    }
}
