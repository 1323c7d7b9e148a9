//! The telemetry segment: what is written is what is read, and hostile bytes are only bytes.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use loopscope_model::catalogue::*;
use loopscope_model::histogram::Histogram;
use loopscope_model::label::{LabelValue, Phase, TaskKind};
use loopscope_model::segment::{
    Away, Contents, Identity, LocalSlowIterations, Reader, Reading, Scope, ScopeKind, ScopeReading,
    SegmentError, SlowCursor, SlowReading, TellingLoop, WORDS_MIN, Writer,
};
use loopscope_model::snapshot::{SharedLabels, Snapshot, Value};
use loopscope_model::time::Monotonic;
use proptest::prelude::*;

const NOW: Monotonic = Monotonic::from_ns(1_000_000_000_000);

fn memory(words: usize) -> &'static [AtomicU64] {
    (0..words).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
}

fn identity() -> Identity {
    Identity { pid: 4711, created_ns: 5, service: "shop".into(), producer: "test 1.0".into() }
}

fn segment(words: usize) -> (&'static [AtomicU64], Writer) {
    let memory = memory(words);
    (memory, Writer::create(memory, &identity()))
}

fn read(words: &[AtomicU64]) -> Contents {
    Reader::open(words).unwrap().read(NOW).unwrap()
}

fn expect_value(contents: &Contents, metric: &Metric, labels: &[&str], expected: Value) {
    let readings = contents.scopes.iter().flat_map(|scope| &scope.readings);
    let found =
        readings.into_iter().find(|reading| reading.metric.id == metric.id && reading.labels == labels);
    assert_eq!(found.map(|reading| &reading.value), Some(&expected), "{} {labels:?}", metric.name);
}

#[test]
fn what_is_recorded_is_read() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let event_loop = writer.open_scope(ScopeKind::Loop, 0, 99, "main");
    let process = writer.open_scope(ScopeKind::Process, 0, 0, "");
    let lag = event_loop.local_histogram(&EVENTLOOP_LAG, &[]);
    let callbacks = event_loop.local_counter(&EVENTLOOP_CALLBACKS, &[Phase::Check.position()]);
    let depth = process.peak_gauge(&THREADPOOL_QUEUE_DEPTH, &THREADPOOL_QUEUE_DEPTH_MAX, &[]);
    lag.record_ns(1_000_000);
    callbacks.add(3);
    depth.increment(NOW);
    depth.increment(NOW);
    depth.decrement(NOW);

    assert_eq!(Reader::open(words).unwrap().identity(), identity());
    let contents = read(words);
    expect_value(&contents, &EVENTLOOP_LAG, &[], Value::Histogram(Histogram::from_ns([1_000_000])));
    expect_value(&contents, &EVENTLOOP_CALLBACKS, &["check"], Value::Counter(3));
    expect_value(&contents, &THREADPOOL_QUEUE_DEPTH, &[], Value::Gauge(1));
    expect_value(&contents, &THREADPOOL_QUEUE_DEPTH_MAX, &[], Value::Gauge(2));
    assert_eq!((contents.unknown_entries, contents.dropped_instruments), (0, 0));
    assert_eq!((contents.scopes[0].name.as_str(), contents.scopes[0].thread_id), ("main", 99));
}

#[test]
fn a_service_can_be_renamed() {
    let (words, writer) = segment(WORDS_MIN);
    writer.set_service("warehouse");
    assert_eq!(Reader::open(words).unwrap().identity().service, "warehouse");
    writer.set_service("pub");
    assert_eq!(Reader::open(words).unwrap().identity().service, "pub");
}

#[test]
fn nothing_lies_beyond_the_used_words() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    assert_eq!(writer.used_words(), WORDS_MIN);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 0, "main");
    (0..2).for_each(|_| scope.histogram(&EVENTLOOP_LAG, &[]).record_ns(u64::MAX));
    assert!(writer.used_words() > WORDS_MIN);
    assert!(words[writer.used_words()..].iter().all(|word| word.load(Ordering::Relaxed) == 0));
}

#[test]
fn every_metric_of_a_target_can_be_registered_and_read() {
    let (words, writer) = segment(WORDS_MIN + 100_000);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 0, "");
    let closed = |metric: &&&'static Metric| metric.labels.iter().all(|label| label.is_closed());
    let metrics: Vec<_> = CATALOGUE.iter().filter(closed).collect();
    for metric in &metrics {
        let labels = vec![0; metric.labels.len()];
        match metric.kind {
            Kind::Counter => drop(scope.counter(metric, &labels)),
            Kind::Gauge => drop(scope.gauge(metric, &labels)),
            Kind::Histogram => drop(scope.histogram(metric, &labels)),
        }
    }
    assert_eq!(read(words).scopes[0].readings.len(), metrics.len());
}

