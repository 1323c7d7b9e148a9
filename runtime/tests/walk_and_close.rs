//! What a loop tells of its handles, when it may be closed, and what it has done.

mod common;
mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{Log, MS, after, busy, spin};
use loopscope_runtime::{
    Async, Check, EventLoop, HandleType, Idle, Prepare, RunMode, TaskKind, TcpListener, TcpStream, Timer,
};
use support::{Gate, wait_until};

fn types(event_loop: &EventLoop) -> Vec<HandleType> {
    let types = RefCell::new(Vec::new());
    event_loop.walk(|handle| types.borrow_mut().push(handle.handle_type()));
    types.into_inner()
}

#[test]
fn a_walk_visits_all_handles_in_the_order_in_which_they_were_made() {
    let event_loop = EventLoop::new().unwrap();
    assert_eq!(types(&event_loop), []);
    let timer = Timer::new(&event_loop);
    let idle = spin(&event_loop);
    let wake = Async::new(&event_loop, |_, _| {});
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    use HandleType as H;
    assert_eq!(types(&event_loop), [H::Timer, H::Idle, H::Async, H::Tcp], "active or not");
    drop(timer);
    assert_eq!(types(&event_loop), [H::Idle, H::Async, H::Tcp], "what nobody refers to has ended");
    let check = Check::new(&event_loop);
    let prepare = Prepare::new(&event_loop);
    assert_eq!(types(&event_loop), [H::Idle, H::Async, H::Tcp, H::Check, H::Prepare]);
    drop((check, prepare));
    idle.close();
    assert_eq!(types(&event_loop), [H::Idle, H::Async, H::Tcp], "until the close callback ran");
    event_loop.run(RunMode::NoWait);
    assert_eq!(types(&event_loop), [H::Async, H::Tcp]);
    wake.close();
    listener.close();
    event_loop.run(RunMode::Default);
    assert_eq!(types(&event_loop), []);
}

#[test]
fn a_walk_tells_and_changes_what_handles_are() {
    let event_loop = EventLoop::new().unwrap();
    let wake = Async::new(&event_loop, |_, _| {});
    let idle = Idle::new(&event_loop);
    idle.close();
    let told = RefCell::new(Vec::new());
    event_loop.walk(|handle| {
        told.borrow_mut().push((handle.is_active(), handle.has_ref(), handle.is_closing()));
        handle.unreference();
        assert!(!handle.has_ref());
    });
    assert_eq!(told.into_inner(), [(true, true, false), (false, true, true)]);
    assert!(!event_loop.run(RunMode::Default), "nothing is referenced");
    event_loop.walk(|handle| handle.reference());
    assert!(wake.has_ref() && event_loop.is_alive());
}

#[test]
fn closing_everything_on_a_walk_ends_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    listener.listen(1, |_, _, _| {}).unwrap();
    let address = listener.local_address().unwrap();
    TcpStream::connect(&event_loop, address, move |_, _, result| noted.note(result.is_ok())).unwrap();
    after(&event_loop, Duration::from_secs(3600), log.noting_once("never"));
    // A handle that is visited may close others, and itself twice.
    event_loop.walk(|handle| {
        handle.close();
        handle.close();
        listener.close();
    });
    let made = Timer::new(&event_loop);
    assert!(!made.is_closing());
    assert!(!event_loop.run(RunMode::Default));
    log.expect("false");
}

#[test]
fn a_loop_is_busy_until_its_handles_are_closed_and_its_requests_have_ended() {
    let event_loop = EventLoop::builder().instruments(false).build().unwrap();
    let timer = Timer::new(&event_loop);
    let gate = Gate::default();
    let of_work = gate.clone();
    event_loop.queue_work(TaskKind::Work, move || of_work.pass(), |_, result| result.unwrap());
    wait_until("the work runs", || gate.waiting() == 1);
    let busy = event_loop.close().unwrap_err();
    assert_eq!((busy.handles, busy.requests), (1, 1));
    assert_eq!(busy.to_string(), "the loop is busy: 1 handles are not closed, 1 requests are under way");
    let event_loop = busy.event_loop;
    gate.open();
    event_loop.run(RunMode::Default);
    timer.close();
    let busy = event_loop.close().unwrap_err();
    assert_eq!((busy.handles, busy.requests), (1, 0), "its close callback has not run");
    busy.event_loop.run(RunMode::Default);
    busy.event_loop.close().unwrap();
    EventLoop::new().unwrap().close().unwrap();
}

#[test]
fn the_idle_time_is_the_time_in_the_poll() {
    let event_loop = EventLoop::new().unwrap();
    let begin = Instant::now();
    after(&event_loop, 30 * MS, |_| busy(20 * MS));
    event_loop.run(RunMode::Default);
    let (idle, passed) = (event_loop.idle_time(), begin.elapsed());
    assert!(idle >= 25 * MS, "{idle:?}");
    assert!(idle <= passed - 20 * MS, "{idle:?} of {passed:?}");
}

#[test]
fn a_loop_that_never_waits_has_no_idle_time() {
    let event_loop = EventLoop::new().unwrap();
    let idle = spin(&event_loop);
    after(&event_loop, 5 * MS, move |_| idle.close());
    event_loop.run(RunMode::Default);
    assert_eq!(event_loop.idle_time(), Duration::ZERO);
    assert!(event_loop.info().iterations > 1);
}

#[test]
fn the_idle_time_is_there_without_instruments_and_on_every_thread() {
    let threads: Vec<_> = (0..2)
        .map(|_| {
            std::thread::spawn(|| {
                let event_loop = EventLoop::builder().instruments(false).build().unwrap();
                after(&event_loop, 10 * MS, |_| {});
                event_loop.run(RunMode::Default);
                event_loop.idle_time()
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().unwrap() >= 9 * MS);
    }
}

#[test]
fn iterations_and_events_are_counted() {
    let event_loop = EventLoop::new().unwrap();
    let start = event_loop.info();
    assert_eq!((start.iterations, start.events), (0, 0));
    let wake = Async::new(&event_loop, |_, wake| wake.close());
    wake.sender().send();
    event_loop.run(RunMode::Default);
    let info = event_loop.info();
    assert_eq!((info.iterations, info.events, info.events_waiting), (1, 1, 0));
}

#[test]
fn completions_of_the_pool_are_events_one_by_one() {
    let event_loop = EventLoop::new().unwrap();
    let done = Rc::new(RefCell::new(0));
    for _ in 0..5 {
        let done = Rc::clone(&done);
        event_loop.queue_work(TaskKind::Work, || (), move |_, _| *done.borrow_mut() += 1);
    }
    event_loop.run(RunMode::Default);
    assert_eq!((*done.borrow(), event_loop.info().events), (5, 5));
}

#[test]
fn events_that_wait_before_the_poll_are_counted_if_that_is_asked_for() {
    let event_loop = EventLoop::builder().count_waiting_events(true).build().unwrap();
    let wake = Async::new(&event_loop, |_, _| {});
    wake.sender().send();
    event_loop.run(RunMode::Once);
    assert_eq!(event_loop.info().events_waiting, 1, "it was there before the poll");
    let sender = wake.sender();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(10 * MS);
        sender.send();
    });
    // On a machine so busy that the thread is done by now it would count as waiting, too: then nothing is told.
    let was_done = thread.is_finished();
    event_loop.run(RunMode::Once);
    thread.join().unwrap();
    if !was_done && event_loop.idle_time() > MS {
        assert_eq!(event_loop.info().events_waiting, 1, "it came while the poll waited");
    }
    assert_eq!(event_loop.info().events, 2);
}
