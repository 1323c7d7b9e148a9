//! The counting allocator against the truth: an allocator below it that counts in the simplest way there is.

mod support;

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use loopscope_runtime::alloc::{CountingAllocator, Counts, counts};
use loopscope_runtime::observe::publish;
use model::catalogue::*;
use model::snapshot::Value;
use support::{in_child, wait_until};

#[global_allocator]
static ALLOCATOR: CountingAllocator<sys::Truth> = CountingAllocator::over(sys::Truth);

mod sys {
    #![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait")]

    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    /// Bytes allocated, bytes freed, allocations, releases.
    pub(crate) static TRUTH: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

    pub(crate) struct Truth;

    fn add(side: usize, bytes: usize) {
        TRUTH[side].fetch_add(bytes as u64, SeqCst);
        TRUTH[side + 2].fetch_add(1, SeqCst);
    }

    // SAFETY: everything is passed on to the system's allocator.
    unsafe impl GlobalAlloc for Truth {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            add(0, layout.size());
            // SAFETY: the contract is the same.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            add(1, layout.size());
            // SAFETY: the contract is the same.
            unsafe { System.dealloc(memory, layout) }
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            add(1, layout.size());
            add(0, new_size);
            // SAFETY: the contract is the same.
            unsafe { System.realloc(memory, layout, new_size) }
        }
    }
}

/// The whole life of the process, from before `main` until now, without the loss of a byte. Another thread, such as the
/// test harness's, may be caught between its truth and its count: it gets there.
fn expect_exact() {
    let truth = || {
        let [allocated_bytes, freed_bytes, allocations, releases] =
            [0, 1, 2, 3].map(|cell: usize| sys::TRUTH[cell].load(SeqCst));
        Counts { allocated_bytes, freed_bytes, allocations, releases }
    };
    wait_until("the counts are the truth", || counts() == truth());
}

/// But for the little that the test harness's own thread may allocate meanwhile.
fn expect_about(found: u64, expected: u64) {
    assert!(found.abs_diff(expected) < 2000, "{found}, not {expected}");
}

fn churn(times: usize) {
    for size in (1..=times).map(|n| n % 700 + 1) {
        let mut bytes = black_box(vec![1u8; size]);
        bytes.extend_from_slice(&[2; 300]);
        black_box(vec![0u64; size]);
    }
}

/// Allocates in its destructor, and leaves what it frees to another.
struct AllocatesWhenDropped;

impl Drop for AllocatesWhenDropped {
    fn drop(&mut self) {
        churn(10);
        black_box(vec![0u8; 1000].leak());
    }
}

thread_local! {
    static LATE: AllocatesWhenDropped = const { AllocatesWhenDropped };
}

#[test]
fn every_allocation_since_the_beginning_is_counted() {
    in_child("every_allocation_since_the_beginning_is_counted", &[], || {
        churn(1000);
        expect_exact();
        assert!(counts().allocations > 2000 && counts().releases > 2000);
    });
}

#[test]
fn counting_goes_on_where_telemetry_is_off() {
    in_child("counting_goes_on_where_telemetry_is_off", &[("LOOPSCOPE_TELEMETRY", "off")], || {
        churn(1000);
        expect_exact();
    });
}

#[test]
fn a_reallocation_is_one_allocation_and_one_release() {
    in_child("a_reallocation_is_one_allocation_and_one_release", &[], || {
        const TIMES: u64 = 10_000;
        let before = counts();
        let mut bytes: Vec<u8> = Vec::with_capacity(1);
        (0..TIMES).for_each(|_| bytes.reserve_exact(black_box(bytes.capacity() + 1)));
        let after = counts();
        expect_about(after.allocations - before.allocations, TIMES + 1);
        expect_about(after.releases - before.releases, TIMES);
        expect_exact();
    });
}

#[test]
fn threads_that_come_and_go_lose_nothing_even_in_their_destructors() {
    in_child("threads_that_come_and_go_lose_nothing_even_in_their_destructors", &[], || {
        for _ in 0..200 {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    thread::spawn(|| {
                        LATE.with(|_| churn(50));
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        expect_exact();
    });
}

#[test]
fn more_threads_than_shards_lose_nothing() {
    in_child("more_threads_than_shards_lose_nothing", &[], || {
        const THREADS: usize = 1100;
        let (all_run, all_done) = (Barrier::new(THREADS), Barrier::new(THREADS));
        thread::scope(|scope| {
            let threads = (0..THREADS).map(|_| {
                let small = thread::Builder::new().stack_size(64 * 1024);
                let body = || {
                    churn(1);
                    all_run.wait();
                    churn(50);
                    all_done.wait();
                };
                small.spawn_scoped(scope, body).unwrap()
            });
            // Joined, since a scope ends when its threads' closures do, and a thread frees memory after that.
            threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        });
        expect_exact();
    });
}

#[test]
fn memory_freed_by_another_thread_is_counted_once() {
    in_child("memory_freed_by_another_thread_is_counted_once", &[], || {
        let there = thread::spawn(|| vec![7u8; 1 << 20]).join().unwrap();
        let with = counts();
        drop(there);
        let without = counts();
        expect_about(without.freed_bytes - with.freed_bytes, 1 << 20);
        expect_about(without.allocated_bytes - with.allocated_bytes, 0);
        expect_exact();
    });
}

/// The heap's rows as a reader sees them: allocated bytes, freed bytes, allocations, live bytes, live objects.
fn published() -> [i64; 5] {
    let contents = publish::contents();
    let readings: Vec<_> = contents.scopes.iter().flat_map(|scope| &scope.readings).collect();
    let metrics: [&Metric; 5] =
        [&HEAP_ALLOCATED_BYTES, &HEAP_FREED_BYTES, &HEAP_ALLOCATIONS, &HEAP_LIVE_BYTES, &HEAP_LIVE_OBJECTS];
    metrics.map(|metric| {
        match readings.iter().find(|reading| reading.metric.id == metric.id).map(|reading| &reading.value) {
            Some(Value::Counter(sum)) => *sum as i64,
            Some(Value::Gauge(level)) => *level,
            other => panic!("{}: {other:?}", metric.name),
        }
    })
}

#[test]
fn the_heap_metrics_move_with_the_heap_and_rest_without() {
    in_child("the_heap_metrics_move_with_the_heap_and_rest_without", &[], || {
        let before = published();
        let held = black_box(vec![1u8; 30_000_000]);
        let with = published();
        let moved = [0, 1, 3].map(|row| with[row] - before[row]);
        // Reading itself allocates a few thousand bytes, and frees them again.
        assert!((30_000_000..30_100_000).contains(&moved[0]), "allocated: {moved:?}");
        assert!((0..100_000).contains(&moved[1]), "freed: {moved:?}");
        expect_about(moved[2] as u64, 30_000_000);
        assert!(with[2] > before[2], "allocations: {before:?} {with:?}");

        let many: Vec<_> = (0..1000).map(|n| Box::new(black_box(n))).collect();
        expect_about((published()[4] - with[4]) as u64, 1001);
        drop((held, many));
        let after = published();
        expect_about(after[3].abs_diff(before[3]), 0);
        expect_about(after[4].abs_diff(before[4]), 0);
    });
}