#[test]
fn a_loop_carries_its_name_or_else_its_index_as_a_label() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let _named =
        (writer.open_scope(ScopeKind::Loop, 0, 0, "main"), writer.open_scope(ScopeKind::Loop, 7, 0, ""));
    _named.0.local_counter(&EVENTLOOP_ITERATIONS, &[]).add(1);
    _named.1.local_counter(&EVENTLOOP_ITERATIONS, &[]).add(2);
    let mut snapshot = Snapshot::default();
    read(words).add_to(&mut snapshot, &SharedLabels::new([("service", "shop"), ("pid", "4711")]));
    let loops: Vec<_> = snapshot
        .series(&EVENTLOOP_ITERATIONS)
        .iter()
        .map(|series| (series.label("loop"), series.label("pid")))
        .collect();
    assert_eq!(loops, [(Some("main"), Some("4711")), (Some("7"), Some("4711"))]);
}

#[test]
fn a_closed_scope_is_gone_and_its_cells_serve_the_next_one_from_zero() {
    let (words, writer) = segment(WORDS_MIN + 1_000);
    for index in 0..100 {
        let scope = writer.open_scope(ScopeKind::Loop, index, 0, "");
        let lag = scope.local_histogram(&EVENTLOOP_LAG, &[]);
        lag.record_ns(index + 1);
        let contents = read(words);
        assert_eq!((contents.scopes.len(), contents.scopes[0].index), (1, index));
        expect_value(&contents, &EVENTLOOP_LAG, &[], Value::Histogram(Histogram::from_ns([index + 1])));
        drop(scope);
        assert!(read(words).scopes.is_empty());
    }
    assert_eq!(read(words).dropped_instruments, 0);
}

#[test]
fn a_full_segment_drops_instruments_and_counts_them() {
    let (words, writer) = segment(WORDS_MIN + 500);
    let scope = writer.open_scope(ScopeKind::Process, 0, 0, "");
    let waits: Vec<_> = TaskKind::ALL
        .iter()
        .map(|kind| scope.histogram(&THREADPOOL_QUEUE_WAIT, &[kind.position()]))
        .collect();
    waits.iter().for_each(|wait| wait.record_ns(1));
    assert!(waits.iter().all(|wait| wait.get().count() == 1), "an instrument without room still works");
    let contents = read(words);
    assert_eq!(contents.scopes[0].readings.len(), 1);
    assert_eq!(contents.dropped_instruments, TaskKind::ALL.len() as u64 - 1);
}

#[test]
fn the_shards_of_an_allocator_add_up() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let cells = writer.open_scope(ScopeKind::Process, 0, 0, "").into_cells(4);
    for (at, shard) in cells.shards().enumerate() {
        shard[0].store(100 * (at as u64 + 1), Ordering::Relaxed);
        shard[1].store(10, Ordering::Relaxed);
        shard[2].store(5, Ordering::Relaxed);
        shard[3].store(1, Ordering::Relaxed);
    }
    let contents = read(words);
    expect_value(&contents, &HEAP_ALLOCATED_BYTES, &[], Value::Counter(1000));
    expect_value(&contents, &HEAP_FREED_BYTES, &[], Value::Counter(40));
    expect_value(&contents, &HEAP_LIVE_BYTES, &[], Value::Gauge(960));
    expect_value(&contents, &HEAP_ALLOCATIONS, &[], Value::Counter(20));
    expect_value(&contents, &HEAP_LIVE_OBJECTS, &[], Value::Gauge(16));
}

trait IntoCells {
    fn into_cells(self, shards: u16) -> loopscope_model::segment::AllocationCells;
}

impl IntoCells for loopscope_model::segment::Scope {
    /// Keeps the scope open for good, as an allocator does.
    fn into_cells(self, shards: u16) -> loopscope_model::segment::AllocationCells {
        let cells = self.allocation_cells(shards);
        std::mem::forget(self);
        cells
    }
}

#[test]
fn what_is_no_segment_is_refused_with_the_reason() {
    assert_eq!(Reader::open(memory(3)).err(), Some(SegmentError::TooShort { words: 3 }));
    assert_eq!(Reader::open(memory(100)).err(), Some(SegmentError::NotASegment));
    let (words, _) = segment(WORDS_MIN);
    words[1].store(9 << 32, Ordering::Relaxed);
    assert_eq!(Reader::open(words).err(), Some(SegmentError::Version { found: 9, expected: 1 }));
}

#[test]
fn a_segment_that_claims_to_be_longer_than_it_is_is_refused() {
    let (words, _) = segment(WORDS_MIN + 100);
    assert!(matches!(Reader::open(&words[..WORDS_MIN]), Err(SegmentError::Malformed { .. })));
}

#[test]
fn an_entry_of_a_newer_catalogue_is_counted_and_skipped() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 0, "");
    let iterations = scope.local_counter(&EVENTLOOP_ITERATIONS, &[]);
    iterations.add(1);
    let entry = words
        .iter()
        .position(|word| {
            word.load(Ordering::Relaxed) as u16 == EVENTLOOP_ITERATIONS.id
                && word.load(Ordering::Relaxed) >> 40 & 1 == 1
        })
        .unwrap();
    words[entry].fetch_or(0xff00, Ordering::Relaxed);
    let contents = read(words);
    assert_eq!((contents.unknown_entries, contents.scopes[0].readings.len()), (1, 0));
}

