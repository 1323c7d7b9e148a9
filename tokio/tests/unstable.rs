//! What only a build with `--cfg tokio_unstable` tells:
//! `RUSTFLAGS="--cfg tokio_unstable" cargo test -p loopscope-tokio --target-dir target/tokio-unstable`.
#![cfg(tokio_unstable)]

mod support;

use std::sync::mpsc;
use std::time::Duration;

use model::catalogue::{
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_THREADS, TOKIO_FORCED_YIELDS, TOKIO_LOCAL_QUEUE_DEPTH,
    TOKIO_LOCAL_SCHEDULES, TOKIO_NOOPS, TOKIO_POLL_TIME, TOKIO_POLLS, TOKIO_REMOTE_SCHEDULES,
    TOKIO_SPAWNED_TASKS,
};
use support::{MS, Of, block, hooked, let_sample, multi, wait_until};
use tokio::runtime::{HistogramConfiguration, LogHistogram};

#[test]
fn tasks_polls_and_schedules_are_counted_and_rest() {
    let mut options = multi(1);
    let histogram = HistogramConfiguration::log(LogHistogram::builder().max_error(0.1).build());
    options.enable_metrics_poll_time_histogram().metrics_poll_time_histogram_configuration(histogram);
    let runtime = hooked("counts", options);
    let of = Of::Runtime("counts");
    let count = |metric| of.counter(metric, &[]);
    let_sample();
    let before =
        [&TOKIO_SPAWNED_TASKS, &TOKIO_POLLS, &TOKIO_REMOTE_SCHEDULES, &TOKIO_LOCAL_SCHEDULES].map(count);
    assert_eq!(before[0], 0, "ours is left out");
    let polls = of.histogram(&TOKIO_POLL_TIME, &[]);
    // Ten polls of 20 ms from outside, each spawning one task from within.
    for _ in 0..10 {
        let inner = runtime.spawn(async {
            block(20);
            let inner = tokio::spawn(async {});
            inner.await
        });
        runtime.block_on(inner).unwrap().unwrap();
    }
    wait_until("all are counted", || count(&TOKIO_SPAWNED_TASKS) == 20);
    let_sample();
    let after =
        [&TOKIO_SPAWNED_TASKS, &TOKIO_POLLS, &TOKIO_REMOTE_SCHEDULES, &TOKIO_LOCAL_SCHEDULES].map(count);
    // Each outer task is polled twice. A task that a worker runs right behind the one that woke it belongs to its poll.
    assert!((10..=30).contains(&(after[1] - before[1])), "{before:?} {after:?}");
    assert!(after[2] - before[2] >= 10 && after[3] - before[3] >= 10, "{before:?} {after:?}");
    let polls = of.histogram(&TOKIO_POLL_TIME, &[]).since(&polls).unwrap();
    assert_eq!(polls.count(), after[1] - before[1]);
    assert!((180 * MS..300 * MS).contains(&polls.sum_ns()), "{polls:?}");
    let_sample();
    assert_eq!(
        [&TOKIO_SPAWNED_TASKS, &TOKIO_POLLS, &TOKIO_REMOTE_SCHEDULES, &TOKIO_LOCAL_SCHEDULES].map(count),
        after
    );
    assert_eq!(of.gauge(&TOKIO_LOCAL_QUEUE_DEPTH, &[]), 0);
    assert!(of.value(&TOKIO_NOOPS, &[]).is_some() && of.value(&TOKIO_FORCED_YIELDS, &[]).is_some());
}

#[test]
fn the_pool_is_seen_as_a_whole() {
    let mut options = multi(1);
    options.max_blocking_threads(2).thread_keep_alive(Duration::from_millis(50));
    let runtime = hooked("pool", options);
    let gate: Vec<_> = (0..2)
        .map(|_| {
            let (hold, held) = mpsc::channel::<()>();
            // Bare: no job of ours.
            runtime.handle().spawn_blocking(move || held.recv().is_err());
            hold
        })
        .collect();
    let waiting = loopscope_tokio::spawn_blocking_on(runtime.handle(), || ());
    let depth = || Of::Process.value(&THREADPOOL_QUEUE_DEPTH, &[]);
    let busy = || Of::Process.value(&THREADPOOL_THREADS, &["busy"]);
    wait_until("one waits for two", || format!("{:?}{:?}", depth(), busy()).contains("Gauge(1)"));
    drop(gate);
    runtime.block_on(waiting).unwrap();
    wait_until("the queue is empty", || format!("{:?}", depth()).contains("Gauge(0)"));
}
