//! Ticks, microtasks and immediates: Node's orders.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{Log, MS, after, busy};
use loopscope_runtime::{Async, Check, EventLoop, Immediate, RunMode};

#[test]
fn what_is_queued_before_a_run_runs_before_everything_else() {
    // Node: nextTick 1 (which queues 2b), nextTick 2, promise 1 (which queues promise 2), queueMicrotask 1.
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    after(&event_loop, Duration::ZERO, log.noting_once("timer"));
    let noted = log.clone();
    event_loop.queue_microtask(move |event_loop| {
        noted.note("promise1");
        event_loop.queue_microtask(noted.noting_once("promise2"));
    });
    let noted = log.clone();
    event_loop.next_tick(move |event_loop| {
        noted.note("tick1");
        event_loop.next_tick(noted.noting_once("tick2b"));
    });
    event_loop.queue_microtask(log.noting_once("micro1"));
    event_loop.next_tick(log.noting_once("tick2"));
    busy(MS);
    event_loop.run(RunMode::Default);
    log.expect("tick1 tick2 tick2b promise1 micro1 promise2 timer");
}

#[test]
fn ticks_that_microtasks_queue_wait_until_all_microtasks_ran() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    event_loop.queue_microtask(move |event_loop| {
        noted.note("micro1");
        event_loop.next_tick(noted.noting_once("tick"));
        event_loop.queue_microtask(noted.noting_once("micro3"));
    });
    event_loop.queue_microtask(log.noting_once("micro2"));
    event_loop.run(RunMode::Default);
    log.expect("micro1 micro2 micro3 tick");
}

/// Queues a tick and a microtask named after the callback that calls.
fn queue_both(event_loop: &EventLoop, log: &Log, name: &str) {
    log.note(name);
    event_loop.queue_microtask(log.noting_once(format!("p({name})")));
    event_loop.next_tick(log.noting_once(format!("tick({name})")));
}

#[test]
fn both_queues_are_drained_between_any_two_callbacks() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for name in ["t1", "t2"] {
        let noted = log.clone();
        after(&event_loop, Duration::ZERO, move |event_loop| queue_both(event_loop, &noted, name));
        let noted = log.clone();
        event_loop.set_immediate(move |event_loop| queue_both(event_loop, &noted, &name.replace('t', "i")));
        let noted = log.clone();
        let check = Check::new(&event_loop);
        check
            .start(move |event_loop, check| {
                check.close();
                queue_both(event_loop, &noted, &name.replace('t', "c"));
            })
            .unwrap();
        let noted = log.clone();
        let wake = Async::new(&event_loop, move |event_loop, wake| {
            queue_both(event_loop, &noted, &name.replace('t', "a"));
            let noted = noted.clone();
            wake.close_with(move |event_loop| queue_both(event_loop, &noted, &name.replace('t', "x")));
        });
        wake.sender().send();
    }
    busy(MS);
    event_loop.run(RunMode::Default);
    let each = |name: &str| format!("{name} tick({name}) p({name})");
    let expected = ["t1", "t2", "a1", "a2", "c2", "c1", "i1", "i2", "x2", "x1"].map(each);
    log.expect(&expected.join(" "));
}

#[test]
fn an_immediate_that_an_immediate_queues_runs_an_iteration_later_after_the_timers() {
    // Node: t1 t2 i1 i2, then what i1 queued: the timer that is due first, the immediate last.
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    event_loop.set_immediate(move |event_loop| {
        noted.note("i1");
        event_loop.set_immediate(noted.noting_once("i1-nested"));
        after(event_loop, Duration::ZERO, noted.noting_once("t0-from-i1"));
    });
    event_loop.set_immediate(log.noting_once("i2"));
    after(&event_loop, Duration::ZERO, log.noting_once("t1"));
    busy(MS);
    event_loop.run(RunMode::Default);
    log.expect("t1 i1 i2 t0-from-i1 i1-nested");
}

#[test]
fn after_input_come_ticks_microtasks_immediates_and_then_timers() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    let input = Async::new(&event_loop, move |event_loop, input| {
        input.close();
        noted.note("io");
        after(event_loop, Duration::ZERO, noted.noting_once("timeout0"));
        event_loop.set_immediate(noted.noting_once("immediate"));
        event_loop.queue_microtask(noted.noting_once("micro"));
        event_loop.next_tick(noted.noting_once("tick"));
    });
    input.sender().send();
    event_loop.run(RunMode::Default);
    log.expect("io tick micro immediate timeout0");
}

#[test]
fn an_immediate_can_be_cleared_even_by_one_of_the_same_phase() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let second: Rc<RefCell<Option<Immediate>>> = Rc::default();
    let victim = Rc::clone(&second);
    let noted = log.clone();
    event_loop.set_immediate(move |_| {
        noted.note("first");
        victim.take().expect("queued below").clear();
    });
    second.replace(Some(event_loop.set_immediate(log.noting_once("second"))));
    let never = event_loop.set_immediate(log.noting_once("never"));
    never.clear();
    never.clear();
    assert!(!event_loop.run(RunMode::Default));
    log.expect("first");
}

#[test]
fn an_unreferenced_immediate_runs_only_if_something_else_keeps_the_loop_going() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let immediate = event_loop.set_immediate(log.noting_once("immediate"));
    immediate.unreference();
    assert!(!immediate.has_ref() && !event_loop.is_alive());
    assert!(!event_loop.run(RunMode::Default));
    log.expect("");
    after(&event_loop, MS, log.noting_once("timer"));
    event_loop.run(RunMode::Default);
    assert!(log.take().contains("immediate"));

    let immediate = event_loop.set_immediate(log.noting_once("referenced"));
    immediate.unreference();
    immediate.reference();
    immediate.reference();
    assert!(event_loop.is_alive());
    assert!(!event_loop.run(RunMode::Default));
    log.expect("referenced");
    immediate.unreference();
    assert!(!event_loop.is_alive(), "one that ran counts no more");
}

#[test]
fn an_immediate_keeps_the_poll_from_waiting() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let never = Async::new(&event_loop, |_, _| unreachable!());
    let noted = log.clone();
    event_loop.set_immediate(move |_| {
        noted.note("immediate");
        never.close();
    });
    assert_eq!(event_loop.timeout(), Some(Duration::ZERO));
    event_loop.run(RunMode::Default);
    log.expect("immediate");
}
