//! What runs again and again needs no memory after it has warmed up.

mod support;

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use loopscope_runtime::alloc::{CountingAllocator, counts};
use loopscope_runtime::{EventLoop, RunMode};
use support::in_child;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// The test harness's own thread may allocate a little meanwhile.
const OTHERS: u64 = 50;

const TIMES: u32 = 3000;

/// Allocations while `run` runs, the second time.
fn allocations(mut run: impl FnMut()) -> u64 {
    run();
    let before = counts().allocations;
    run();
    counts().allocations - before
}

#[test]
fn waking_a_task_does_not_allocate() {
    in_child("waking_a_task_does_not_allocate", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let allocated = allocations(|| {
            let left = Cell::new(TIMES);
            event_loop.block_on(poll_fn(move |context| {
                left.set(left.get() - 1);
                context.waker().wake_by_ref();
                if left.get() == 0 { Poll::Ready(()) } else { Poll::Pending }
            }));
        });
        assert!(allocated < OTHERS, "{allocated}");
    });
}

#[test]
fn timeouts_that_are_refreshed_and_run_do_not_allocate() {
    in_child("timeouts_that_are_refreshed_and_run_do_not_allocate", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let left = Rc::new(Cell::new(0));
        let counted = Rc::clone(&left);
        let long = event_loop.set_timeout(3_600_000.0, |_, _| {});
        long.unreference();
        let refreshed = long.clone();
        let short = event_loop.set_timeout(1.0, move |_, timeout| {
            (0..TIMES).for_each(|_| refreshed.refresh());
            counted.set(counted.get() - 1);
            if counted.get() > 0 {
                timeout.refresh();
            }
        });
        event_loop.run(RunMode::NoWait);
        let allocated = allocations(|| {
            left.set(5);
            short.refresh();
            event_loop.run(RunMode::Default);
        });
        assert!(allocated < OTHERS, "{allocated}");
    });
}

#[test]
fn a_slow_iteration_is_kept_without_allocating() {
    in_child("a_slow_iteration_is_kept_without_allocating", &[], || {
        let event_loop = EventLoop::builder().slow_iteration(Duration::ZERO).build().unwrap();
        let left = Rc::new(Cell::new(0));
        let counted = Rc::clone(&left);
        let idle = loopscope_runtime::Idle::new(&event_loop);
        idle.start(move |event_loop, _| {
            counted.set(counted.get() - 1);
            if counted.get() == 0 {
                event_loop.stop();
            }
        })
        .unwrap();
        let allocated = allocations(|| {
            left.set(TIMES);
            event_loop.run(RunMode::Default);
        });
        assert!(allocated < OTHERS, "{allocated}");
        assert_eq!(event_loop.slow_iterations().len(), 32);
    });
}
