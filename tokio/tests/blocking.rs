//! Jobs of the blocking pool. One test, for what they measure belongs to the process as a whole.

mod support;

use std::sync::mpsc;
use std::time::Instant;

use loopscope_tokio::{Builder, spawn_blocking, spawn_blocking_on};
use model::catalogue::{
    THREADPOOL_QUEUE_DEPTH, THREADPOOL_QUEUE_DEPTH_MAX, THREADPOOL_QUEUE_WAIT, THREADPOOL_RUN,
    THREADPOOL_TASKS, THREADPOOL_THREADS,
};
use support::{MS, Of, block, expect_near, multi, wait_until};

#[test]
fn jobs_wait_run_and_end() {
    let mut options = multi(1);
    options.max_blocking_threads(1);
    let runtime = Builder::new().name("jobs").build(&mut options).unwrap();
    let handle = runtime.handle();
    let ended = |outcome| Of::Process.counter(&THREADPOOL_TASKS, &["work", outcome]);
    let depth = || Of::Process.gauge(&THREADPOOL_QUEUE_DEPTH, &[]);
    let busy = || Of::Process.gauge(&THREADPOOL_THREADS, &["busy"]);

    // One holds the only thread; three wait for it, each until the one before has ended.
    let (hold, held) = mpsc::channel::<()>();
    let first = spawn_blocking_on(handle, move || held.recv().is_err());
    wait_until("the first runs", || busy() == 1 && depth() == 0);
    let submitted = Instant::now();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            spawn_blocking_on(handle, move || {
                let waited = submitted.elapsed().as_nanos() as u64;
                (waited, block(40))
            })
        })
        .collect();
    wait_until("three wait", || depth() == 3);
    block(50);
    drop(hold);
    assert!(runtime.block_on(first).unwrap());
    let (mut waited, mut ran) = (0, 0);
    for job in waiting {
        let told = runtime.block_on(job).unwrap();
        (waited, ran) = (waited + told.0, ran + told.1);
    }
    wait_until("all have ended", || ended("done") == 4 && busy() == 0);
    wait_until("none waits", || depth() == 0);
    assert!(Of::Process.gauge(&THREADPOOL_QUEUE_DEPTH_MAX, &[]) >= 3);
    let wait = Of::Process.histogram(&THREADPOOL_QUEUE_WAIT, &["work"]);
    assert_eq!(wait.count(), 4);
    expect_near(wait.sum_ns(), waited);
    let run = Of::Process.histogram(&THREADPOOL_RUN, &["work"]);
    assert_eq!(run.count(), 4);
    assert!(run.sum_ns() >= ran + 50 * MS);

    // From within the runtime, and with a panic.
    let panicked = runtime.block_on(async { spawn_blocking(|| panic!("as the test wants it")).await });
    assert!(panicked.unwrap_err().is_panic());
    wait_until("it has failed", || ended("failed") == 1);

    // One that never starts.
    let (hold, held) = mpsc::channel::<()>();
    let first = spawn_blocking_on(handle, move || held.recv().is_err());
    let never = spawn_blocking_on(handle, || ());
    never.abort();
    // Aborted or not, tokio looks at it when a thread is free.
    drop(hold);
    runtime.block_on(first).unwrap();
    assert!(runtime.block_on(never).unwrap_err().is_cancelled());
    wait_until("it was cancelled", || ended("cancelled") == 1);
    wait_until("the pool rests", || depth() == 0 && busy() == 0);
    assert_eq!((ended("done"), ended("failed")), (5, 1));
    assert_eq!(Of::Process.histogram(&THREADPOOL_QUEUE_WAIT, &["work"]).count(), 6);

    // The sums of the process stay when a runtime ends.
    drop(runtime);
    wait_until("the runtime is gone", || {
        Of::Loop("jobs-worker-0").value(&model::catalogue::EVENTLOOP_LAG, &[]).is_none()
    });
    assert_eq!(ended("done"), 5);
}
