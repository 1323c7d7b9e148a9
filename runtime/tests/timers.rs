//! Timers: when they call back, and in which order.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{Log, MS, after, busy};
use loopscope_runtime::{Error, EventLoop, RunMode, Timer};

#[test]
fn timers_call_back_in_the_order_in_which_they_are_due() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for ms in [3, 1, 2] {
        after(&event_loop, ms * MS, log.noting_once(ms));
    }
    assert!(!event_loop.run(RunMode::Default));
    log.expect("1 2 3");
}

#[test]
fn timers_with_the_same_timeout_call_back_in_the_order_in_which_they_were_started() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let timers = [0, 1, 2].map(|_| Timer::new(&event_loop));
    for number in [2, 0, 1] {
        timers[number].start(MS, log.noting(number)).unwrap();
    }
    // Starting it again puts a timer behind the others.
    timers[2].start(MS, log.noting(2)).unwrap();
    event_loop.run(RunMode::Default);
    log.expect("0 1 2");
}

#[test]
fn a_timer_never_fires_early() {
    let event_loop = EventLoop::new().unwrap();
    let fired = Rc::new(Cell::new(0));
    for microseconds in (0..5000).step_by(50) {
        // The loop's time grows old while the program is busy: it must not be what counts.
        busy(Duration::from_micros(10));
        let (start, timeout) = (Instant::now(), Duration::from_micros(microseconds));
        let fired = Rc::clone(&fired);
        after(&event_loop, timeout, move |event_loop| {
            assert!(start.elapsed() >= timeout, "{:?} of {timeout:?}", start.elapsed());
            fired.set(fired.get() + 1);
            busy(Duration::from_micros(20));
            let (start, fired) = (Instant::now(), Rc::clone(&fired));
            after(event_loop, timeout, move |_| {
                assert!(start.elapsed() >= timeout);
                fired.set(fired.get() + 1);
            });
        });
    }
    event_loop.run(RunMode::Default);
    assert_eq!(fired.get(), 200);
}

#[test]
fn a_timer_without_timeout_that_restarts_itself_runs_once_an_iteration() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let timer = Timer::new(&event_loop);
    fn again(log: &Log, timer: &Timer) {
        let noted = log.clone();
        timer
            .start(Duration::ZERO, move |event_loop, timer| {
                noted.note("timer");
                again(&noted, timer);
                event_loop.set_immediate(noted.noting_once("check"));
            })
            .unwrap();
    }
    again(&log, &timer);
    for _ in 0..3 {
        event_loop.run(RunMode::NoWait);
    }
    log.expect("timer check timer check timer");
}

#[test]
fn a_repeating_timer_that_is_due_runs_once_in_one_iteration() {
    for mode in [RunMode::Once, RunMode::NoWait] {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let timer = Timer::new(&event_loop);
        timer.start_repeating(MS, MS, log.noting("timer")).unwrap();
        busy(10 * MS);
        assert!(event_loop.run(mode));
        log.expect("timer");
    }
}

#[test]
fn a_timer_repeats_until_it_is_stopped() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let timer = Timer::new(&event_loop);
    let noted = log.clone();
    timer
        .start_repeating(2 * MS, MS, move |_, timer| {
            noted.note(timer.repeat().as_millis());
            assert!(timer.is_active(), "it is started again before its callback");
            if noted.len() == 3 {
                timer.stop();
            }
        })
        .unwrap();
    assert!(!event_loop.run(RunMode::Default));
    log.expect("1 1 1");
}

#[test]
fn again_starts_a_repeating_timer_anew() {
    let event_loop = EventLoop::new().unwrap();
    let timer = Timer::new(&event_loop);
    assert_eq!(timer.again(), Err(Error::NotStarted));
    timer.start(1000 * MS, |_, _| {}).unwrap();
    timer.again().unwrap();
    assert!(timer.due_in().unwrap() > 900 * MS, "one that does not repeat is left alone");

    timer.start_repeating(1000 * MS, 500 * MS, |_, _| {}).unwrap();
    timer.again().unwrap();
    let due_in = timer.due_in().unwrap();
    assert!(due_in > 400 * MS && due_in <= 500 * MS, "{due_in:?}");
    timer.set_repeat(Duration::ZERO);
    timer.again().unwrap();
    assert_eq!(timer.repeat(), Duration::ZERO);
    assert!(timer.is_active());
    timer.stop();
    timer.set_repeat(MS);
    timer.again().unwrap();
    assert!(timer.is_active(), "a stopped timer can be started anew");
    timer.stop();
}

#[test]
fn due_in_falls_to_zero_and_is_unknown_of_a_timer_that_is_not_active() {
    let event_loop = EventLoop::new().unwrap();
    let timer = Timer::new(&event_loop);
    assert_eq!(timer.due_in(), None);
    timer.start(MS, |_, timer| assert_eq!(timer.due_in(), None)).unwrap();
    assert_eq!(timer.due_in(), Some(MS));
    busy(2 * MS);
    event_loop.update_time();
    assert_eq!(timer.due_in(), Some(Duration::ZERO));
    event_loop.run(RunMode::Default);
}

