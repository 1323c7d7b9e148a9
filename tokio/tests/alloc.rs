//! Recording allocates nothing once it is warm. Alone in its process: the allocator counts for all threads.

mod support;

use std::time::Duration;

use loopscope_tokio::CountingAllocator;
use loopscope_tokio::alloc::counts;
use model::catalogue::{EVENTLOOP_ITERATIONS, HEAP_ALLOCATIONS};
use support::{Of, hooked, let_sample, single};
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

#[test]
fn neither_hooks_nor_sampler_allocate_and_the_heap_is_published() {
    let runtime = hooked("quiet", single());
    let main = Of::Loop("quiet-worker-0");
    runtime.block_on(async {
        sleep(Duration::from_millis(5)).await;
        let_sample();
        let before = main.counter(&EVENTLOOP_ITERATIONS, &[]);
        let allocations = counts().allocations;
        for _ in 0..200 {
            sleep(Duration::from_millis(2)).await;
        }
        let allocated = counts().allocations - allocations;
        assert_eq!(allocated, 0);
        assert!(main.counter(&EVENTLOOP_ITERATIONS, &[]) >= before + 200);
    });
    assert!(Of::Process.counter(&HEAP_ALLOCATIONS, &[]) > 0);
}
