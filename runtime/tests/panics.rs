//! A panic in a callback leaves the run, and leaves the loop sound: everything else happens in the next run.

mod common;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::{Log, MS, after, busy};
use loopscope_runtime::pool::Pool;
use loopscope_runtime::{Async, Check, EventLoop, RunMode, TaskKind, TcpListener, TcpStream, Timer};
use support::Gate;

/// Runs the loop until it ends, through all panics; gives their number.
fn run_through(event_loop: &EventLoop) -> usize {
    let mut panics = 0;
    loop {
        match catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))) {
            Ok(alive) => {
                assert!(!alive);
                return panics;
            }
            Err(_) => panics += 1,
        }
    }
}

#[test]
fn timers_that_were_due_with_one_that_panics_call_back_in_the_next_run() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    after(&event_loop, Duration::ZERO, log.noting_once("first"));
    after(&event_loop, Duration::ZERO, |_| panic!("on purpose"));
    after(&event_loop, Duration::ZERO, log.noting_once("third"));
    busy(MS);
    assert_eq!(run_through(&event_loop), 1);
    log.expect("first third");
}

#[test]
fn a_repeating_timer_goes_on_after_its_panic() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let timer = Timer::new(&event_loop);
    let noted = log.clone();
    timer
        .start_repeating(MS, MS, move |_, timer| {
            noted.note("called");
            assert!(noted.len() != 1, "on purpose");
            timer.close();
        })
        .unwrap();
    assert_eq!(run_through(&event_loop), 1);
    log.expect("called called");
}

#[test]
fn ticks_and_microtasks_behind_one_that_panics_stay_queued() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    event_loop.next_tick(|_| panic!("on purpose"));
    event_loop.next_tick(log.noting_once("tick"));
    event_loop.queue_microtask(|_| panic!("on purpose"));
    event_loop.queue_microtask(log.noting_once("microtask"));
    assert_eq!(run_through(&event_loop), 2);
    log.expect("tick microtask");
}

#[test]
fn immediates_behind_one_that_panics_run_before_those_queued_later() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    event_loop.set_immediate(move |event_loop| {
        event_loop.set_immediate(noted.noting_once("later"));
        panic!("on purpose");
    });
    event_loop.set_immediate(log.noting_once("behind"));
    assert_eq!(run_through(&event_loop), 1);
    log.expect("behind later");
}

#[test]
fn check_handles_go_on_after_a_panic() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let check = Check::new(&event_loop);
    let noted = log.clone();
    check
        .start(move |_, check| {
            noted.note("check");
            if noted.len() == 3 {
                check.close();
            }
            assert!(noted.len() == 3, "on purpose");
        })
        .unwrap();
    event_loop.set_immediate(|_| {});
    let immediate = common::spin(&event_loop);
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::NoWait))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::NoWait))).is_err());
    immediate.close();
    assert_eq!(run_through(&event_loop), 0);
    log.expect("check check check");
}

#[test]
fn wake_ups_that_came_with_one_that_panics_are_not_lost() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for number in 0..4 {
        let noted = log.clone();
        let wake = Async::new(&event_loop, move |_, wake| {
            noted.note(number);
            wake.close();
            assert!(number % 2 == 1, "on purpose");
        });
        wake.sender().send();
    }
    assert_eq!(run_through(&event_loop), 2);
    log.expect("0 1 2 3");
}

#[test]
fn close_callbacks_behind_one_that_panics_still_run() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    Timer::new(&event_loop).close_with(log.noting_once("closed"));
    Timer::new(&event_loop).close_with(|_| panic!("on purpose"));
    assert_eq!(run_through(&event_loop), 1);
    log.expect("closed");
}

#[test]
fn a_streams_requests_end_one_by_one_through_panics() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    let stream =
        TcpStream::connect(&event_loop, listener.local_address().unwrap(), |_, _, _| panic!("on purpose"))
            .unwrap();
    for number in 0..3 {
        let noted = log.clone();
        stream
            .write("data", move |_, _, result| {
                noted.note(number);
                assert!(result.is_ok(), "on purpose");
            })
            .unwrap();
    }
    stream.close_with(log.noting_once("closed"));
    listener.close();
    assert_eq!(run_through(&event_loop), 4);
    log.expect("0 1 2 closed");
}

#[test]
fn running_a_loop_from_its_own_callback_panics_and_harms_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    after(&event_loop, MS, |event_loop| {
        event_loop.run(RunMode::NoWait);
    });
    after(&event_loop, 2 * MS, log.noting_once("timer"));
    assert_eq!(run_through(&event_loop), 1);
    log.expect("timer");
}

#[test]
fn a_shutdown_behind_a_write_that_panics_still_happens() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
    listener.listen(1, |_, listener, _| listener.close()).unwrap();
    let noted = log.clone();
    TcpStream::connect(&event_loop, listener.local_address().unwrap(), move |_, stream, _| {
        stream.write("data", |_, _, _| panic!("on purpose")).unwrap();
        let noted = noted.clone();
        stream
            .shutdown(move |_, stream, _| {
                noted.note("shutdown");
                stream.close();
            })
            .unwrap();
    })
    .unwrap();
    assert_eq!(run_through(&event_loop), 1);
    log.expect("shutdown");
}

#[test]
fn completions_behind_one_that_panics_call_back_in_the_next_run() {
    let log = Log::default();
    let pool = Pool::builder().threads(1).build().unwrap();
    let on_one_thread = EventLoop::builder().pool(&pool).build().unwrap();
    for name in ["a", "panics", "b", "c"] {
        let noted = log.clone();
        on_one_thread.queue_work(
            TaskKind::Work,
            || (),
            move |_, result| {
                result.unwrap();
                assert_ne!(name, "panics", "on purpose");
                noted.note(name);
            },
        );
    }
    // All have ended before the loop looks, so they come together.
    pool.shut_down();
    assert_eq!(run_through(&on_one_thread), 1);
    log.expect("a b c");
}

#[test]
fn a_loop_with_requests_tasks_and_handles_of_all_kinds_under_way_can_be_dropped() {
    let log = Log::default();
    let gate = Gate::default();
    let event_loop = EventLoop::builder().build().unwrap();
    let held = |log: &Log| NotesDrop(log.clone());
    let (of_work, of_request, of_tick) = (gate.clone(), held(&log), held(&log));
    event_loop.queue_work(TaskKind::Work, move || of_work.pass(), move |_, _| drop(of_request));
    let of_task = held(&log);
    let local = event_loop.handle();
    event_loop.spawn_local(async move {
        let _of_task = of_task;
        local.work(TaskKind::Work, || ()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let of_timeout = held(&log);
    event_loop.set_timeout(3_600_000.0, move |_, _| of_timeout.0.note("never"));
    event_loop.run(RunMode::NoWait);
    event_loop.next_tick(move |_| drop(of_tick));
    let of_immediate = held(&log);
    event_loop.set_immediate(move |_| drop(of_immediate));
    drop(event_loop);
    log.expect("dropped dropped dropped dropped dropped");
    gate.open();
}

struct NotesDrop(Log);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}
