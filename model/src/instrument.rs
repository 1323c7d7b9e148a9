//! Counters, gauges and histograms as atomic cells that another process may read at any time.
//!
//! An instrument is a reference to cells, most often in a telemetry [`crate::segment`]. Recording never blocks, never
//! allocates and never fails.
//!
//! There are two forms of each. The **local** ones ([`LocalCounter`], [`LocalGauge`], [`LocalHistogram`]) belong to one
//! thread: they record with a plain load and store, in a nanosecond or so. They are not `Send`, and
//! [`crate::segment::Scope`] gives out each set of cells once, so that no second writer can exist. The **shared** ones
//! ([`Counter`], [`Gauge`], [`Histogram`]) may be recorded to from any thread, with an atomic addition.
//!
//! All orderings are `Relaxed`: cells are independent sums, and a reader may see one recording in the sum of a
//! histogram and not yet in its bucket, or the other way round. It never sees a torn value.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::histogram::{self, Bucket, SLOTS, slot_of};
use crate::time::Monotonic;

/// Cells of a histogram: the sum in nanoseconds, the count of zeros, then one count a slot.
pub const HISTOGRAM_CELLS: usize = 2 + SLOTS;

/// Cells of a [`PeakGauge`]: the current value, then one peak a window.
pub const PEAK_CELLS: usize = 1 + PEAK_WINDOWS;

/// The length of one window of a [`PeakGauge`].
const PEAK_WINDOW_NS: u64 = 5_000_000_000;

/// Windows of a [`PeakGauge`]: twelve whole ones for the last minute, and the one that has begun.
const PEAK_WINDOWS: usize = 13;

/// Marks a type as belonging to one thread.
type OneThread = PhantomData<*const ()>;

/// A sum that only grows; any thread may add.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    cell: &'static AtomicU64,
}

/// A sum that only grows; one thread adds.
#[derive(Debug)]
pub struct LocalCounter {
    cell: &'static AtomicU64,
    _one_thread: OneThread,
}

/// A reading that goes up and down; any thread may change it.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    cell: &'static AtomicU64,
}

/// A reading that goes up and down; one thread changes it.
#[derive(Debug)]
pub struct LocalGauge {
    cell: &'static AtomicU64,
    _one_thread: OneThread,
}

/// A distribution of durations; any thread may record.
#[derive(Clone, Copy, Debug)]
pub struct Histogram {
    cells: &'static [AtomicU64; HISTOGRAM_CELLS],
}

/// A distribution of durations; one thread records.
#[derive(Debug)]
pub struct LocalHistogram {
    cells: &'static [AtomicU64; HISTOGRAM_CELLS],
    _one_thread: OneThread,
}

/// A gauge that remembers its highest value of the last minute, whoever reads it and however often; any thread may
/// change it.
///
/// The minute is kept as windows of five seconds, so a peak is remembered for 60 to 65 seconds.
#[derive(Clone, Copy, Debug)]
pub struct PeakGauge {
    cells: &'static [AtomicU64; PEAK_CELLS],
}

