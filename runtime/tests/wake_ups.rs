//! Waking a loop from other threads.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::Log;
use loopscope_runtime::{Async, AsyncSender, EventLoop, RunMode};

#[test]
fn another_thread_wakes_a_loop_that_waits() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    let wake = Async::new(&event_loop, move |_, wake| {
        noted.note("woken");
        wake.close();
    });
    let sender = wake.sender();
    let thread = std::thread::spawn(move || sender.send());
    event_loop.run(RunMode::Default);
    log.expect("woken");
    thread.join().unwrap();
}

#[test]
fn sends_coalesce_until_the_callback_begins() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    let wake = Async::new(&event_loop, move |_, wake| {
        noted.note("called");
        if noted.len() == 1 {
            // One sent from inside is a new one, and comes in the next iteration.
            wake.sender().send();
            wake.sender().send();
        }
    });
    for _ in 0..5 {
        wake.sender().send();
    }
    event_loop.run(RunMode::NoWait);
    log.expect("called");
    log.note("");
    event_loop.run(RunMode::NoWait);
    log.expect(" called");
    event_loop.run(RunMode::NoWait);
    log.expect("");
}

#[test]
fn no_send_is_lost_between_threads() {
    const SENDS: u64 = 20_000;
    const THREADS: u64 = 3;
    let event_loop = EventLoop::new().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let seen = Rc::new(Cell::new(0));
    let (latest, incoming) = (Rc::clone(&seen), Arc::clone(&sent));
    let wake = Async::new(&event_loop, move |_, wake| {
        latest.set(incoming.load(Ordering::Relaxed));
        if latest.get() == SENDS * THREADS {
            wake.close();
        }
    });
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (sender, sent) = (wake.sender(), Arc::clone(&sent));
            std::thread::spawn(move || {
                for _ in 0..SENDS {
                    sent.fetch_add(1, Ordering::Relaxed);
                    sender.send();
                }
            })
        })
        .collect();
    // Were a wake-up lost, this would wait forever.
    event_loop.run(RunMode::Default);
    assert_eq!(seen.get(), SENDS * THREADS);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn each_of_many_handles_gets_its_own_signals() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let handles: Vec<_> = (0..200).map(|number| Async::new(&event_loop, log.noting(number))).collect();
    for number in [199, 0, 64, 63, 128] {
        handles[number].sender().send();
    }
    event_loop.run(RunMode::NoWait);
    log.expect("0 63 64 128 199");
    handles.iter().for_each(Async::close);
    event_loop.run(RunMode::Default);
}

#[test]
fn the_sender_of_a_closed_handle_wakes_nobody() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let closed = Async::new(&event_loop, log.noting("closed"));
    let sender: AsyncSender = closed.sender();
    sender.send();
    closed.close();
    event_loop.run(RunMode::NoWait);
    // It takes the place that the closed one had.
    let other = Async::new(&event_loop, log.noting("other"));
    sender.clone().send();
    event_loop.run(RunMode::NoWait);
    log.expect("");
    other.sender().send();
    event_loop.run(RunMode::NoWait);
    log.expect("other");
}