#[test]
fn every_series_of_a_target_appears_once_even_where_loops_share_a_name_and_pools_a_process() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let loops = ["main", "worker", "worker", ""].into_iter().enumerate();
    let loops: Vec<_> =
        loops.map(|(index, name)| writer.open_scope(ScopeKind::Loop, index as u64, 0, name)).collect();
    let pools = [0, 1].map(|index| writer.open_scope(ScopeKind::Process, index, 0, ""));
    loops.iter().for_each(|scope| scope.local_counter(&EVENTLOOP_ITERATIONS, &[]).add(1));
    pools.iter().for_each(|scope| scope.gauge(&THREADPOOL_QUEUE_DEPTH, &[]).set(3));

    let mut snapshot = Snapshot::default();
    read(words).add_to(&mut snapshot, &SharedLabels::new([("service", "shop")]));
    let iterations = snapshot.series(&EVENTLOOP_ITERATIONS).iter();
    let names: Vec<_> = iterations.map(|series| series.label("loop").unwrap()).collect();
    assert_eq!(names, ["main", "worker", "worker-2", "3"]);
    let depths = snapshot.series(&THREADPOOL_QUEUE_DEPTH);
    assert_eq!(depths.iter().map(|series| &series.value).collect::<Vec<_>>(), [&Value::Gauge(6)]);
}

/// A scope that was opened between two steps of a reading once made the whole segment look malformed.
#[test]
fn scopes_that_open_while_a_segment_is_read_are_no_failure() {
    for _ in 0..20 {
        let (words, writer) = segment(WORDS_MIN + 10_000);
        let opening = std::thread::spawn(move || {
            let scopes = (0..400).map(|index| writer.open_scope(ScopeKind::Loop, index, 0, ""));
            scopes.inspect(|scope| scope.counter(&EVENTLOOP_ITERATIONS, &[]).add(1)).collect::<Vec<_>>()
        });
        while !opening.is_finished() {
            let _ = read(words);
        }
        let open = opening.join().unwrap();
        assert_eq!(read(words).scopes.len(), open.len());
    }
}

#[test]
fn series_of_a_runtime_carry_its_name() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let runtimes =
        [(1, "tokio"), (2, "io")].map(|(at, name)| writer.open_scope(ScopeKind::Runtime, at, 0, name));
    runtimes.iter().for_each(|scope| scope.gauge(&TOKIO_ALIVE_TASKS, &[]).set(5));
    let mut snapshot = Snapshot::default();
    read(words).add_to(&mut snapshot, &SharedLabels::new([("service", "shop")]));
    let names: Vec<_> =
        snapshot.series(&TOKIO_ALIVE_TASKS).iter().map(|series| series.label("runtime")).collect();
    assert_eq!(names, [Some("tokio"), Some("io")]);
}

#[test]
fn a_table_with_more_rows_than_any_writer_makes_is_refused() {
    let (words, _) = segment(WORDS_MIN + 1_000_000);
    words[7].store(32 << 32 | 100_000, Ordering::Relaxed);
    let read = Reader::open(words).unwrap().read(NOW);
    assert!(matches!(read, Err(SegmentError::Malformed { what: "directory", .. })), "{read:?}");
}

const SLOW_NS: u64 = 7;

/// An iteration whose every word follows from one number.
fn push(ring: &LocalSlowIterations, number: u64) {
    let mut phase_ns = [0; Phase::ALL.len()];
    (phase_ns[Phase::Timers as usize], phase_ns[Phase::Check as usize]) = (2 * number, number);
    ring.push(Monotonic::from_ns(number), Monotonic::from_ns(5 * number), &phase_ns);
}

/// The numbers of the iterations that are new, each of which is found to be whole.
fn take(words: &[AtomicU64], cursor: &mut SlowCursor) -> (Vec<u64>, SlowReading) {
    let reading = Reader::open(words).unwrap().slow_iterations(cursor, || NOW).unwrap();
    let numbers = reading.iterations.iter().map(|it| {
        let number = it.began.as_ns();
        let expected = vec![(Phase::Timers, 2 * number), (Phase::Check, number)];
        assert_eq!((it.ended.as_ns(), &it.phases), (5 * number, &expected), "{it:?}");
        number
    });
    (numbers.collect(), reading)
}

/// What is taken where nothing is new of the loops with these numbers.
fn nothing_of(loops: impl IntoIterator<Item = u64>) -> SlowReading {
    let loops = loops.into_iter().map(|index| TellingLoop { index, slow_ns: SLOW_NS }).collect();
    SlowReading { loops, ..SlowReading::default() }
}

