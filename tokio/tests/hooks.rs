//! Runtimes built with our hooks: every stretch away from being parked.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::catalogue::{
    EVENTLOOP_AWAY, EVENTLOOP_ITERATIONS, EVENTLOOP_LAG, EVENTLOOP_STALL_OBSERVED, EVENTLOOP_TIME,
};
use support::{MS, Of, block, expect_near, hooked, let_sample, multi, single, wait_until};
use tokio::time::sleep;

/// A pause in which the worker parks.
async fn rest() {
    sleep(Duration::from_millis(20)).await;
}

#[test]
fn lag_is_the_time_that_tasks_blocked_a_loop_and_rests_while_it_waits() {
    let runtime = hooked("lag", single());
    let main = Of::Loop("lag-worker-0");
    runtime.block_on(async {
        rest().await;
        let before = main.histogram(&EVENTLOOP_LAG, &[]);
        let mut told = 0;
        for ms in [30, 60, 120] {
            told += block(ms);
            rest().await;
        }
        let lag = main.histogram(&EVENTLOOP_LAG, &[]).since(&before).unwrap();
        expect_near(lag.sum_ns(), told);
        // Only blocks are as long as these: the longest found lies in the bucket of the longest told.
        let longest = lag.quantile_seconds(1.0).unwrap();
        assert!((0.11..0.3).contains(&longest), "{longest}");

        let before = main.histogram(&EVENTLOOP_LAG, &[]);
        sleep(Duration::from_millis(200)).await;
        let lag = main.histogram(&EVENTLOOP_LAG, &[]).since(&before).unwrap();
        assert!(lag.sum_ns() < 25 * MS, "{lag:?}");
    });
    assert_eq!(main.value(&EVENTLOOP_STALL_OBSERVED, &[]), None, "measured, and not observed");
}

#[test]
fn iterations_are_as_many_as_parks() {
    let runtime = hooked("iterations", single());
    let main = Of::Loop("iterations-worker-0");
    runtime.block_on(async {
        rest().await;
        let before = (main.counter(&EVENTLOOP_ITERATIONS, &[]), runtime.metrics().worker_park_count(0));
        for _ in 0..10 {
            sleep(Duration::from_millis(1)).await;
        }
        let (ours, tokios) =
            (main.counter(&EVENTLOOP_ITERATIONS, &[]), runtime.metrics().worker_park_count(0));
        assert!(ours - before.0 >= 10);
        assert_eq!(ours - before.0, tokios - before.1);
        assert!(main.histogram(&EVENTLOOP_LAG, &[]).count() <= ours);
    });
}

#[test]
fn active_and_idle_time_add_up_to_the_time_that_passed() {
    let runtime = hooked("time", single());
    let time = |state| Of::Loop("time-worker-0").counter(&EVENTLOOP_TIME, &[state]);
    runtime.block_on(async {
        rest().await;
        let (began, active, idle) = (Instant::now(), time("active"), time("idle"));
        let blocked = block(100);
        sleep(Duration::from_millis(200)).await;
        let passed = began.elapsed().as_nanos() as u64;
        expect_near(time("active") - active, blocked);
        expect_near(time("active") - active + time("idle") - idle, passed);
    });
}

#[test]
fn each_worker_of_several_is_a_loop_of_its_own() {
    let runtime = hooked("several", multi(2));
    let loops = [0, 1].map(|worker| format!("several-worker-{worker}"));
    let lag = || loops.each_ref().map(|name| Of::Loop(name).histogram(&EVENTLOOP_LAG, &[]));
    wait_until("both have parked", || {
        loops.iter().all(|name| Of::Loop(name).counter(&EVENTLOOP_ITERATIONS, &[]) > 0)
    });
    let before = lag();
    // Both at a time, so that each worker has one.
    let barrier = Arc::new(std::sync::Barrier::new(2));
    let blocks: Vec<_> = (0..2)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            runtime.spawn(async move {
                barrier.wait();
                block(100)
            })
        })
        .collect();
    for block in blocks {
        runtime.block_on(block).unwrap();
    }
    wait_until("both have parked again", || {
        lag().iter().zip(&before).all(|(now, before)| now.since(before).unwrap().sum_ns() >= 95 * MS)
    });
}

#[test]
fn how_long_a_loop_is_away_is_told_while_it_is_and_then_it_is_zero() {
    let runtime = hooked("away", multi(1));
    let away = || Of::Loop("away-worker-0").gauge(&EVENTLOOP_AWAY, &[]);
    let blocked = runtime.spawn(async { block(600) });
    wait_until("it is seen", || away() as u64 > 150 * MS);
    runtime.block_on(blocked).unwrap();
    wait_until("it is over", || away() == 0);
}

#[test]
fn blocking_in_place_hands_the_place_on_and_is_no_lag() {
    let runtime = hooked("in-place", multi(1));
    let main = Of::Loop("in-place-worker-0");
    let before = main.histogram(&EVENTLOOP_LAG, &[]);
    let in_place = runtime.spawn(async { tokio::task::block_in_place(|| block(400)) });
    // Another thread drives the worker meanwhile, and parks and comes back.
    runtime
        .block_on(runtime.spawn(async {
            for _ in 0..5 {
                rest().await;
            }
        }))
        .unwrap();
    runtime.block_on(in_place).unwrap();
    runtime.block_on(runtime.spawn(rest())).unwrap();
    let lag = main.histogram(&EVENTLOOP_LAG, &[]).since(&before).unwrap();
    assert!(lag.sum_ns() < 100 * MS, "{lag:?}");
    wait_until("no stall is told of", || main.gauge(&EVENTLOOP_AWAY, &[]) == 0);
}

#[test]
fn the_program_s_own_hooks_are_called_too_and_options_can_be_used_again() {
    let calls = Arc::new([const { AtomicU64::new(0) }; 2]);
    let count = |at: usize| {
        let calls = Arc::clone(&calls);
        move || {
            calls[at].fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut options = single();
    let builder =
        loopscope_tokio::Builder::new().name("own").on_thread_park(count(0)).on_thread_unpark(count(1));
    let ours = builder.build(&mut options).unwrap();
    ours.block_on(rest());
    let called = || calls.each_ref().map(|calls| calls.load(Ordering::Relaxed));
    assert!(called()[0] > 0 && called()[1] > 0);

    let iterations = || Of::Loop("own-worker-0").counter(&EVENTLOOP_ITERATIONS, &[]);
    let (before, called_before) = (iterations(), called());
    options.build().unwrap().block_on(rest());
    assert_eq!(iterations(), before, "the second runtime is not published");
    assert!(called()[0] > called_before[0]);
    let_sample();
}
