//! Signal handles.

mod common;
mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{Log, MS, after, spin};
use loopscope_runtime::{Async, Error, EventLoop, RunMode, Signal};
use support::{in_child, wait_until};

/// Each test has signals of its own, for they are the process's.
fn real_time(number: i32) -> i32 {
    libc::SIGRTMIN() + number
}

/// To this thread, so that it has been caught when the call returns.
fn send(signal: i32) {
    // SAFETY: the tests watch the signals that they send.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

#[test]
fn a_handle_calls_back_each_time_that_its_signal_comes() {
    let event_loop = EventLoop::new().unwrap();
    let signal = Signal::new(&event_loop);
    let came = Rc::new(Cell::new(0));
    let count = Rc::clone(&came);
    let number = real_time(0);
    signal
        .start(number, move |_, signal, caught| {
            assert_eq!(caught, number);
            count.set(count.get() + 1);
            if count.get() == 3 {
                signal.close();
            } else {
                send(number);
            }
        })
        .unwrap();
    assert_eq!(signal.number(), Some(number));
    send(number);
    event_loop.run(RunMode::Default);
    assert_eq!(came.get(), 3);
}

#[test]
fn signals_come_in_their_order_and_to_those_that_want_them_once_last() {
    in_child("signals_come_in_their_order_and_to_those_that_want_them_once_last", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let start = |name: &'static str, number: i32, once: bool| {
            let (signal, noted) = (Signal::new(&event_loop), log.clone());
            let callback = move |_: &EventLoop, _: &Signal, _: i32| noted.note(name);
            match once {
                true => signal.start_once(number, callback).unwrap(),
                false => signal.start(number, callback).unwrap(),
            }
            signal
        };
        let signals = [
            start("once", libc::SIGUSR1, true),
            start("first", libc::SIGUSR1, false),
            start("second", libc::SIGUSR1, false),
            start("other", libc::SIGUSR2, false),
        ];
        for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGUSR1] {
            send(signal);
        }
        event_loop.run(RunMode::Once);
        log.expect("first second once other first second");
        assert!(!signals[0].is_active());
        signals.iter().for_each(Signal::close);
        event_loop.run(RunMode::Default);
    });
}

#[test]
fn signals_are_told_after_everything_else_that_a_poll_gave() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let signal = Signal::new(&event_loop);
    let noted = log.clone();
    signal
        .start(real_time(1), move |_, signal, _| {
            noted.note("signal");
            signal.close();
        })
        .unwrap();
    send(real_time(1));
    for _ in 0..3 {
        let noted = log.clone();
        let wake = Async::new(&event_loop, move |_, wake| {
            noted.note("async");
            wake.close();
        });
        wake.sender().send();
    }
    event_loop.set_immediate(log.noting_once("check"));
    event_loop.run(RunMode::Default);
    log.expect("async async async signal check");
}

#[test]
fn several_loops_watch_one_signal() {
    // libuv's signal_multiple_loops.
    static CAUGHT: AtomicUsize = AtomicUsize::new(0);
    let number = real_time(2);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let thread = thread::spawn(move || {
                let event_loop = EventLoop::new().unwrap();
                for _ in 0..2 {
                    let signal = Signal::new(&event_loop);
                    let mut left = 3;
                    signal
                        .start(number, move |_, signal, _| {
                            CAUGHT.fetch_add(1, Ordering::SeqCst);
                            left -= 1;
                            if left == 0 {
                                signal.close();
                            }
                        })
                        .unwrap();
                }
                ready.send(()).unwrap();
                event_loop.run(RunMode::Default);
            });
            is_ready.recv().unwrap();
            thread
        })
        .collect();
    for round in 1..=3 {
        send(number);
        wait_until("all handles were called", || CAUGHT.load(Ordering::SeqCst) == round * 8);
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn loops_that_come_and_go_while_signals_rain_lose_none_and_break_nothing() {
    let number = real_time(3);
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let watching = EventLoop::new().unwrap();
    let always = Signal::new(&watching);
    always.start(number, |_, _, _| {}).unwrap();
    let rain = {
        let stop = std::sync::Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                send(number);
                thread::yield_now();
            }
        })
    };
    let loops: Vec<_> = (0..3)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..100 {
                    let event_loop = EventLoop::new().unwrap();
                    let signal = Signal::new(&event_loop);
                    signal.start(number, |_, signal, _| signal.close()).unwrap();
                    event_loop.run(RunMode::Default);
                }
            })
        })
        .collect();
    loops.into_iter().for_each(|thread| thread.join().unwrap());
    stop.store(true, Ordering::SeqCst);
    rain.join().unwrap();
    always.close();
    watching.run(RunMode::Default);
}