#[test]
fn slow_iterations_are_read_once_in_their_order_with_their_loop() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let _quiet = writer.open_scope(ScopeKind::Loop, 0, 98, "main");
    let scope = writer.open_scope(ScopeKind::Loop, 1, 99, "main");
    let ring = scope.local_slow_iterations(SLOW_NS).unwrap();
    let mut cursor = SlowCursor::default();
    assert_eq!(take(words, &mut cursor).1, nothing_of([1]));
    (1..=3).for_each(|number| push(&ring, number));
    let (numbers, reading) = take(words, &mut cursor);
    assert_eq!((numbers, reading.missed, reading.refused), (vec![1, 2, 3], 0, 0));
    let first = &reading.iterations[0];
    assert_eq!((first.thread_id, first.loop_name.as_str()), (99, "main-1"), "as its series are called");
    assert_eq!(take(words, &mut cursor).1, nothing_of([1]));
    push(&ring, 4);
    assert_eq!(take(words, &mut cursor).0, [4]);
    // Another reader has a cursor of its own.
    assert_eq!(take(words, &mut SlowCursor::default()).0, [1, 2, 3, 4]);
}

#[test]
fn slow_iterations_that_were_overwritten_are_counted_by_whoever_was_reading() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 1, "main");
    let ring = scope.local_slow_iterations(SLOW_NS).unwrap();
    let mut cursor = SlowCursor::default();
    push(&ring, 1);
    take(words, &mut cursor);
    (2..=200).for_each(|number| push(&ring, number));
    let (numbers, reading) = take(words, &mut cursor);
    assert_eq!(numbers, (137..=200).collect::<Vec<_>>());
    assert_eq!(reading.missed, 135);
    // One who comes now has missed nothing.
    assert_eq!(take(words, &mut SlowCursor::default()).1.missed, 0);
}

#[test]
fn a_loop_that_takes_over_a_place_has_slow_iterations_of_its_own() {
    let (words, writer) = segment(WORDS_MIN + 2_000);
    let mut cursor = SlowCursor::default();
    for index in 0..20 {
        let scope = writer.open_scope(ScopeKind::Loop, index, index, "");
        let ring = scope.local_slow_iterations(SLOW_NS).expect("one ring serves them all");
        (0..=index).for_each(|number| push(&ring, number + 1));
        let (numbers, reading) = take(words, &mut cursor);
        assert_eq!(numbers, (1..=index + 1).collect::<Vec<_>>());
        assert!(
            reading.iterations.iter().all(|it| it.thread_id == index && it.loop_name == index.to_string())
        );
        drop(scope);
        assert_eq!(take(words, &mut cursor).1, nothing_of([index]), "they were read already");
    }
}

/// Loops with one counter and a ring.
fn telling_loop(writer: Writer, index: u64, name: &str) -> (Scope, LocalSlowIterations) {
    let scope = writer.open_scope(ScopeKind::Loop, index, 98, name);
    scope.local_counter(&EVENTLOOP_ITERATIONS, &[]).add(index);
    let ring = scope.local_slow_iterations(SLOW_NS).unwrap();
    (scope, ring)
}

/// The loops, open and closed, whose iterations can be read, with their numbers.
fn loops_there(words: &[AtomicU64]) -> Vec<(u64, u64)> {
    let scopes = Reader::open(words).unwrap().read_loops(&EVENTLOOP_ITERATIONS, NOW).unwrap().scopes;
    let count = |scope: &ScopeReading| match scope.readings[..] {
        [Reading { value: Value::Counter(count), .. }] => count,
        _ => panic!("one counter: {scope:?}"),
    };
    let mut loops: Vec<_> = scopes.iter().map(|scope| (scope.index, count(scope))).collect();
    loops.sort_unstable();
    loops
}

/// A loop that ended just before another began once lost its last iterations and its count.
#[test]
fn the_end_of_a_loop_can_be_read_when_others_have_begun() {
    let (words, writer) = segment(WORDS_MIN + 100_000);
    let mut cursor = SlowCursor::default();
    let (scope, ring) = telling_loop(writer, 3, "main");
    let _ = scope.local_histogram(&EVENTLOOP_LAG, &[]);
    take(words, &mut cursor);
    (1..=2).for_each(|number| push(&ring, number));
    drop((scope, ring));
    let (_next, ring) = telling_loop(writer, 4, "main");
    push(&ring, 3);
    let (numbers, reading) = take(words, &mut cursor);
    assert_eq!(numbers, [1, 2, 3]);
    assert!(reading.iterations.iter().all(|it| it.thread_id == 98 && it.loop_name == "main"));
    assert_eq!(reading.iterations.iter().map(|it| it.loop_index).collect::<Vec<_>>(), [3, 3, 4]);
    assert_eq!(take(words, &mut cursor).1, nothing_of([3, 4]), "each is read once");
    assert_eq!(loops_there(words), [(3, 3), (4, 4)]);
    // What is exported ends with the loop.
    let open = read(words).scopes;
    assert_eq!((open.len(), open[0].index), (1, 4));
}

