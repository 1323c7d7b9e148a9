//! Running a loop: its modes, stopping it, and what keeps it alive.

mod common;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{Log, MS, after, busy, spin};
use loopscope_runtime::{Async, Check, EventLoop, Idle, Prepare, RunMode, TcpListener, Timer};

#[test]
fn a_loop_with_nothing_to_do_ends_at_once() {
    let event_loop = EventLoop::new().unwrap();
    for mode in [RunMode::Default, RunMode::Once, RunMode::NoWait] {
        assert!(!event_loop.is_alive());
        assert!(!event_loop.run(mode));
    }
}

#[test]
fn a_loop_is_alive_while_something_is_active_and_referenced() {
    let event_loop = EventLoop::new().unwrap();
    let timer = Timer::new(&event_loop);
    assert!(!event_loop.is_alive(), "the timer is not started");
    timer.start(1000 * MS, |_, _| {}).unwrap();
    assert!(event_loop.is_alive());
    timer.unreference();
    timer.unreference();
    assert!(!event_loop.is_alive() && timer.is_active() && !timer.has_ref());
    timer.reference();
    assert!(event_loop.is_alive() && timer.has_ref());
    timer.stop();
    assert!(!event_loop.is_alive() && !timer.is_active());
    timer.close();
    assert!(event_loop.is_alive(), "a handle that is being closed keeps the loop alive");
    event_loop.run(RunMode::Default);
    assert!(!event_loop.is_alive());
}

#[test]
fn handles_of_every_type_that_are_unreferenced_let_the_loop_end() {
    let event_loop = EventLoop::new().unwrap();
    macro_rules! expect_ends {
        ($($handle:expr),+) => {$(
            let handle = $handle;
            assert!(event_loop.is_alive(), "{}", stringify!($handle));
            handle.unreference();
            assert!(!event_loop.run(RunMode::Default), "{}", stringify!($handle));
            handle.reference();
            assert!(handle.is_active() && event_loop.is_alive(), "{}", stringify!($handle));
            handle.close();
            event_loop.run(RunMode::Default);
            assert!(handle.is_closing() && !handle.is_active(), "{}", stringify!($handle));
        )+};
    }
    fn started<H>(handle: H, start: impl FnOnce(&H)) -> H {
        start(&handle);
        handle
    }
    expect_ends!(
        started(Idle::new(&event_loop), |idle| idle.start(|_, _| {}).unwrap()),
        started(Prepare::new(&event_loop), |prepare| prepare.start(|_, _| {}).unwrap()),
        started(Check::new(&event_loop), |check| check.start(|_, _| {}).unwrap()),
        started(Timer::new(&event_loop), |timer| timer.start(1000 * MS, |_, _| {}).unwrap()),
        Async::new(&event_loop, |_, _| {}),
        started(TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap(), |listener| {
            listener.listen(1, |_, _, _| {}).unwrap();
        })
    );
}

#[test]
fn stopping_ends_the_run_with_the_current_iteration() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let prepare = Prepare::new(&event_loop);
    let noted = log.clone();
    prepare
        .start(move |event_loop, _| {
            noted.note("prepare");
            event_loop.stop();
        })
        .unwrap();
    let check = Check::new(&event_loop);
    check.start(log.noting("check")).unwrap();
    // Nothing would wake the poll: stopping keeps it from waiting.
    assert!(event_loop.run(RunMode::Default));
    log.expect("prepare check");
    assert!(event_loop.run(RunMode::Default), "the loop can be run again");
    log.expect("prepare check");
}

#[test]
fn stopping_before_the_run_lets_nothing_run_and_counts_once() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    after(&event_loop, Duration::ZERO, log.noting_once("timer"));
    event_loop.stop();
    assert!(event_loop.run(RunMode::Default));
    log.expect("");
    assert!(!event_loop.run(RunMode::Default));
    log.expect("timer");
}

#[test]
fn one_iteration_waits_for_a_timer_and_runs_it() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    after(&event_loop, 20 * MS, log.noting_once("timer"));
    let start = Instant::now();
    assert!(!event_loop.run(RunMode::Once));
    assert!(start.elapsed() >= 20 * MS);
    log.expect("timer");
}