#[test]
fn a_handle_that_is_stopped_is_not_told_what_came_before() {
    let event_loop = EventLoop::new().unwrap();
    let number = real_time(4);
    let (one, other) = (Signal::new(&event_loop), Signal::new(&event_loop));
    let stopped = other.clone();
    one.start(number, move |_, one, _| {
        stopped.stop();
        one.close();
    })
    .unwrap();
    other.start(number, |_, _, _| unreachable!()).unwrap();
    send(number);
    event_loop.run(RunMode::Default);
    assert_eq!(other.number(), None);
}

#[test]
fn a_handle_that_is_closed_with_a_signal_pending_closes_once_and_is_told_nothing() {
    // libuv's signal_pending_on_close.
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let number = real_time(5);
    let watching = Signal::new(&event_loop);
    watching.start(number, |_, _, _| {}).unwrap();
    let signal = Signal::new(&event_loop);
    signal.start(number, |_, _, _| unreachable!()).unwrap();
    send(number);
    signal.close_with(log.noting_once("closed"));
    watching.unreference();
    event_loop.run(RunMode::Default);
    log.expect("closed");
}

#[test]
fn a_loop_whose_only_handle_is_unreferenced_ends_and_one_that_is_closing_does_not_before() {
    // libuv's signal_close_loop_alive.
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let signal = Signal::new(&event_loop);
    signal.start(real_time(6), |_, _, _| unreachable!()).unwrap();
    signal.unreference();
    assert!(!event_loop.run(RunMode::Default));
    signal.close_with(log.noting_once("closed"));
    assert!(event_loop.is_alive());
    assert!(!event_loop.run(RunMode::Default));
    log.expect("closed");
}

#[test]
fn starting_again_changes_the_callback_or_the_signal() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (one, other) = (real_time(7), real_time(8));
    let signal = Signal::new(&event_loop);
    signal.start(one, |_, _, _| unreachable!()).unwrap();
    let noted = log.clone();
    signal
        .start(one, move |_, signal, _| {
            noted.note("one");
            let noted = noted.clone();
            signal
                .start_once(other, move |_, _, number| {
                    assert_eq!(number, other);
                    noted.note("other");
                })
                .unwrap();
            send(other);
        })
        .unwrap();
    send(one);
    event_loop.run(RunMode::Default);
    log.expect("one other");
    assert!(!signal.is_active());
}

#[test]
fn what_is_no_signal_or_cannot_be_caught_is_refused() {
    let event_loop = EventLoop::new().unwrap();
    let signal = Signal::new(&event_loop);
    for number in [-1, 0, 65, i32::MAX, libc::SIGKILL, libc::SIGSTOP] {
        let refused = signal.start(number, |_, _, _| unreachable!()).unwrap_err();
        assert_eq!(refused.code(), libc::EINVAL, "{number}");
        assert!(!signal.is_active());
    }
    signal.close();
    assert_eq!(signal.start(libc::SIGHUP, |_, _, _| unreachable!()), Err(Error::Closed));
}