#[test]
fn a_callback_may_stop_a_timer_that_is_due_in_the_same_phase() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let victim = Timer::new(&event_loop);
    let (noted, target) = (log.clone(), victim.clone());
    after(&event_loop, Duration::ZERO, move |_| {
        noted.note("first");
        target.stop();
    });
    victim.start(Duration::ZERO, log.noting("victim")).unwrap();
    after(&event_loop, Duration::ZERO, log.noting_once("last"));
    busy(MS);
    assert!(!event_loop.run(RunMode::Default));
    log.expect("first last");
}

#[test]
fn a_timer_that_is_due_and_restarted_by_another_waits_for_its_new_time() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let moved = Timer::new(&event_loop);
    let (noted, target) = (log.clone(), moved.clone());
    after(&event_loop, Duration::ZERO, move |event_loop| {
        target.start(Duration::ZERO, noted.noting("moved")).unwrap();
        event_loop.set_immediate(noted.noting_once("check"));
    });
    moved.start(Duration::ZERO, log.noting("never")).unwrap();
    busy(MS);
    event_loop.run(RunMode::Default);
    log.expect("check moved");
}

#[test]
fn a_timer_that_only_the_loop_holds_still_calls_back() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    drop(after(&event_loop, MS, log.noting_once("timer")));
    event_loop.run(RunMode::Default);
    log.expect("timer");
}

#[test]
fn a_due_timer_that_is_unreferenced_does_not_run_when_nothing_keeps_the_loop_alive() {
    let event_loop = EventLoop::new().unwrap();
    let timer = after(&event_loop, Duration::ZERO, |_| unreachable!());
    timer.unreference();
    busy(MS);
    assert!(!event_loop.run(RunMode::Default));
}

#[test]
fn huge_timeouts_wait() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    for timeout in [Duration::MAX, Duration::from_nanos(u64::MAX), Duration::from_secs(1 << 40)] {
        let timer = Timer::new(&event_loop);
        timer.start_repeating(timeout, Duration::MAX, |_, _| unreachable!()).unwrap();
        timer.unreference();
    }
    after(&event_loop, MS, log.noting_once("short"));
    event_loop.run(RunMode::Default);
    log.expect("short");
}

#[test]
fn a_closed_timer_cannot_be_started() {
    let event_loop = EventLoop::new().unwrap();
    let timer = Timer::new(&event_loop);
    timer.start(Duration::ZERO, |_, _| unreachable!()).unwrap();
    timer.close();
    assert!(timer.is_closing() && !timer.is_active());
    assert_eq!(timer.start(MS, |_, _| {}), Err(Error::Closed));
    assert_eq!(timer.again(), Err(Error::Closed));
    event_loop.run(RunMode::Default);
    assert_eq!(timer.start(MS, |_, _| {}), Err(Error::Closed));
}

#[test]
fn a_callback_may_replace_itself() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let timer = Timer::new(&event_loop);
    let noted = log.clone();
    timer
        .start(MS, move |_, timer| {
            noted.note("first");
            timer.start(MS, noted.noting("second")).unwrap();
        })
        .unwrap();
    event_loop.run(RunMode::Default);
    log.expect("first second");
}

#[test]
fn a_timer_that_outlives_its_loop_can_be_stopped() {
    let event_loop = EventLoop::new().unwrap();
    let timers = [1, 2, 3].map(|ms| after(&event_loop, ms * MS, |_| unreachable!()));
    drop(event_loop);
    timers.iter().for_each(Timer::stop);
    assert!(timers.iter().all(|timer| !timer.is_active() && timer.is_closing()));
}

#[test]
fn starting_a_timer_twice_forgets_the_first_start() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let timer = Timer::new(&event_loop);
    timer.start(MS, log.noting("first")).unwrap();
    timer.start(2 * MS, log.noting("second")).unwrap();
    event_loop.run(RunMode::Default);
    log.expect("second");
}

#[test]
fn a_huge_repetition_does_not_come_round_to_a_short_one() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let huge = Timer::new(&event_loop);
    huge.start_repeating(MS, Duration::MAX, log.noting("huge")).unwrap();
    let small = Timer::new(&event_loop);
    let (noted, other) = (log.clone(), huge.clone());
    let mut left = 3;
    let repeat = move |_: &EventLoop, small: &Timer| {
        noted.note("small");
        left -= 1;
        if left == 0 {
            small.close();
            other.close();
        }
    };
    small.start_repeating(2 * MS, MS, repeat).unwrap();
    event_loop.run(RunMode::Default);
    log.expect("huge small small small");
}
