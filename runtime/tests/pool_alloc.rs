//! Measuring the pool does not allocate: a task costs as many allocations with instruments as without.

mod support;

use loopscope_runtime::alloc::{CountingAllocator, counts};
use loopscope_runtime::pool::Pool;
use loopscope_runtime::{EventLoop, RunMode, TaskKind};
use support::in_child;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const TASKS: u64 = 2000;

/// Allocations of `TASKS` tasks, one after the other, after warm-up.
fn allocations(instruments: bool) -> u64 {
    let pool = Pool::builder().threads(1).instruments(instruments).build().unwrap();
    let event_loop = EventLoop::builder().instruments(instruments).pool(&pool).build().unwrap();
    let run = |tasks| {
        for _ in 0..tasks {
            event_loop.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
            event_loop.run(RunMode::Default);
        }
    };
    run(100);
    let before = counts().allocations;
    run(TASKS);
    counts().allocations - before
}

#[test]
fn recording_a_task_does_not_allocate() {
    in_child("recording_a_task_does_not_allocate", &[], || {
        let (without, with) = (allocations(false), allocations(true));
        // Two a task: what is parked with the loop, and what goes to the pool and comes back.
        assert!((2 * TASKS..2 * TASKS + 50).contains(&without), "{without}");
        // The test harness's own thread may add a few to either.
        assert!(with.abs_diff(without) < 50, "{with} with instruments, {without} without");
    });
}
