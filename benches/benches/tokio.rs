//! What measuring a tokio runtime costs it: parking and coming back, and spawning a task and waiting for it, on runtimes of
//! the current thread with and without our hooks, and beside the task monitor of `tokio-metrics`.
//!
//! Run with `cargo bench -p loopscope-benches --bench tokio`.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

use loopscope_benches::{Contender, alternate, table};
use tokio::runtime::{Builder, Runtime};
use tokio_metrics::TaskMonitor;

const ROUNDS: usize = 60;
const PARKS: u64 = 50_000;
const TASKS: u64 = 50_000;

fn main() {
    println!("{}", table("Parking once and coming back", &alternate(parks(), ROUNDS, PARKS)));
    println!("{}", table("Spawning a task and waiting for it", &alternate(tasks(), ROUNDS, TASKS)));
}

thread_local! {
    static WAITS: RefCell<Option<Waker>> = const { RefCell::new(None) };
}

/// A hook that wakes whoever waits: the runtime looks at its driver once, without waiting, and comes back.
fn wake() {
    WAITS.with_borrow(|waits| waits.iter().for_each(Waker::wake_by_ref));
}

fn bare() -> Runtime {
    Builder::new_current_thread().on_thread_park(wake).build().expect("a runtime")
}

fn hooked() -> Runtime {
    let options = loopscope_tokio::Builder::new().name("bench").on_thread_park(wake);
    options.build(&mut Builder::new_current_thread()).expect("a runtime")
}

fn parks() -> Vec<Contender<'static>> {
    let run = |runtime: Runtime| move |n| runtime.block_on(park(n));
    vec![Contender::new("tokio", run(bare())), Contender::new("loopscope-tokio", run(hooked()))]
}

async fn park(times: u64) {
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        WAITS.set(Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
}

fn tasks() -> Vec<Contender<'static>> {
    let (plain, ours, monitored) = (bare(), hooked(), bare());
    let monitor = TaskMonitor::new();
    vec![
        Contender::new("tokio", move |n| {
            plain.block_on(async {
                for _ in 0..n {
                    tokio::spawn(async {}).await.expect("it ends");
                }
            });
        }),
        Contender::new("loopscope-tokio", move |n| {
            ours.block_on(async {
                for _ in 0..n {
                    tokio::spawn(async {}).await.expect("it ends");
                }
            });
        }),
        Contender::new("tokio-metrics, task monitor", move |n| {
            monitored.block_on(async {
                for _ in 0..n {
                    tokio::spawn(monitor.instrument(async {})).await.expect("it ends");
                }
            });
        }),
    ]
}