#[test]
fn an_iteration_that_may_not_wait_does_not_wait() {
    let event_loop = EventLoop::new().unwrap();
    let timer = after(&event_loop, Duration::from_secs(3600), |_| unreachable!());
    assert!(event_loop.run(RunMode::NoWait));
    timer.close();
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn the_timeout_tells_how_long_the_poll_would_wait() {
    let event_loop = EventLoop::new().unwrap();
    assert_eq!(event_loop.timeout(), Some(Duration::ZERO), "nothing to wait for");
    let wake = Async::new(&event_loop, |_, _| {});
    assert_eq!(event_loop.timeout(), None);
    let timer = after(&event_loop, 50 * MS, |_| {});
    let timeout = event_loop.timeout().unwrap();
    assert!(timeout > Duration::ZERO && timeout <= 50 * MS, "{timeout:?}");
    let idle = spin(&event_loop);
    assert_eq!(event_loop.timeout(), Some(Duration::ZERO));
    idle.close();
    timer.close();
    wake.close();
    assert_eq!(event_loop.timeout(), Some(Duration::ZERO), "close callbacks are to run");
    event_loop.run(RunMode::Default);
}

#[test]
fn a_loop_can_be_put_into_another_ones_poll() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let wake = Async::new(&event_loop, log.noting("woken"));
    let sender = wake.sender();
    let thread = std::thread::spawn(move || sender.send());
    let mut watched = [rustix::event::PollFd::new(&event_loop, rustix::event::PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut watched, None).unwrap(), 1);
    assert!(event_loop.as_fd().try_clone_to_owned().is_ok());
    event_loop.run(RunMode::NoWait);
    log.expect("woken");
    thread.join().unwrap();
}

#[test]
fn a_process_may_have_a_loop_on_every_thread_and_several_on_one() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(|| {
                let (first, second) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
                let log = Log::default();
                after(&first, MS, log.noting_once("first"));
                let (noted, inner) = (log.clone(), second);
                after(&first, 2 * MS, move |_| {
                    after(&inner, MS, noted.noting_once("second"));
                    inner.run(RunMode::Default);
                });
                first.run(RunMode::Default);
                log.take()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), "first second");
    }
}

#[test]
fn updating_the_time_makes_it_the_time_of_the_call() {
    let event_loop = EventLoop::new().unwrap();
    let before = event_loop.now();
    busy(2 * MS);
    assert_eq!(event_loop.now(), before);
    event_loop.update_time();
    assert!(event_loop.now().since_ns(before) >= 2_000_000);
}

#[test]
fn dropping_a_loop_drops_what_it_holds_and_closes_what_outlives_it() {
    struct Noisy(Log);
    impl Drop for Noisy {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }
    let log = Log::default();
    let event_loop = EventLoop::new().unwrap();
    let held = Noisy(log.clone());
    let timer = Timer::new(&event_loop);
    let itself = timer.clone();
    timer.start(MS, move |_, _| log_of(&held).note(itself.is_active())).unwrap();
    let held = Noisy(log.clone());
    event_loop.next_tick(move |_| drop(held));
    let held = Noisy(log.clone());
    event_loop.set_immediate(move |_| drop(held));
    let held = Noisy(log.clone());
    let wake = Async::new(&event_loop, move |_, _| log_of(&held).note("called"));
    let sender = wake.sender();
    drop(event_loop);
    log.expect("dropped dropped dropped dropped");
    assert!(timer.is_closing() && !timer.is_active() && wake.is_closing());
    assert!(timer.start(MS, |_, _| {}).is_err());
    timer.close();
    sender.send();
    log.expect("");

    fn log_of(noisy: &Noisy) -> &Log {
        &noisy.0
    }
}

#[test]
fn an_embedded_loop_runs_by_its_descriptor_and_its_timeout_alone() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    let wake = Async::new(&event_loop, move |_, wake| {
        noted.note("woken");
        wake.close();
    });
    let sender = wake.sender();
    after(&event_loop, 3 * MS, log.noting_once("timer"));
    let noted = log.clone();
    let done = event_loop.queue_work(
        loopscope_runtime::TaskKind::Work,
        || (),
        move |_, _| {
            noted.note("work");
            sender.send();
        },
    );
    event_loop.next_tick(log.noting_once("tick"));
    // Somebody else's loop, in whose poll this one's descriptor is.
    while event_loop.run(RunMode::NoWait) {
        let mut watched = [rustix::event::PollFd::new(&event_loop, rustix::event::PollFlags::IN)];
        let timeout = event_loop.timeout().map(|timeout| rustix::event::Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        rustix::event::poll(&mut watched, timeout.as_ref()).unwrap();
    }
    drop(done);
    let order = log.take();
    assert!(order.starts_with("tick "), "{order}");
    let mut rest: Vec<_> = order.split(' ').skip(1).collect();
    rest.sort_unstable();
    assert_eq!(rest, ["timer", "woken", "work"]);
}