#[test]
fn the_place_of_the_loop_that_closed_first_is_taken_first_and_only_when_half_of_the_segment_is_used() {
    let (words, writer) = segment(WORDS_MIN + 12_500);
    let open: Vec<_> = (0..5).map(|index| telling_loop(writer, index, "")).collect();
    let mut open: Vec<_> = open.into_iter().map(Some).collect();
    for at in [3, 0, 4, 1] {
        open[at] = None;
    }
    assert_eq!(loops_there(words).iter().map(|it| it.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let mut next = Vec::new();
    for (index, left) in [
        (5, vec![0, 1, 2, 4, 5]),
        (6, vec![1, 2, 4, 5, 6]),
        (7, vec![1, 2, 5, 6, 7]),
        (8, vec![2, 5, 6, 7, 8]),
    ] {
        next.push(telling_loop(writer, index, ""));
        assert_eq!(loops_there(words).iter().map(|it| it.0).collect::<Vec<_>>(), left);
    }
    // No closed one is left: there is room enough for more.
    next.push(telling_loop(writer, 9, ""));
    assert_eq!(read(words).scopes.len(), 6);
    assert_eq!(read(words).dropped_instruments, 0);
}

#[test]
fn a_closed_loop_is_called_as_its_series_were_last() {
    let (words, writer) = segment(WORDS_MIN + 100_000);
    let names = |cursor: &mut SlowCursor| {
        let reading = take(words, cursor).1;
        reading.iterations.into_iter().map(|it| (it.loop_index, it.loop_name)).collect::<Vec<_>>()
    };
    let expected = |names: &[(u64, &str)]| {
        names.iter().map(|&(index, name)| (index, name.to_owned())).collect::<Vec<_>>()
    };
    let (first, second) = (telling_loop(writer, 0, "worker"), telling_loop(writer, 1, "worker"));
    [&first, &second].iter().for_each(|it| push(&it.1, 1));
    drop(second);
    drop(first);
    // It never was beside the others.
    let third = telling_loop(writer, 2, "worker");
    push(&third.1, 1);
    drop(third);
    let fourth = telling_loop(writer, 3, "worker");
    push(&fourth.1, 1);
    let whole = expected(&[(0, "worker"), (1, "worker-1"), (2, "worker"), (3, "worker")]);
    assert_eq!(names(&mut SlowCursor::default()), whole);
}

#[test]
fn a_closed_loop_is_kept_until_64_others_have_closed_however_much_room_there_is() {
    let (words, writer) = segment(WORDS_MIN + 1_000_000);
    for index in 0..200 {
        drop(telling_loop(writer, index, ""));
        let there: Vec<_> = loops_there(words).iter().map(|it| it.0).collect();
        assert_eq!(there, (index.saturating_sub(63)..=index).collect::<Vec<_>>());
    }
}

/// A program that makes one loop after the other uses half of its segment, and no more with time.
#[test]
fn loops_one_after_the_other_do_not_fill_a_segment_and_the_last_of_them_can_be_read() {
    const LOOPS: u64 = 100_000;
    let (words, writer) = segment(WORDS_MIN + 50_000);
    let mut cursor = SlowCursor::default();
    let mut used = 0;
    for index in 0..LOOPS {
        let (scope, ring) = telling_loop(writer, index, "main");
        push(&ring, index + 1);
        if index % 1000 == 0 {
            let (numbers, _) = take(words, &mut cursor);
            assert_eq!(numbers.iter().max(), Some(&(index + 1)));
        }
        drop((scope, ring));
        match index {
            1_000 => used = writer.used_words(),
            1_001.. => assert_eq!(writer.used_words(), used, "loop {index}"),
            _ => {}
        }
    }
    assert!(used < WORDS_MIN + 30_000, "{used}");
    let there = loops_there(words);
    assert!((16..20).contains(&there.len()), "{there:?}");
    assert!(there.iter().all(|(index, count)| index == count && *index >= LOOPS - 20), "{there:?}");
    assert!(read(words).scopes.is_empty());
    assert_eq!(read(words).dropped_instruments, 0);
}

#[test]
fn closed_scopes_of_other_kinds_are_taken_over_at_once() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    for index in 0..100 {
        let scope = writer.open_scope(ScopeKind::Process, index, 0, "");
        scope.counter(&HEAP_ALLOCATIONS, &[]).add(index);
        expect_value(&read(words), &HEAP_ALLOCATIONS, &[], Value::Counter(index));
    }
    assert_eq!(writer.used_words(), WORDS_MIN + 1);
}

#[test]
fn threads_that_open_and_close_loops_never_share_a_place() {
    let (words, writer) = segment(WORDS_MIN + 60);
    std::thread::scope(|threads| {
        for thread in 0..4u64 {
            threads.spawn(move || {
                for number in 0..5_000 {
                    let scope = writer.open_scope(ScopeKind::Loop, 1 + 4 * number + thread, thread, "");
                    let iterations = scope.counter(&EVENTLOOP_ITERATIONS, &[]);
                    (0..10).for_each(|_| iterations.add(1));
                    assert_eq!(iterations.get(), 10);
                }
            });
        }
    });
    assert!(loops_there(words).iter().all(|it| it.1 == 10));
    assert!(writer.used_words() <= WORDS_MIN + 60);
    assert_eq!(read(words).dropped_instruments, 0);
}

/// The loops that are away, as of `now`.
fn away(words: &[AtomicU64], now: Monotonic) -> Vec<Away> {
    Reader::open(words).unwrap().away(|| now).unwrap()
}

#[test]
fn a_loop_is_away_from_when_its_poll_returned_until_it_polls_or_closes() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let (scope, ring) = telling_loop(writer, 3, "main");
    let (_quiet, _) = telling_loop(writer, 4, "");
    let since = Monotonic::from_ns(70);
    assert_eq!(away(words, NOW), []);
    ring.away_since(since);
    assert_eq!(away(words, NOW), [Away { thread_id: 98, loop_index: 3, since }]);
    assert_eq!(away(words, since).len(), 1);
    assert_eq!(away(words, Monotonic::from_ns(69)), [], "nobody is away since later than now");
    ring.not_away();
    assert_eq!(away(words, NOW), []);
    ring.away_since(since);
    drop(scope);
    assert_eq!(away(words, NOW), [], "it has closed");
}

