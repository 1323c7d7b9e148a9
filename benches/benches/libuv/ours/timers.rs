//! Timers, and iterations with nothing to do.

use std::cell::Cell;
use std::time::Duration;

use runtime::{EventLoop, Idle, RunMode, Timer};

/// As many timeouts as there are timers in `timer_restarts`.
const TIMEOUTS: usize = 10_000;

thread_local! {
    static FIRED: Cell<u64> = const { Cell::new(0) };
}

fn fired(_: &EventLoop, _: &Timer) {
    FIRED.set(FIRED.get() + 1);
}

pub(super) fn timers(event_loop: &EventLoop, count: u64) {
    let mut timers = Vec::with_capacity(count as usize);
    let mut timeout = Duration::ZERO;
    for number in 0..count {
        if number % 1000 == 0 {
            timeout += Duration::from_millis(1);
        }
        let timer = Timer::new(event_loop);
        timer.start(timeout, fired).expect("an open handle");
        timers.push(timer);
    }
    event_loop.run(RunMode::Default);
    timers.iter().for_each(Timer::close);
    event_loop.run(RunMode::Default);
    assert_eq!(FIRED.get(), count);
}

pub(super) fn restarts(event_loop: &EventLoop, count: u64) {
    let timers: Vec<_> = (0..TIMEOUTS).map(|_| Timer::new(event_loop)).collect();
    for timer in timers.iter().cycle().take(count as usize) {
        timer.start(Duration::from_secs(60), fired).expect("an open handle");
    }
    timers.iter().for_each(Timer::close);
    event_loop.run(RunMode::Default);
}

pub(super) fn iterations(event_loop: &EventLoop, count: u64) {
    let idle = Idle::new(event_loop);
    let mut left = count;
    let called = move |_: &EventLoop, idle: &Idle| {
        left -= 1;
        if left == 0 {
            idle.close();
        }
    };
    idle.start(called).expect("an open handle");
    event_loop.run(RunMode::Default);
}

pub(super) fn resting(event_loop: &EventLoop, count: u64) {
    let timer = Timer::new(event_loop);
    timer.start(Duration::from_millis(count), fired).expect("an open handle");
    event_loop.run(RunMode::Default);
}