#[test]
fn more_signals_than_wait_in_order_are_told_at_least_once_each() {
    in_child("more_signals_than_wait_in_order_are_told_at_least_once_each", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let counts = Rc::new(RefCell::new([0; 2]));
        let signals: Vec<_> = [libc::SIGUSR1, libc::SIGUSR2]
            .into_iter()
            .enumerate()
            .map(|(index, number)| {
                let (signal, counts) = (Signal::new(&event_loop), Rc::clone(&counts));
                signal.start(number, move |_, _, _| counts.borrow_mut()[index] += 1).unwrap();
                signal
            })
            .collect();
        for number in [vec![libc::SIGUSR1; 400], vec![libc::SIGUSR2; 3]].concat() {
            send(number);
        }
        event_loop.run(RunMode::NoWait);
        let [first, second] = *counts.borrow();
        assert!((250..=400).contains(&first), "{first}");
        assert!((1..=3).contains(&second), "{second}");
        drop(signals);
    });
}

#[test]
fn the_systems_own_reaction_is_back_when_nobody_watches_any_more() {
    in_child("the_systems_own_reaction_is_back_when_nobody_watches_any_more", &[], || {
        let action = || {
            // SAFETY: the action is filled in by the call.
            unsafe {
                let mut action: libc::sigaction = std::mem::zeroed();
                assert_eq!(libc::sigaction(libc::SIGHUP, std::ptr::null(), &mut action), 0);
                (action.sa_sigaction, action.sa_flags & libc::SA_RESETHAND != 0)
            }
        };
        let event_loop = EventLoop::new().unwrap();
        let (once, regular) = (Signal::new(&event_loop), Signal::new(&event_loop));
        once.start_once(libc::SIGHUP, |_, _, _| {}).unwrap();
        assert!(action().1, "a second one would end the process");
        regular.start(libc::SIGHUP, |_, _, _| {}).unwrap();
        assert!(!action().1);
        regular.stop();
        assert!(action().1);
        once.close();
        assert_eq!(action(), (libc::SIG_DFL, false));
        regular.start(libc::SIGHUP, |_, _, _| {}).unwrap();
        assert_ne!(action().0, libc::SIG_DFL);
        drop((once, regular));
        drop(event_loop);
        assert_eq!(action().0, libc::SIG_DFL, "the loop is gone");
    });
}

#[test]
fn signals_that_interrupt_a_busy_loop_are_told() {
    let event_loop = EventLoop::new().unwrap();
    let idle = spin(&event_loop);
    let signal = Signal::new(&event_loop);
    signal
        .start(real_time(9), move |_, signal, _| {
            idle.close();
            signal.close();
        })
        .unwrap();
    after(&event_loop, MS, |_| send(real_time(9)));
    event_loop.run(RunMode::Default);
}

#[test]
fn a_panic_in_a_callback_loses_no_other_signal() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (panicking, calm) = (Signal::new(&event_loop), Signal::new(&event_loop));
    panicking.start_once(real_time(10), |_, _, _| panic!("on purpose")).unwrap();
    let noted = log.clone();
    calm.start_once(real_time(11), move |_, _, _| noted.note("calm")).unwrap();
    send(real_time(10));
    send(real_time(11));
    let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| event_loop.run(RunMode::Default)));
    assert!(run().is_err());
    assert!(!panicking.is_active());
    assert!(run().is_ok());
    log.expect("calm");
}

#[test]
fn a_handle_that_wants_one_call_stops_behind_it_also_if_the_callback_starts_it_anew() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (signal, number) = (Signal::new(&event_loop), real_time(12));
    // While another handle watches, the signal does not end the process.
    let other = Signal::new(&event_loop);
    other.start(number, |_, _, _| {}).unwrap();
    let noted = log.clone();
    signal
        .start_once(number, move |event_loop, signal, _| {
            noted.note("called");
            signal.start(number, |_, _, _| unreachable!()).unwrap();
            signal.stop();
            signal.start_once(number, |_, _, _| unreachable!()).unwrap();
            let (signal, noted) = (signal.clone(), noted.clone());
            event_loop.set_immediate(move |_| {
                assert_eq!(signal.number(), None);
                signal.start(number, move |_, _, _| noted.note("later")).unwrap();
            });
        })
        .unwrap();
    send(number);
    while log.len() == 0 {
        event_loop.run(RunMode::Once);
    }
    assert_eq!(signal.number(), Some(number), "the immediate has started it");
    send(number);
    while log.count("later") == 0 {
        event_loop.run(RunMode::Once);
    }
    log.expect("called later");
}
