//! Runtimes that were there already: what can be told without hooks.

mod support;

use std::time::{Duration, Instant};

use loopscope_tokio::{Error, publish, publish_named};
use model::catalogue::{
    EVENTLOOP_AWAY, EVENTLOOP_ITERATIONS, EVENTLOOP_LAG, EVENTLOOP_STALL_OBSERVED, EVENTLOOP_TIME,
};
use support::{MS, Of, block, expect_near, let_sample, multi, single, wait_until};
use tokio::time::sleep;

#[test]
fn outside_of_a_runtime_there_is_nothing_to_publish() {
    let error = publish().unwrap_err();
    assert!(matches!(error, Error::NoRuntime(_)));
    assert!(error.to_string().contains("publish_named"), "{error}");
}

#[test]
fn a_stall_is_observed_with_its_length_and_short_stretches_are_not() {
    let runtime = multi(1).build().unwrap();
    publish_named(runtime.handle(), "stall").unwrap();
    let main = Of::Loop("stall-worker-0");
    let stalls = || main.histogram(&EVENTLOOP_STALL_OBSERVED, &[]);
    runtime
        .block_on(runtime.spawn(async {
            for _ in 0..50 {
                block(2);
                sleep(Duration::from_millis(2)).await;
            }
        }))
        .unwrap();
    let before = stalls();
    assert!(before.sum_ns() < 150 * MS, "{before:?}");

    let blocked = runtime.spawn(async { block(500) });
    wait_until("it is seen while it lasts", || main.gauge(&EVENTLOOP_AWAY, &[]) as u64 > 150 * MS);
    let told = runtime.block_on(blocked).unwrap();
    wait_until("it is told", || stalls().count() > before.count());
    expect_near(stalls().since(&before).unwrap().sum_ns(), told);
    wait_until("it is over", || main.gauge(&EVENTLOOP_AWAY, &[]) == 0);
    let_sample();
    assert_eq!(stalls().count(), before.count() + 1);
    assert_eq!(main.value(&EVENTLOOP_LAG, &[]), None, "not measured: absent");
}

#[test]
fn time_and_iterations_are_tokio_s_own() {
    let runtime = multi(1).build().unwrap();
    publish_named(runtime.handle(), "account").unwrap();
    let main = Of::Loop("account-worker-0");
    let time = |state| main.counter(&EVENTLOOP_TIME, &[state]);
    let began = Instant::now();
    let (active, idle) = (time("active"), time("idle"));
    let told = runtime.block_on(runtime.spawn(async {
        let told = block(200);
        sleep(Duration::from_millis(200)).await;
        told
    }));
    let_sample();
    let (active, idle) = (time("active") - active, time("idle") - idle);
    let passed = began.elapsed().as_nanos() as u64;
    expect_near(active, told.unwrap());
    // The last sample may be an interval old.
    let sum = active + idle;
    assert!(sum <= passed && passed - sum < 150 * MS + passed / 20, "{sum} of {passed}");
    assert_eq!(main.counter(&EVENTLOOP_ITERATIONS, &[]), runtime.metrics().worker_park_count(0));
}

#[test]
fn a_runtime_publishes_itself_once() {
    let runtime = single().build().unwrap();
    let first = runtime.block_on(async {
        publish().unwrap();
        publish().unwrap();
        publish_named(&tokio::runtime::Handle::current(), "other").unwrap();
        Of::Loop("worker-0").value(&EVENTLOOP_ITERATIONS, &[])
    });
    assert!(first.is_some(), "the first nameless runtime of the process");
    assert_eq!(Of::Loop("other-worker-0").value(&EVENTLOOP_ITERATIONS, &[]), None);
}