/// How long each open loop has been away, in nanoseconds, of those that tell it.
fn away_ns(words: &[AtomicU64], now: Monotonic) -> Vec<(u64, i64)> {
    let scopes = Reader::open(words).unwrap().read(now).unwrap().scopes;
    let told = scopes.iter().filter_map(|scope| {
        let reading = scope.readings.iter().find(|it| it.metric.id == EVENTLOOP_AWAY.id)?;
        let Value::Gauge(ns) = reading.value else { panic!("a gauge: {reading:?}") };
        Some((scope.index, ns))
    });
    told.collect()
}

#[test]
fn how_long_a_loop_has_been_away_is_read_of_loops_with_a_ring_and_is_zero_in_the_poll() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let (scope, ring) = telling_loop(writer, 3, "main");
    let _without = writer.open_scope(ScopeKind::Loop, 4, 99, "worker-0");
    let _process = writer.open_scope(ScopeKind::Process, 0, 0, "");
    let at = Monotonic::from_ns;
    assert_eq!(away_ns(words, NOW), [(3, 0)]);
    ring.away_since(at(70));
    assert_eq!(away_ns(words, at(100)), [(3, 30)]);
    assert_eq!(away_ns(words, at(69)), [(3, 0)], "it has come back since");
    ring.not_away();
    assert_eq!(away_ns(words, NOW), [(3, 0)]);
    ring.away_since(at(70));
    drop(scope);
    assert_eq!(away_ns(words, NOW), [], "it has closed");
    let (_scope, _) = telling_loop(writer, 5, "");
    assert_eq!(away_ns(words, NOW), [(5, 0)]);
}

/// What the last writer of 1.1 made, word by word: a process with a loop that is open and two that have closed.
fn segment_of_1_1() -> Vec<AtomicU64> {
    let words: Vec<AtomicU64> = (0..WORDS_MIN + 20_000).map(|_| AtomicU64::new(0)).collect();
    for line in include_str!("fixtures/segment-1.1.txt").lines() {
        let (at, value) = line.split_once(' ').unwrap();
        words[at.parse::<usize>().unwrap()].store(value.parse().unwrap(), Ordering::Relaxed);
    }
    words
}

