//! A program on tokio that spends its time in one function, for whoever looks at it with a profiler.
//!
//! `cargo run -p loopscope-tokio --example busy`: prints `ready`, and is busy for half of its time until its standard input ends.
#![expect(clippy::print_stdout, reason = "it tells that it is ready")]

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, stdin};
use std::time::{Duration, Instant};

use loopscope_tokio::Builder;
use tokio::runtime;
use tokio::time::sleep;

const BUSY: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    loopscope_tokio::process::set_service_name("busy-service");
    let mut options = runtime::Builder::new_multi_thread();
    let runtime = Builder::new().name("busy").build(options.enable_all().worker_threads(1))?;
    runtime.spawn(async {
        loop {
            reckon();
            sleep(BUSY).await;
        }
    });
    println!("ready");
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[inline(never)]
fn reckon() {
    let begin = Instant::now();
    while begin.elapsed() < BUSY {
        for number in 0..10_000u64 {
            black_box(number * number);
        }
    }
}
