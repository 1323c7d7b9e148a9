//! A program whose allocator waits for something else to publish.

use loopscope_runtime::EventLoop;
use loopscope_runtime::alloc::{CountingAllocator, counts};
use loopscope_runtime::observe::publish::contents;
use model::catalogue::HEAP_ALLOCATED_BYTES;
use model::snapshot::Value;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::waiting();

fn publishes() -> bool {
    std::fs::read_to_string("/proc/self/maps").unwrap().contains("/memfd:loopscope")
}

// One test, for both parts of it are about the whole process.
#[test]
fn nothing_is_published_before_a_loop_is_made_and_nothing_is_forgotten_after() {
    const EARLY_BYTES: u64 = 10_000_000;
    drop(std::hint::black_box(vec![1u8; EARLY_BYTES as usize]));
    assert!(!publishes());
    assert!(counts().allocated_bytes >= EARLY_BYTES);

    let _event_loop = EventLoop::new().unwrap();
    // The first allocation of a thread after that claims a shard and moves in what was counted before.
    drop(std::hint::black_box(vec![1u8; 100]));
    assert!(publishes());
    let scopes = contents().scopes;
    let readings = scopes.iter().flat_map(|scope| &scope.readings);
    let allocated =
        readings.into_iter().find(|reading| reading.metric.id == HEAP_ALLOCATED_BYTES.id).unwrap();
    assert!(matches!(allocated.value, Value::Counter(bytes) if bytes >= EARLY_BYTES), "{allocated:?}");
}