#[test]
fn a_segment_of_1_1_is_read_as_it_was_and_does_not_tell_who_is_away() {
    let words = segment_of_1_1();
    let reader = Reader::open(&words).unwrap();
    assert_eq!(reader.identity(), Identity { producer: "test 1.1".into(), ..identity() });
    let contents = reader.read(NOW).unwrap();
    let open: Vec<_> = contents.scopes.iter().map(|scope| (scope.kind, scope.name.as_str())).collect();
    assert_eq!(open, [(ScopeKind::Process, ""), (ScopeKind::Loop, "main")]);
    assert_eq!((contents.unknown_entries, contents.dropped_instruments), (0, 0));
    expect_value(&contents, &THREADPOOL_QUEUE_DEPTH, &[], Value::Gauge(2));
    expect_value(&contents, &EVENTLOOP_ITERATIONS, &[], Value::Counter(10));
    expect_value(&contents, &EVENTLOOP_LAG, &[], Value::Histogram(Histogram::from_ns([1_000_000])));

    // Of those that have closed it is not known which did so first.
    assert_eq!(loops_there(&words), [(0, 10), (1, 11), (2, 12)]);
    let scopes = reader.read_loops(&EVENTLOOP_ITERATIONS, NOW).unwrap().scopes;
    assert_eq!(scopes.iter().map(|scope| scope.closing).collect::<Vec<_>>(), [None, Some(0), Some(0)]);
    let mut cursor = SlowCursor::default();
    let (numbers, reading) = take(&words, &mut cursor);
    assert_eq!((numbers, reading.missed, reading.refused), (vec![1, 2, 3, 3], 0, 0));
    let names: Vec<_> = reading.iterations.iter().map(|it| it.loop_name.as_str()).collect();
    assert_eq!(names, ["main", "main", "worker", "worker-2"]);
    assert_eq!(take(&words, &mut cursor).1, nothing_of([0, 1, 2]));

    assert_eq!((away(&words, NOW), away_ns(&words, NOW)), (vec![], vec![]));
    // The word was reserved: whatever stands there tells nothing.
    let ring = (words[32 + 8 + 3].load(Ordering::Relaxed) >> 32) as usize;
    assert_eq!(words[ring].load(Ordering::Relaxed), 2, "two iterations of the loop that is open");
    words[ring + 2].store(70, Ordering::Relaxed);
    assert_eq!((away(&words, NOW), away_ns(&words, NOW)), (vec![], vec![]));
    // As 1.2 it would.
    words[1].store(1 << 32 | 2, Ordering::Relaxed);
    assert_eq!(away_ns(&words, Monotonic::from_ns(100)), [(0, 30)]);
}

#[test]
fn more_than_is_taken_at_a_first_look_is_not_missed_but_later_it_is() {
    let (words, writer) = segment(WORDS_MIN + 100_000);
    let mut cursor = SlowCursor::default();
    let loops: Vec<_> = (0..10).map(|index| telling_loop(writer, index, "")).collect();
    loops.iter().for_each(|(_, ring)| (1..=64).for_each(|number| push(ring, number)));
    let (numbers, reading) = take(words, &mut cursor);
    assert_eq!((numbers.len(), reading.missed), (512, 0));
    loops.iter().for_each(|(_, ring)| (1..=64).for_each(|number| push(ring, number)));
    let (numbers, reading) = take(words, &mut cursor);
    assert_eq!((numbers.len(), reading.missed), (512, 128));
}

#[test]
fn a_segment_without_room_has_no_slow_iterations_and_counts_that() {
    let (words, writer) = segment(WORDS_MIN + 100);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 1, "main");
    assert!(scope.local_slow_iterations(SLOW_NS).is_none());
    assert_eq!(read(words).dropped_instruments, 1);
    assert_eq!(take(words, &mut SlowCursor::default()).1, SlowReading::default());
}

/// A reader that believed a row which was just being written would tell times of two iterations as one.
#[test]
fn no_reader_sees_an_iteration_that_is_half_another() {
    const COUNT: u64 = 300_000;
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 1, "main");
    let mut cursor = SlowCursor::default();
    take(words, &mut cursor);
    let writing = std::thread::spawn(move || {
        let ring = scope.local_slow_iterations(SLOW_NS).unwrap();
        (1..=COUNT).for_each(|number| push(&ring, number));
        scope
    });
    let (mut last, mut seen, mut missed) = (0, 0, 0);
    while last < COUNT {
        let (numbers, reading) = take(words, &mut cursor);
        for number in numbers {
            assert!(number > last, "{number} after {last}");
            (last, seen) = (number, seen + 1);
        }
        assert_eq!(reading.refused, 0);
        missed += reading.missed;
    }
    let _scope = writing.join().unwrap();
    // What came before the reader saw the ring at all, it did not miss.
    assert!(seen > 0 && seen + missed <= COUNT, "{seen} seen, {missed} missed");
}

#[test]
fn slow_iterations_that_cannot_be_are_refused() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 1, "main");
    let ring = scope.local_slow_iterations(SLOW_NS).unwrap();
    let phases = [0; Phase::ALL.len()];
    let mut long = phases;
    (long[0], long[1]) = (u64::MAX, 2);
    let at = Monotonic::from_ns;
    ring.push(at(9), at(8), &phases);
    ring.push(at(9), NOW.plus_ns(1), &phases);
    ring.push(at(9), at(20), &long);
    push(&ring, 4);
    let (numbers, reading) = take(words, &mut SlowCursor::default());
    assert_eq!((numbers, reading.refused), (vec![4], 3));
    // A row that its writer has not finished, as if it had stopped there.
    push(&ring, 5);
    let is_row = |word: &&AtomicU64| word.load(Ordering::Relaxed) == 10;
    words[WORDS_MIN..].iter().find(is_row).unwrap().store(9, Ordering::Relaxed);
    let (numbers, reading) = take(words, &mut SlowCursor::default());
    assert_eq!((numbers, reading.missed, reading.refused), (vec![4], 1, 3));
}

