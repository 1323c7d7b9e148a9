//! A program to be scraped: a loop with a timer and a pool task now and then, and a counting allocator. It ends when its
//! standard input does.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use runtime::alloc::CountingAllocator;
use runtime::{EventLoop, RunMode, TaskKind, Timer};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const KINDS: [TaskKind; 3] = [TaskKind::Fs, TaskKind::Crypto, TaskKind::Work];

fn main() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let event_loop = EventLoop::builder().name("main").build().expect("a loop");
    let timer = Timer::new(&event_loop);
    let ticks = Cell::new(0u32);
    let tick = move |event_loop: &EventLoop, _: &Timer| {
        let tick = ticks.get();
        ticks.set(tick + 1);
        // Hundreds of targets share one machine: after the first ticks, one in forty is enough.
        if tick < 40 || tick.is_multiple_of(40) {
            spin(tick);
            let kind = KINDS[tick as usize % KINDS.len()];
            event_loop.queue_work(kind, move || spin(tick), |_, _| ());
        }
    };
    timer
        .start_repeating(Duration::from_millis(50), Duration::from_millis(50), tick)
        .expect("an open handle");
    event_loop.run(RunMode::Default);
}

/// Takes a time that varies, so that histograms have more than one bucket.
fn spin(seed: u32) {
    for step in 0..1_000u32 << (seed % 8) {
        black_box(step);
    }
}
