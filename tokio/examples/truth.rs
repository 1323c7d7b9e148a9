//! A program on tokio that blocks its workers and uses its blocking pool by a plan, and tells what it did by its own clock.
//!
//! `cargo run -p loopscope-tokio --example truth hooked`, or `observed`, or `hooked probed`, which also probes the blocking pool: then each line `go` does everything once and
//! prints what was done as one line of JSON.
#![expect(clippy::print_stdout, reason = "it is told what it did")]

use std::error::Error;
use std::io::{BufRead, stdin};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use loopscope_tokio::{Builder, CountingAllocator};
use tokio::runtime::{self, Runtime};
use tokio::sync::Semaphore;
use tokio::time::sleep;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// How long tasks block the only worker, in milliseconds. Long, so that also samples see them.
const BLOCKS: [u64; 5] = [250, 300, 350, 400, 450];

/// Jobs at a time; half of them wait for the other half.
const JOBS: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    loopscope_tokio::process::set_service_name("truthful");
    let mut options = runtime::Builder::new_multi_thread();
    options.enable_all().worker_threads(1).max_blocking_threads(4);
    let runtime = if std::env::args().nth(1).as_deref() == Some("observed") {
        let runtime = options.build()?;
        loopscope_tokio::publish_named(runtime.handle(), "truth")?;
        runtime
    } else {
        let mut builder = Builder::new().name("truth");
        if std::env::args().nth(2).as_deref() == Some("probed") {
            builder = builder.probe_blocking_pool(Duration::from_millis(200));
        }
        builder.build(&mut options)?
    };
    println!("ready");
    for line in stdin().lock().lines() {
        if line?.trim() == "go" {
            println!("{}", everything(&runtime)?);
        }
    }
    Ok(())
}

fn everything(runtime: &Runtime) -> Result<serde_json::Value, Box<dyn Error>> {
    let blocked = runtime.block_on(runtime.spawn(async {
        let mut blocked = Duration::ZERO;
        for ms in BLOCKS {
            blocked += block(ms);
            sleep(Duration::from_millis(250)).await;
        }
        blocked
    }))?;
    // The jobs take turns on the pool's threads, whose number is half of theirs.
    let started = Arc::new(Semaphore::new(0));
    let submitted = Instant::now();
    let jobs: Vec<_> = (0..JOBS)
        .map(|_| {
            let started = Arc::clone(&started);
            loopscope_tokio::spawn_blocking_on(runtime.handle(), move || {
                let waited = submitted.elapsed();
                started.add_permits(1);
                (waited, block(100))
            })
        })
        .collect();
    let (mut waited, mut ran) = (Duration::ZERO, Duration::ZERO);
    for job in jobs {
        let told = runtime.block_on(job)?;
        (waited, ran) = (waited + told.0, ran + told.1);
    }
    Ok(serde_json::json!({
        "blocks": BLOCKS.len(),
        "blocked": blocked.as_secs_f64(),
        "jobs": started.available_permits(),
        "waited": waited.as_secs_f64(),
        "ran": ran.as_secs_f64(),
    }))
}

fn block(ms: u64) -> Duration {
    let begin = Instant::now();
    thread::sleep(Duration::from_millis(ms));
    begin.elapsed()
}
