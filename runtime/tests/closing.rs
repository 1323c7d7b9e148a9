//! Closing handles.

mod common;

use common::{Log, MS, after, spin};
use loopscope_runtime::{Check, EventLoop, Idle, Prepare, RunMode, Timer};

#[test]
fn close_callbacks_run_after_check() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let check = Check::new(&event_loop);
    check.start(log.noting("check")).unwrap();
    check.unreference();
    let noted = log.clone();
    after(&event_loop, MS, move |event_loop| {
        let handle = Timer::new(event_loop);
        handle.close_with(noted.noting_once("closed"));
        noted.note("timer");
    });
    event_loop.run(RunMode::Default);
    let order = log.take();
    assert!(order.ends_with("timer check closed"), "{order}");
}

#[test]
fn a_close_callback_runs_exactly_once_and_never_within_close() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let handle = Idle::new(&event_loop);
    handle.close_with(log.noting_once("closed"));
    handle.close_with(log.noting_once("closed again"));
    handle.close();
    log.expect("");
    assert!(handle.is_closing());
    event_loop.run(RunMode::Default);
    log.expect("closed");
    event_loop.run(RunMode::Default);
    log.expect("");
}

#[test]
fn the_handle_that_was_closed_last_calls_back_first() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for number in [1, 2, 3] {
        Prepare::new(&event_loop).close_with(log.noting_once(number));
    }
    event_loop.run(RunMode::Default);
    log.expect("3 2 1");
}

#[test]
fn what_a_close_callback_closes_calls_back_an_iteration_later() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (first, second) = (Timer::new(&event_loop), Timer::new(&event_loop));
    let noted = log.clone();
    first.close_with(move |_| {
        noted.note("first");
        second.close_with(noted.noting_once("second"));
    });
    assert!(event_loop.run(RunMode::NoWait));
    log.expect("first");
    assert!(!event_loop.run(RunMode::NoWait));
    log.expect("second");
}

#[test]
fn closing_drops_the_callback_at_once() {
    struct Noisy(Log);
    impl Drop for Noisy {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let idle = spin(&event_loop);
    let held = Noisy(log.clone());
    idle.start(move |_, _| held.0.note("called")).unwrap();
    idle.close();
    log.expect("dropped");
    event_loop.run(RunMode::Default);
}
