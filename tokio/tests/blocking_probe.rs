//! The probe of the blocking pool.

mod support;

use std::time::Duration;

use loopscope_tokio::Builder;
use model::catalogue::TOKIO_BLOCKING_PROBE_WAIT;
use support::{Of, block, single, wait_until};

#[test]
fn the_probe_waits_as_long_as_any_job_would() {
    let mut options = single();
    options.max_blocking_threads(1);
    let runtime = Builder::new()
        .name("probe")
        .probe_blocking_pool(Duration::from_millis(1))
        .build(&mut options)
        .unwrap();
    let waits = || Of::Runtime("probe").histogram(&TOKIO_BLOCKING_PROBE_WAIT, &[]);
    wait_until("it has run a few times", || waits().count() >= 3);
    assert!(waits().quantile_seconds(0.5).unwrap() < 0.05);
    // Bare, and so no job of ours: it holds the only thread.
    let held = runtime.handle().spawn_blocking(|| block(600));
    let before = waits().count();
    runtime.block_on(held).unwrap();
    wait_until("it waited", || waits().quantile_seconds(1.0).unwrap() > 0.3);
    assert!(waits().count() <= before + 8, "one at a time");
}

#[test]
fn who_does_not_ask_is_not_probed() {
    let runtime = Builder::new().name("unprobed").build(&mut single()).unwrap();
    assert_eq!(Of::Runtime("unprobed").value(&TOKIO_BLOCKING_PROBE_WAIT, &[]), None);
    drop(runtime);
}
