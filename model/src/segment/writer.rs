//! The writing side: making a segment, opening scopes, registering instruments.

use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::{self, Encoding, Entry, Identity, ScopeKind, ScopeState, scope_word};
use super::slow::{self, LocalSlowIterations};
use crate::catalogue::{self, Kind, Metric};
use crate::instrument::{
    Counter, Gauge, HISTOGRAM_CELLS, Histogram, LocalCounter, LocalGauge, LocalHistogram, PEAK_CELLS,
    PeakGauge,
};

/// The writer of a segment. Copies write to the same segment.
#[derive(Clone, Copy)]
pub struct Writer {
    words: &'static [AtomicU64],
}

impl Writer {
    /// Makes a segment of memory that holds only zeros.
    ///
    /// # Panics
    /// If there are fewer than [`super::WORDS_MIN`] words, or more than 2^32.
    pub fn create(words: &'static [AtomicU64], identity: &Identity) -> Self {
        assert!(words.len() >= layout::WORDS_MIN, "a segment of {} words is too short", words.len());
        assert!(u32::try_from(words.len()).is_ok(), "a segment of {} words is too long", words.len());
        let store = |word: usize, value: u64| words[word].store(value, Ordering::Relaxed);
        let scopes = layout::HEADER_WORDS;
        let directory = scopes + layout::SCOPES * layout::SCOPE_WORDS;
        store(
            layout::WORD_VERSION,
            u64::from(layout::VERSION_MAJOR) << 32 | u64::from(layout::VERSION_MINOR),
        );
        store(layout::WORD_LENGTH, words.len() as u64);
        store(layout::WORD_PID, u64::from(identity.pid));
        store(layout::WORD_CREATED, identity.created_ns);
        store(layout::WORD_SCOPES, layout::pack_table(scopes, layout::SCOPES));
        store(layout::WORD_DIRECTORY, layout::pack_table(directory, layout::ENTRIES));
        store(layout::WORD_FREE, layout::WORDS_MIN as u64);
        layout::store_text(&words[layout::WORDS_SERVICE], &identity.service);
        layout::store_text(&words[layout::WORDS_PRODUCER], &identity.producer);
        words[layout::WORD_MAGIC].store(layout::MAGIC, Ordering::Release);
        Self { words }
    }

    /// Renames the service. Who reads meanwhile may see a mixture of both names, once.
    pub fn set_service(&self, service: &str) {
        layout::store_text(&self.words[layout::WORDS_SERVICE], service);
    }

    /// How many words, from the first, may hold something; all others are zero.
    pub fn used_words(&self) -> usize {
        (self.words[layout::WORD_FREE].load(Ordering::Acquire) as usize).min(self.words.len())
    }

    /// Opens a scope, taking over the cells of a closed one of the same kind where there is one.
    ///
    /// `index` tells the scopes of a kind apart for as long as the process lives: give each a new one. `name` is cut
    /// to 32 bytes. Where the table is full the scope works as any other, but nobody can read it.
    pub fn open_scope(&self, kind: ScopeKind, index: u64, thread_id: u64, name: &str) -> Scope {
        let number = self.claim_scope(kind);
        if let Some(number) = number {
            let words = self.scope_words(number);
            words[1].store(index, Ordering::Release);
            words[2].store(thread_id, Ordering::Relaxed);
            layout::store_text(&words[4..4 + layout::SCOPE_NAME_WORDS], name);
            self.zero_cells_of(number);
            if let Some(ring) = slow::Place::unpack(words[layout::SCOPE_RING].load(Ordering::Relaxed)) {
                ring.clear(self.words);
            }
            words[0].store(scope_word(ScopeState::Open, kind), Ordering::Release);
        } else {
            self.words[layout::WORD_DROPPED].fetch_add(1, Ordering::Relaxed);
        }
        Scope { writer: *self, number, kind }
    }

