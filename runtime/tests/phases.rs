//! The phases of an iteration, and what runs in them.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{Log, MS, after, busy, spin};
use loopscope_runtime::{Async, Check, EventLoop, Idle, Prepare, RunMode, Timer};

#[test]
fn an_iteration_runs_its_phases_in_libuvs_order() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let idle = Idle::new(&event_loop);
    idle.start(log.noting("idle")).unwrap();
    let prepare = Prepare::new(&event_loop);
    prepare.start(log.noting("prepare")).unwrap();
    let check = Check::new(&event_loop);
    check.start(log.noting("check")).unwrap();
    let wake = Async::new(&event_loop, log.noting("poll"));
    wake.sender().send();
    let closed = Timer::new(&event_loop);
    let closing = log.clone();
    closed.close_with(move |_| closing.note("close"));
    let timer = Timer::new(&event_loop);
    timer.start(Duration::ZERO, log.noting("timer")).unwrap();

    event_loop.run(RunMode::NoWait);
    log.expect("idle prepare poll check close timer");
}

#[test]
fn a_default_run_begins_with_the_timers_that_are_due_and_a_single_iteration_ends_with_them() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let check = Check::new(&event_loop);
    let noted = log.clone();
    check
        .start(move |event_loop, _| {
            noted.note("check");
            event_loop.stop();
        })
        .unwrap();
    after(&event_loop, Duration::ZERO, log.noting_once("timer"));
    spin(&event_loop);
    event_loop.run(RunMode::Default);
    log.expect("timer check");

    after(&event_loop, Duration::ZERO, log.noting_once("timer"));
    event_loop.run(RunMode::NoWait);
    log.expect("check timer");
}

#[test]
fn a_timer_started_in_check_may_run_in_the_same_iteration() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let check = Check::new(&event_loop);
    let noted = log.clone();
    check
        .start(move |event_loop, check| {
            check.stop();
            noted.note("check");
            after(event_loop, Duration::ZERO, noted.noting_once("timer"));
        })
        .unwrap();
    event_loop.run(RunMode::NoWait);
    log.expect("check timer");
}

#[test]
fn write_callbacks_run_in_pending_after_the_poll_of_the_iteration_that_wrote() {
    use loopscope_runtime::{TcpListener, TcpStream};
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    listener.listen(1, |_, listener, _| listener.close()).unwrap();
    let noted = log.clone();
    TcpStream::connect(&event_loop, listener.local_address().unwrap(), move |event_loop, stream, result| {
        result.unwrap();
        let after_write = noted.clone();
        stream
            .write("data", move |_, stream, result| {
                result.unwrap();
                after_write.note("written");
                stream.close();
            })
            .unwrap();
        event_loop.set_immediate(noted.noting_once("check"));
        noted.note("connected");
    })
    .unwrap();
    event_loop.run(RunMode::Default);
    log.expect("connected written check");
}

#[test]
fn handles_of_one_phase_run_once_an_iteration_and_the_one_started_last_comes_first() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let handles = [1, 2, 3].map(|number| {
        let prepare = Prepare::new(&event_loop);
        prepare.start(log.noting(number)).unwrap();
        prepare
    });
    event_loop.run(RunMode::NoWait);
    log.expect("3 2 1");
    // Starting an active handle keeps its turn; starting one anew puts it first.
    handles[1].start(log.noting("two")).unwrap();
    handles[0].stop();
    handles[0].start(log.noting("one")).unwrap();
    event_loop.run(RunMode::NoWait);
    log.expect("one 3 two");
}

#[test]
fn a_handle_started_during_its_phase_runs_in_the_next_iteration() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let first = Check::new(&event_loop);
    let noted = log.clone();
    first
        .start(move |event_loop, first| {
            noted.note("first");
            let second = Check::new(event_loop);
            second.start(noted.noting("second")).unwrap();
            first.stop();
        })
        .unwrap();
    event_loop.run(RunMode::NoWait);
    log.expect("first");
    event_loop.run(RunMode::NoWait);
    log.expect("second");
}

#[test]
fn a_handle_may_stop_and_close_itself_and_others_of_its_phase() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let stopped = Idle::new(&event_loop);
    stopped.start(log.noting("stopped")).unwrap();
    let closed = Idle::new(&event_loop);
    closed.start(log.noting("closed")).unwrap();
    let active = Idle::new(&event_loop);
    let noted = log.clone();
    active
        .start(move |_, active| {
            noted.note("active");
            stopped.stop();
            closed.close();
            active.close();
        })
        .unwrap();
    assert!(!event_loop.run(RunMode::Default));
    log.expect("active");
}

#[test]
fn an_idle_handle_starves_neither_timers_nor_check_handles() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let idle = spin(&event_loop);
    let check = Check::new(&event_loop);
    check.start(log.noting("check")).unwrap();
    check.unreference();
    after(&event_loop, 5 * MS, move |_| idle.close());
    event_loop.run(RunMode::Default);
    assert!(log.count("check") > 1);
}

#[test]
fn one_iteration_does_not_wait_when_its_idle_handle_stops_itself() {
    let event_loop = EventLoop::new().unwrap();
    let idle = Idle::new(&event_loop);
    idle.start(|_, idle| idle.stop()).unwrap();
    // Something that would keep the poll waiting.
    let never = Async::new(&event_loop, |_, _| unreachable!());
    assert!(event_loop.run(RunMode::Once));
    never.close();
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn a_prepare_handle_may_unreference_what_keeps_the_poll_waiting() {
    let event_loop = EventLoop::new().unwrap();
    let never = Async::new(&event_loop, |_, _| unreachable!());
    let prepare = Prepare::new(&event_loop);
    prepare
        .start(move |_, prepare| {
            never.unreference();
            prepare.unreference();
        })
        .unwrap();
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn the_loops_time_stands_still_during_a_phase_and_is_refreshed_after_it() {
    let event_loop = EventLoop::new().unwrap();
    let times = Rc::new(Cell::new([None; 3]));
    let idle = Idle::new(&event_loop);
    let noted = Rc::clone(&times);
    idle.start(move |event_loop, idle| {
        let before = event_loop.now();
        busy(2 * MS);
        noted.set([Some(before), Some(event_loop.now()), None]);
        idle.close();
    })
    .unwrap();
    let prepare = Prepare::new(&event_loop);
    let noted = Rc::clone(&times);
    prepare
        .start(move |event_loop, prepare| {
            let [before, during, _] = noted.get();
            noted.set([before, during, Some(event_loop.now())]);
            prepare.close();
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    let [before, during, after] = times.get().map(|time| time.expect("the callbacks ran"));
    assert_eq!(before, during);
    assert!(after.since_ns(during) >= 2_000_000);
}