#[test]
fn an_iteration_that_ends_while_the_ring_is_read_is_not_taken_for_a_lie() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 1, "main");
    let ring = scope.local_slow_iterations(SLOW_NS).unwrap();
    let clock = Cell::new(100);
    let mut cursor = SlowCursor::default();
    let mut take = || {
        let now = || {
            // One more ends, as late as can be: behind the rows, and just before the clock is read.
            clock.set(clock.get() + 50);
            push(&ring, clock.get() / 5);
            Monotonic::from_ns(clock.get())
        };
        let reading = Reader::open(words).unwrap().slow_iterations(&mut cursor, now).unwrap();
        (reading.iterations.iter().map(|it| it.ended.as_ns()).collect::<Vec<_>>(), reading.refused)
    };
    push(&ring, 20);
    assert_eq!(take(), (vec![100], 0));
    assert_eq!(take(), (vec![150], 0));
    assert_eq!(take(), (vec![200], 0));
}

#[test]
fn a_jump_that_no_loop_can_make_is_refused_and_not_counted_as_missed() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let scope = writer.open_scope(ScopeKind::Loop, 0, 1, "main");
    let ring = scope.local_slow_iterations(SLOW_NS).unwrap();
    let written = &words[(words[32 + 3].load(Ordering::Relaxed) >> 32) as usize];
    let mut cursor = SlowCursor::default();
    take(words, &mut cursor);
    for _ in 0..3 {
        written.store(u64::MAX, Ordering::Relaxed);
        let (numbers, reading) = take(words, &mut cursor);
        assert_eq!((numbers, reading.missed, reading.refused), (vec![], 0, 1));
        written.store(0, Ordering::Relaxed);
        assert_eq!(take(words, &mut cursor).1, nothing_of([0]));
    }
    // It goes on as soon as the ring can be believed.
    push(&ring, 7);
    let (numbers, reading) = take(words, &mut cursor);
    assert_eq!((numbers, reading.missed, reading.refused), (vec![7], 0, 0));
}

#[test]
fn a_ring_that_lies_outside_the_segment_is_refused_and_the_others_are_read() {
    let (words, writer) = segment(WORDS_MIN + 10_000);
    let scopes = [0, 1].map(|index| writer.open_scope(ScopeKind::Loop, index, 1, ""));
    let rings = scopes.each_ref().map(|scope| scope.local_slow_iterations(SLOW_NS).unwrap());
    rings.iter().for_each(|ring| push(ring, 7));
    let place = &words[32 + 3];
    let honest = place.load(Ordering::Relaxed);
    for lie in [
        (words.len() as u64) << 32 | honest & 0xffff_ffff,
        honest & !0xffff,
        honest & !0xffff_0000,
        honest | 0xffff_ffff,
        1,
    ] {
        place.store(lie, Ordering::Relaxed);
        let (numbers, reading) = take(words, &mut SlowCursor::default());
        assert_eq!((numbers, reading.refused), (vec![7], 1), "{lie:#x}");
    }
    // A writer that claims to have written more than can be.
    place.store(honest, Ordering::Relaxed);
    words[(honest >> 32) as usize].store(u64::MAX, Ordering::Relaxed);
    let (numbers, reading) = take(words, &mut SlowCursor::default());
    assert_eq!((numbers, reading.missed), (vec![7], 64));
}

proptest! {
    /// Any words at all: an error or a bounded answer, never a panic.
    #[test]
    fn hostile_words_are_survived(changes in prop::collection::vec((0..3000usize, any::<u64>()), 0..40), small in prop::collection::vec((0..3000usize, 0..70_000u64), 0..40), later in prop::collection::vec((0..3usize, prop_oneof![any::<u64>(), Just(0), Just(u64::MAX)]), 1..6)) {
        let (words, writer) = segment(WORDS_MIN + 4_000);
        let scope = writer.open_scope(ScopeKind::Loop, 0, 0, "main");
        let _ = (scope.local_histogram(&EVENTLOOP_LAG, &[]), scope.local_counter(&EVENTLOOP_ITERATIONS, &[]));
        let _ = scope.local_slow_iterations(SLOW_NS);
        let ring = (words[32 + 3].load(Ordering::Relaxed) >> 32) as usize;
        // The header, the first scopes and the first entries are where a lie can do harm.
        let directory = 32 + 512 * 8;
        for (at, value) in changes.into_iter().chain(small) {
            let word = if at < 1000 { at % 32 } else if at < 2000 { 32 + at % 64 } else { directory + at % 16 };
            words[word].store(value, Ordering::Relaxed);
        }
        if let Ok(reader) = Reader::open(words) {
            let _ = reader.identity();
            let _ = reader.read(NOW);
            let mut cursor = SlowCursor::default();
            for (at, value) in later {
                let _ = (reader.slow_iterations(&mut cursor, || NOW), reader.away(|| NOW));
                let _ = reader.read_loops(&EVENTLOOP_ITERATIONS, NOW);
                words[ring + at].store(value, Ordering::Relaxed);
            }
        }
    }
}
