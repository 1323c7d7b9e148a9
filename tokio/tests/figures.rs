//! What tokio tells of a runtime: each figure moves, and rests.

mod support;

use std::sync::Arc;
use std::time::Duration;

use model::catalogue::{
    TOKIO_ALIVE_TASKS, TOKIO_BUSY, TOKIO_GLOBAL_QUEUE_DEPTH, TOKIO_GLOBAL_QUEUE_DEPTH_MAX, TOKIO_PARKS,
    TOKIO_UNPARKS, TOKIO_WORKERS,
};
use support::{Of, block, expect_near, hooked, let_sample, multi, wait_until};
use tokio::sync::Notify;
use tokio::time::sleep;

#[test]
fn alive_tasks_are_the_program_s() {
    let runtime = hooked("tasks", multi(2));
    let alive = || Of::Runtime("tasks").gauge(&TOKIO_ALIVE_TASKS, &[]);
    assert_eq!(alive(), 0, "ours is left out");
    let end = Arc::new(Notify::new());
    for _ in 0..7 {
        let end = Arc::clone(&end);
        runtime.spawn(async move { end.notified().await });
    }
    wait_until("seven tasks live", || alive() == 7);
    wait_until("they have ended", || {
        end.notify_waiters();
        alive() == 0
    });
}

#[test]
fn the_global_queue_fills_while_the_workers_are_blocked_and_its_peak_is_remembered() {
    let runtime = hooked("queue", multi(1));
    let queue = Of::Runtime("queue");
    let (hold, held) = std::sync::mpsc::channel::<()>();
    runtime.spawn(async move { held.recv().is_err() });
    let_sample();
    let tasks: Vec<_> = (0..25).map(|_| runtime.spawn(async {})).collect();
    wait_until("they wait", || queue.gauge(&TOKIO_GLOBAL_QUEUE_DEPTH, &[]) == 25);
    drop(hold);
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
    wait_until("none waits", || queue.gauge(&TOKIO_GLOBAL_QUEUE_DEPTH, &[]) == 0);
    assert_eq!(queue.gauge(&TOKIO_GLOBAL_QUEUE_DEPTH_MAX, &[]), 25);
}

#[test]
fn workers_are_busy_or_parked() {
    let runtime = hooked("workers", multi(2));
    let workers = |state| Of::Runtime("workers").gauge(&TOKIO_WORKERS, &[state]);
    wait_until("both are parked", || (workers("busy"), workers("idle")) == (0, 2));
    let blocked = runtime.spawn(async { block(500) });
    wait_until("one is busy", || (workers("busy"), workers("idle")) == (1, 1));
    runtime.block_on(blocked).unwrap();
    wait_until("both are parked again", || (workers("busy"), workers("idle")) == (0, 2));
}

#[test]
fn busy_time_and_parks_grow_with_work_and_rest_without() {
    let runtime = hooked("busy", multi(2));
    let count = |metric| Of::Runtime("busy").counter(metric, &[]);
    let_sample();
    let before = [&TOKIO_BUSY, &TOKIO_PARKS, &TOKIO_UNPARKS].map(count);
    let told = runtime.block_on(runtime.spawn(async {
        let mut told = 0;
        for _ in 0..5 {
            told += block(20);
            sleep(Duration::from_millis(10)).await;
        }
        told
    }));
    let_sample();
    let after = [&TOKIO_BUSY, &TOKIO_PARKS, &TOKIO_UNPARKS].map(count);
    expect_near(after[0] - before[0], told.unwrap());
    assert!(after[1] - before[1] >= 5 && after[2] - before[2] >= 5, "{before:?} {after:?}");
    // Every worker that has parked has come back, but for those that are parked.
    assert!((0..=2).contains(&(after[1] - after[2])));
    let_sample();
    assert_eq!(
        [&TOKIO_BUSY, &TOKIO_PARKS, &TOKIO_UNPARKS].map(count),
        after,
        "nothing wakes an idle runtime"
    );
}
