//! A program to be profiled: `workload THREADS SECONDS REPORT`.
//!
//! Each thread burns SECONDS of CPU time in a stack of some twenty frames, compiled without frame pointers. Before it ends it
//! writes to the file REPORT, in one line: its own CPU time, the CPU time so far of its parent (the profiler that
//! launched it), and the time of day; all in nanoseconds.

use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use loopscope_benches::{process_cpu_ns, program_cpu_ns, thread_cpu_ns};

const DEPTH: u32 = 16;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().expect("usage: workload THREADS SECONDS REPORT");
    let threads: u32 = argument().parse().expect("THREADS is a number");
    let seconds: u64 = argument().parse().expect("SECONDS is a number");
    let report = argument();

    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while thread_cpu_ns() < seconds * 1_000_000_000 {
                    black_box(descend(DEPTH, black_box(1)));
                }
            });
        }
    });

    let parent = process_cpu_ns(std::os::unix::process::parent_id()).unwrap_or(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    std::fs::write(report, format!("{} {parent} {}\n", program_cpu_ns(), now.as_nanos()))
        .expect("REPORT can be written");
}

#[inline(never)]
fn descend(depth: u32, value: u64) -> u64 {
    let seed = if depth == 0 { mix(value) + divide(value) } else { descend(depth - 1, value + 1) };
    // Work after the call, so that no frame is optimized away.
    black_box(seed) ^ u64::from(depth)
}

#[inline(never)]
fn mix(mut value: u64) -> u64 {
    for _ in 0..2_000 {
        value = black_box(value.rotate_left(5) ^ 0x9e37_79b9_7f4a_7c15);
    }
    value
}

#[inline(never)]
fn divide(mut value: u64) -> u64 {
    for divisor in 1..500 {
        value = black_box(value | 1 << 60) / divisor + 1;
    }
    value
}