    fn claim_scope(&self, kind: ScopeKind) -> Option<usize> {
        let used =
            self.words[layout::WORD_SCOPES_USED].load(Ordering::Acquire).min(layout::SCOPES as u64) as usize;
        let (closed, opening) = (scope_word(ScopeState::Closed, kind), scope_word(ScopeState::Opening, kind));
        let reclaimed = (0..used).find(|&number| {
            let state = &self.scope_words(number)[0];
            state.compare_exchange(closed, opening, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        });
        if reclaimed.is_some() {
            return reclaimed;
        }
        let number = claim(&self.words[layout::WORD_SCOPES_USED], 1, layout::SCOPES)?;
        self.scope_words(number)[0].store(opening, Ordering::Release);
        Some(number)
    }

    fn scope_words(&self, number: usize) -> &'static [AtomicU64] {
        let start = layout::HEADER_WORDS + number * layout::SCOPE_WORDS;
        &self.words[start..start + layout::SCOPE_WORDS]
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let (start, capacity) =
            layout::unpack_table(self.words[layout::WORD_DIRECTORY].load(Ordering::Relaxed));
        let used =
            self.words[layout::WORD_DIRECTORY_USED].load(Ordering::Acquire).min(capacity as u64) as usize;
        let rows = self.words[start..start + used * layout::ENTRY_WORDS].chunks_exact(layout::ENTRY_WORDS);
        rows.filter_map(|row| Entry::unpack([row[0].load(Ordering::Acquire), row[1].load(Ordering::Relaxed)]))
    }

    fn zero_cells_of(&self, number: usize) {
        for entry in self.entries().filter(|entry| usize::from(entry.scope) == number) {
            let cells = Encoding::from_code(entry.encoding).map_or(1, Encoding::cells);
            for shard in 0..usize::from(entry.shards) {
                let start = entry.offset as usize + shard * usize::from(entry.stride);
                self.words[start..start + cells].iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
            }
        }
    }

    fn allocate(&self, count: usize) -> Option<usize> {
        claim(&self.words[layout::WORD_FREE], count, self.words.len())
    }

    fn append(&self, entry: Entry) -> Option<()> {
        let number = claim(&self.words[layout::WORD_DIRECTORY_USED], 1, layout::ENTRIES)?;
        let (start, _) = layout::unpack_table(self.words[layout::WORD_DIRECTORY].load(Ordering::Relaxed));
        let row = &self.words[start + number * layout::ENTRY_WORDS..];
        let [first, second] = entry.pack();
        row[1].store(second, Ordering::Relaxed);
        row[0].store(first, Ordering::Release);
        Some(())
    }
}

/// Takes `count` units from a counter that may not pass `limit`; gives the first one taken.
fn claim(counter: &AtomicU64, count: usize, limit: usize) -> Option<usize> {
    let step = |used: u64| used.checked_add(count as u64).filter(|&next| next <= limit as u64);
    counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).ok().map(|first| first as usize)
}

/// A part of a segment that begins and ends as one: an event loop, or the process. Closed when dropped.
///
/// `labels` are the positions of the metric's label values ([`crate::label::LabelValue::position`]), in the order of
/// [`Metric::labels`]. Register each metric and set of labels once: a second registration gives the same cells.
///
/// Registering an instrument always succeeds. Where the segment is full, the instrument gets cells of its own that
/// nobody can read, and the segment's count of dropped instruments rises.
pub struct Scope {
    writer: Writer,
    number: Option<usize>,
    kind: ScopeKind,
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
        if let Some(entry) = self.inherited(metric, labels, encoding) {
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

    /// The entry for this metric that was made when the scope's place in the table had another occupant.
    fn inherited(&self, metric: &Metric, labels: &[u8], encoding: Encoding) -> Option<Entry> {
        let number = self.number?;
        let padded = pad(labels);
        self.writer.entries().find(|entry| {
            usize::from(entry.scope) == number
                && entry.metric == metric.id
                && entry.encoding == encoding as u8
                && entry.labels == padded
        })
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
        if self.inherited(metric, labels, encoding).is_some() {
            return;
        }
        if let Some(entry) = self.inherited(on, labels, Encoding::Peak) {
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
            self.writer.scope_words(number)[0]
                .store(scope_word(ScopeState::Closed, self.kind), Ordering::Release);
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