/// The one writer's addition: cheaper than an atomic one, and safe because nobody else writes.
#[inline]
fn add_alone(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

impl Counter {
    /// A counter on this cell.
    pub fn new(cell: &'static AtomicU64) -> Self {
        Self { cell }
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        self.cell.fetch_add(n, Relaxed);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.cell.load(Relaxed)
    }
}

impl LocalCounter {
    /// A counter on this cell, to which nobody else may write.
    pub fn new(cell: &'static AtomicU64) -> Self {
        Self { cell, _one_thread: PhantomData }
    }

    /// Adds `n`.
    #[inline]
    pub fn add(&self, n: u64) {
        add_alone(self.cell, n);
    }

    /// The sum so far.
    pub fn get(&self) -> u64 {
        self.cell.load(Relaxed)
    }
}

impl Gauge {
    /// A gauge on this cell.
    pub fn new(cell: &'static AtomicU64) -> Self {
        Self { cell }
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        self.cell.fetch_add(n as u64, Relaxed);
    }

    /// Sets the reading.
    #[inline]
    pub fn set(&self, value: i64) {
        self.cell.store(value as u64, Relaxed);
    }

    /// The reading.
    pub fn get(&self) -> i64 {
        self.cell.load(Relaxed) as i64
    }
}

impl LocalGauge {
    /// A gauge on this cell, to which nobody else may write.
    pub fn new(cell: &'static AtomicU64) -> Self {
        Self { cell, _one_thread: PhantomData }
    }

    /// Adds `n`, which may be negative.
    #[inline]
    pub fn add(&self, n: i64) {
        add_alone(self.cell, n as u64);
    }

    /// Sets the reading.
    #[inline]
    pub fn set(&self, value: i64) {
        self.cell.store(value as u64, Relaxed);
    }

    /// The reading.
    pub fn get(&self) -> i64 {
        self.cell.load(Relaxed) as i64
    }
}

impl Histogram {
    /// A histogram on these cells.
    pub fn new(cells: &'static [AtomicU64; HISTOGRAM_CELLS]) -> Self {
        Self { cells }
    }

    /// Records one duration.
    #[inline]
    pub fn record_ns(&self, ns: u64) {
        self.record_many_ns(ns, 1);
    }

    /// Records a duration `count` times.
    #[inline]
    pub fn record_many_ns(&self, ns: u64, count: u64) {
        self.cells[0].fetch_add(ns.wrapping_mul(count), Relaxed);
        self.cells[bucket_cell(ns)].fetch_add(count, Relaxed);
    }

    /// What was recorded so far.
    pub fn get(&self) -> histogram::Histogram {
        read_histogram(self.cells)
    }
}

impl LocalHistogram {
    /// A histogram on these cells, to which nobody else may write.
    pub fn new(cells: &'static [AtomicU64; HISTOGRAM_CELLS]) -> Self {
        Self { cells, _one_thread: PhantomData }
    }

    /// Records one duration.
    #[inline]
    pub fn record_ns(&self, ns: u64) {
        add_alone(&self.cells[0], ns);
        add_alone(&self.cells[bucket_cell(ns)], 1);
    }

    /// What was recorded so far.
    pub fn get(&self) -> histogram::Histogram {
        read_histogram(self.cells)
    }
}

impl PeakGauge {
    /// A peak gauge on these cells.
    pub fn new(cells: &'static [AtomicU64; PEAK_CELLS]) -> Self {
        Self { cells }
    }

    /// Raises the reading by one.
    #[inline]
    pub fn increment(&self, now: Monotonic) {
        let raised = self.cells[0].fetch_add(1, Relaxed).wrapping_add(1);
        self.note_peak(raised, now);
    }

    /// Lowers the reading by one.
    #[inline]
    pub fn decrement(&self, now: Monotonic) {
        // The reading *before* this change may have stood since a window that is long gone: it counts for this one.
        let before = self.cells[0].fetch_sub(1, Relaxed);
        self.note_peak(before, now);
    }

    /// Sets the reading, for one who only samples: what it was between two calls is not known. One thread at a time.
    pub fn set(&self, value: u64, now: Monotonic) {
        let before = self.cells[0].swap(value, Relaxed);
        self.note_peak(before.max(value), now);
    }

    /// The reading.
    pub fn get(&self) -> i64 {
        self.cells[0].load(Relaxed) as i64
    }

    /// The highest reading within the last minute before `now`.
    pub fn peak(&self, now: Monotonic) -> i64 {
        read_peak(self.cells, now)
    }

    /// Window number above value, so that one `fetch_max` both opens a new window and raises the current one.
    #[inline]
    fn note_peak(&self, value: u64, now: Monotonic) {
        let window = window_of(now);
        let cell = &self.cells[1 + window as usize % PEAK_WINDOWS];
        let packed = window << 32 | value.min(u64::from(u32::MAX));
        if cell.load(Relaxed) < packed {
            cell.fetch_max(packed, Relaxed);
        }
    }
}

/// Windows are numbered from one, so that a cell never written to belongs to none.
#[inline]
fn window_of(now: Monotonic) -> u64 {
    now.as_ns() / PEAK_WINDOW_NS + 1
}

#[inline]
fn bucket_cell(ns: u64) -> usize {
    match slot_of(ns) {
        Some(slot) => 2 + slot,
        None => 1,
    }
}

/// Reads the cells of a histogram; `cells` may be another process's.
pub(crate) fn read_histogram(cells: &[AtomicU64]) -> histogram::Histogram {
    let Some(([sum_ns, zero_count], slots)) = cells.split_first_chunk() else {
        return histogram::Histogram::default();
    };
    // Most slots are empty, and so are most runs of them: a first look, of loads alone, finds those that are not.
    let runs = || slots.chunks(16).enumerate();
    let mut filled = 0u64;
    for (at, run) in runs() {
        let any = run.iter().fold(0, |any, cell| any | cell.load(Relaxed));
        filled |= u64::from(any != 0) << at;
    }
    let filled = |at: usize| filled >> at & 1 == 1;
    let mut buckets =
        Vec::with_capacity(runs().filter(|(at, _)| filled(*at)).map(|(_, run)| held_by(run)).sum());
    for (at, run) in runs().filter(|(at, _)| filled(*at)) {
        let indices = histogram::INDEX_MIN + 16 * at as i16..;
        let counts = indices.zip(run.iter().map(|cell| cell.load(Relaxed)));
        buckets.extend(counts.filter(|(_, count)| *count > 0).map(|(index, count)| Bucket { index, count }));
    }
    histogram::Histogram::from_buckets(sum_ns.load(Relaxed), zero_count.load(Relaxed), buckets)
}

/// How many cells of a run are not zero.
fn held_by(run: &[AtomicU64]) -> usize {
    run.iter().filter(|cell| cell.load(Relaxed) > 0).count()
}

/// Reads the cells of a peak gauge; `cells` may be another process's.
pub(crate) fn read_peak(cells: &[AtomicU64], now: Monotonic) -> i64 {
    let mut cells = cells.iter().map(|cell| cell.load(Relaxed));
    let current = cells.next().unwrap_or(0) as i64;
    let oldest = window_of(now).saturating_sub(PEAK_WINDOWS as u64 - 1);
    let recent = cells
        .filter(|packed| packed >> 32 >= oldest.max(1))
        .map(|packed| (packed & u64::from(u32::MAX)) as i64);
    recent.fold(current, i64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells<const N: usize>() -> &'static [AtomicU64; N] {
        Box::leak(Box::new([const { AtomicU64::new(0) }; N]))
    }

    fn at_second(s: u64) -> Monotonic {
        Monotonic::from_ns(s * 1_000_000_000)
    }

    #[test]
    fn a_recorded_histogram_reads_like_the_list_of_its_durations() {
        let durations = [0, 1, 999, 1_000_000, 37_000_000_000, u64::MAX >> 14];
        let (shared, local) = (Histogram::new(cells()), LocalHistogram::new(cells()));
        for ns in durations {
            shared.record_ns(ns);
            local.record_ns(ns);
        }
        assert_eq!(shared.get(), histogram::Histogram::from_ns(durations));
        assert_eq!(local.get(), shared.get());
    }

    #[test]
    fn a_shared_counter_loses_nothing_between_threads() {
        let counter = Counter::new(&cells::<1>()[0]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.get(), 40_000);
    }

    #[test]
    fn a_gauge_goes_below_zero_and_back() {
        let gauge = LocalGauge::new(&cells::<1>()[0]);
        gauge.add(-3);
        assert_eq!(gauge.get(), -3);
        gauge.add(5);
        assert_eq!(gauge.get(), 2);
    }

    #[test]
    fn a_peak_is_remembered_for_a_minute_and_then_forgotten() {
        let depth = PeakGauge::new(cells());
        (0..7).for_each(|_| depth.increment(at_second(100)));
        (0..7).for_each(|_| depth.decrement(at_second(101)));
        assert_eq!((depth.get(), depth.peak(at_second(160))), (0, 7));
        assert_eq!(depth.peak(at_second(166)), 0);
    }

    #[test]
    fn a_sampled_reading_is_remembered_like_one_that_was_counted() {
        let depth = PeakGauge::new(cells());
        depth.set(7, at_second(100));
        depth.set(2, at_second(101));
        assert_eq!((depth.get(), depth.peak(at_second(160))), (2, 7));
        assert_eq!(depth.peak(at_second(166)), 2);
    }

    #[test]
    fn a_duration_recorded_many_times_reads_like_as_many_recordings() {
        let histogram = Histogram::new(cells());
        histogram.record_many_ns(5_000, 3);
        assert_eq!(histogram.get(), histogram::Histogram::from_ns([5_000; 3]));
    }

    #[test]
    fn a_reading_that_stands_for_long_counts_until_a_minute_after_it_falls() {
        let depth = PeakGauge::new(cells());
        (0..3).for_each(|_| depth.increment(at_second(10)));
        assert_eq!(depth.peak(at_second(500)), 3);
        (0..3).for_each(|_| depth.decrement(at_second(600)));
        assert_eq!(depth.peak(at_second(655)), 3);
        assert_eq!(depth.peak(at_second(665)), 0);
    }
}
