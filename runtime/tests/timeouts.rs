//! Node's timers: the orders here are what the same steps give on Node.js 18, 20, 22, 24 and 26.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use common::{Log, MS, busy};
use loopscope_runtime::{EventLoop, RunMode, Timeout};

/// A loop and its log.
fn setup() -> (EventLoop, Log) {
    (EventLoop::new().unwrap(), Log::default())
}

/// Runs the loop to its end.
#[track_caller]
fn expect(event_loop: &EventLoop, log: &Log, order: &str) {
    assert!(!event_loop.run(RunMode::Default));
    log.expect(order);
}

/// Where a callback finds a timeout that is made after it.
#[derive(Clone, Default)]
struct Later(Rc<RefCell<Option<Timeout>>>);

impl Later {
    fn set(&self, timeout: Timeout) {
        *self.0.borrow_mut() = Some(timeout);
    }

    fn get(&self) -> Timeout {
        self.0.borrow().clone().unwrap()
    }
}

/// Notes a name, and queues a tick and a microtask that do.
fn noting_all(log: &Log, name: &'static str) -> impl FnMut(&EventLoop, &Timeout) + 'static {
    let log = log.clone();
    move |event_loop, _| {
        log.note(name);
        event_loop.next_tick(log.noting_once(format!("tick-{name}")));
        event_loop.queue_microtask(log.noting_once(format!("micro-{name}")));
    }
}

#[test]
fn timeouts_of_one_duration_run_together_before_those_that_were_due_in_between() {
    let (event_loop, log) = setup();
    event_loop.set_timeout(11.0, log.noting("11a"));
    event_loop.set_timeout(10.0, log.noting("10a"));
    busy(3 * MS);
    event_loop.set_timeout(10.0, log.noting("10b"));
    busy(30 * MS);
    // Started in the last microsecond of a millisecond, the first two may be due at the same: then the first one is first.
    assert!(!event_loop.run(RunMode::Default));
    let order = log.take();
    assert!(order == "10a 10b 11a" || order == "11a 10a 10b", "{order}");
}

#[test]
fn ticks_and_microtasks_run_between_timeouts_within_a_list_and_between_lists() {
    let (event_loop, log) = setup();
    event_loop.set_timeout(2.0, noting_all(&log, "a1"));
    event_loop.set_timeout(2.0, noting_all(&log, "a2"));
    event_loop.set_timeout(3.0, noting_all(&log, "b1"));
    busy(10 * MS);
    expect(&event_loop, &log, "a1 tick-a1 micro-a1 a2 tick-a2 micro-a2 b1 tick-b1 micro-b1");
}

#[test]
fn a_timeout_that_a_timeout_starts_waits_for_the_next_iteration_however_late_it_is() {
    let (event_loop, log) = setup();
    let noted = log.clone();
    event_loop.set_timeout(1.0, move |event_loop, _| {
        noted.note("a");
        event_loop.set_timeout(1.0, noted.noting("a-nested"));
        event_loop.set_timeout(2.0, noted.noting("a2-nested"));
        event_loop.set_immediate(noted.noting_once("immediate"));
        busy(5 * MS);
    });
    event_loop.set_timeout(2.0, log.noting("b"));
    event_loop.set_timeout(1.0, log.noting("c"));
    busy(10 * MS);
    expect(&event_loop, &log, "a c b immediate a-nested a2-nested");
}

#[test]
fn a_timeout_that_a_tick_starts_does_not_run_with_the_list_that_has_just_ended() {
    let (event_loop, log) = setup();
    let noted = log.clone();
    event_loop.set_timeout(5.0, move |event_loop, _| {
        noted.note("a");
        let noted = noted.clone();
        event_loop.next_tick(move |event_loop| drop(event_loop.set_timeout(5.0, noted.noting("from-tick"))));
        busy(10 * MS);
    });
    event_loop.set_timeout(6.0, log.noting("b"));
    busy(20 * MS);
    expect(&event_loop, &log, "a b from-tick");
}

#[test]
fn a_timeout_that_is_due_can_be_cleared_by_another_and_by_its_tick() {
    let (event_loop, log) = setup();
    let (b, c) = (Later::default(), Later::default());
    let (clears_b, clears_c, noted) = (b.clone(), c.clone(), log.clone());
    event_loop.set_timeout(2.0, move |event_loop, _| {
        noted.note("a");
        clears_b.get().clear();
        let c = clears_c.get();
        event_loop.next_tick(move |_| c.clear());
    });
    b.set(event_loop.set_timeout(2.0, log.noting("b")));
    c.set(event_loop.set_timeout(2.0, log.noting("c")));
    event_loop.set_timeout(2.0, log.noting("d"));
    busy(10 * MS);
    expect(&event_loop, &log, "a d");
}

#[test]
fn a_tick_between_lists_can_clear_the_first_of_the_next_list() {
    let (event_loop, log) = setup();
    let c = Later::default();
    let (clears_c, noted) = (c.clone(), log.clone());
    event_loop.set_timeout(2.0, move |event_loop, _| {
        noted.note("a");
        let c = clears_c.get();
        event_loop.next_tick(move |_| c.clear());
    });
    c.set(event_loop.set_timeout(3.0, log.noting("c")));
    event_loop.set_timeout(3.0, log.noting("d"));
    busy(10 * MS);
    expect(&event_loop, &log, "a d");
}

#[test]
fn refreshing_puts_a_timeout_behind_the_others_of_its_list() {
    let (event_loop, log) = setup();
    let a = event_loop.set_timeout(5.0, log.noting("a"));
    event_loop.set_timeout(5.0, log.noting("b"));
    a.refresh();
    event_loop.set_timeout(6.0, log.noting("c"));
    busy(20 * MS);
    expect(&event_loop, &log, "b a c");
}

#[test]
fn a_timeout_may_refresh_itself_and_one_that_was_cleared_may_not_be_refreshed() {
    let (event_loop, log) = setup();
    let (noted, left) = (log.clone(), Cell::new(3));
    event_loop.set_timeout(1.0, move |_, timeout| {
        noted.note(left.get());
        left.set(left.get() - 1);
        if left.get() > 0 {
            timeout.refresh();
        }
    });
    expect(&event_loop, &log, "3 2 1");
    let cleared = event_loop.set_timeout(1.0, log.noting("cleared"));
    cleared.clear();
    cleared.refresh();
    expect(&event_loop, &log, "");
    let ran = event_loop.set_timeout(1.0, log.noting("ran"));
    expect(&event_loop, &log, "ran");
    ran.clear();
    ran.refresh();
    expect(&event_loop, &log, "");
}

#[test]
fn an_interval_counts_from_where_its_call_begins_and_can_clear_itself() {
    let (event_loop, log) = setup();
    let (noted, left) = (log.clone(), Cell::new(3));
    event_loop.set_interval(2.0, move |event_loop, interval| {
        noted.note(format!("i{}", left.get()));
        left.set(left.get() - 1);
        if left.get() == 0 {
            interval.clear();
            event_loop.set_timeout(1.0, noted.noting("last"));
        }
        busy(4 * MS);
    });
    event_loop.set_timeout(3.0, log.noting("once"));
    busy(10 * MS);
    expect(&event_loop, &log, "i3 once i2 i1 last");
}

#[test]
fn delays_are_cut_to_milliseconds_and_what_is_no_delay_is_one() {
    let (event_loop, log) = setup();
    for delay_ms in [1.9, 0.0, -5.0, f64::NAN, 2_147_483_648.0, f64::INFINITY, 1.0] {
        event_loop.set_timeout(delay_ms, log.noting(delay_ms));
    }
    event_loop.set_timeout(2.5, log.noting("2"));
    event_loop.set_timeout(2.0, log.noting("2b"));
    busy(10 * MS);
    expect(&event_loop, &log, "1.9 0 -5 NaN 2147483648 inf 1 2 2b");
}

#[test]
fn unreferenced_timeouts_let_the_loop_end() {
    let (event_loop, log) = setup();
    let unreferenced = event_loop.set_timeout(3_600_000.0, log.noting("never"));
    unreferenced.unreference();
    assert!(!event_loop.is_alive() && !unreferenced.has_ref());
    let referenced_again = event_loop.set_timeout(3.0, log.noting("reref"));
    referenced_again.unreference();
    referenced_again.reference();
    expect(&event_loop, &log, "reref");
    referenced_again.unreference();
    assert!(!event_loop.is_alive(), "one that ran counts no more");
    assert!(event_loop.close().is_ok(), "and the layer's own timer does not count as a handle");
}

#[test]
fn lists_that_are_due_again_and_again_run_in_turn() {
    let (event_loop, log) = setup();
    event_loop.set_timeout(10.0, log.noting("10a"));
    event_loop.set_timeout(20.0, log.noting("20a"));
    busy(10 * MS);
    event_loop.set_timeout(10.0, log.noting("10b"));
    event_loop.set_timeout(20.0, log.noting("20b"));
    busy(40 * MS);
    expect(&event_loop, &log, "10a 10b 20a 20b");
}

#[test]
fn timeouts_run_between_immediates_of_two_iterations() {
    let (event_loop, log) = setup();
    let noted = log.clone();
    event_loop.set_timeout(1.0, move |event_loop, _| {
        noted.note("t");
        let noted = noted.clone();
        event_loop.set_immediate(move |event_loop| {
            noted.note("i1");
            event_loop.set_timeout(1.0, noted.noting("t0"));
            event_loop.set_immediate(noted.noting_once("i2"));
            event_loop.next_tick(noted.noting_once("tick"));
            busy(3 * MS);
        });
    });
    expect(&event_loop, &log, "t i1 tick t0 i2");
}

#[test]
fn a_timeout_never_runs_before_its_milliseconds_have_passed() {
    let (event_loop, log) = setup();
    for delay_ms in [1.0, 2.0, 3.0, 7.0] {
        let (noted, begin) = (log.clone(), event_loop.now().as_ns() / 1_000_000);
        event_loop.set_timeout(delay_ms, move |event_loop, _| {
            event_loop.update_time();
            let passed = event_loop.now().as_ns() / 1_000_000 - begin;
            noted.note(passed >= delay_ms as u64);
        });
    }
    expect(&event_loop, &log, "true true true true");
}

#[test]
fn those_behind_one_that_panics_run_in_the_next_run() {
    let (event_loop, log) = setup();
    event_loop.set_timeout(1.0, log.noting("a"));
    event_loop.set_timeout(1.0, |_, _| panic!("on purpose"));
    event_loop.set_timeout(1.0, log.noting("b"));
    event_loop.set_timeout(2.0, log.noting("c"));
    busy(5 * MS);
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))).is_err());
    log.expect("a");
    expect(&event_loop, &log, "b c");
}

#[test]
fn many_timeouts_of_a_few_durations_come_and_go() {
    let (event_loop, log) = setup();
    let ran = Rc::new(Cell::new(0));
    let mut cleared = Vec::new();
    for number in 0..100_000u32 {
        let counted = Rc::clone(&ran);
        let timeout =
            event_loop.set_timeout(f64::from(number % 5 + 1), move |_, _| counted.set(counted.get() + 1));
        if number % 2 == 0 {
            cleared.push(timeout);
        }
    }
    cleared.iter().for_each(Timeout::clear);
    expect(&event_loop, &log, "");
    assert_eq!(ran.get(), 50_000);
}

#[test]
fn a_loop_that_is_dropped_drops_its_timeouts() {
    let (event_loop, _) = setup();
    let held = Rc::new(());
    let of_callback = Rc::clone(&held);
    let timeout = event_loop.set_timeout(1.0, move |_, _| drop(Rc::clone(&of_callback)));
    drop(event_loop);
    assert_eq!(Rc::strong_count(&held), 1);
    timeout.refresh();
    timeout.clear();
}
