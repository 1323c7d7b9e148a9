//! The slow iterations that a loop keeps: which, how long, in which phases, and what ran.

mod common;
mod support;

use std::cell::RefCell;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use common::{MS, after, busy};
use loopscope_runtime::observe::publish::contents;
use loopscope_runtime::{Async, Check, EventLoop, RunMode, TaskKind};
use model::catalogue::EVENTLOOP_AWAY;
use model::label::Phase;
use model::segment::{Reader, ScopeKind, SlowCursor};
use model::snapshot::Value;
use model::time::Monotonic;
use support::{in_child, segment_of};

const SLOW: Duration = Duration::from_millis(4);

fn setup() -> EventLoop {
    EventLoop::builder().slow_iteration(SLOW).build().unwrap()
}

fn compute(_: &EventLoop) {
    busy(6 * MS);
}

#[test]
fn a_slow_iteration_is_kept_with_its_phases_and_what_ran() {
    let event_loop = setup();
    after(&event_loop, MS, |event_loop| {
        busy(5 * MS);
        event_loop.next_tick(compute);
    });
    event_loop.set_immediate(|_| busy(5 * MS));
    event_loop.run(RunMode::Default);
    let slow = event_loop.slow_iterations();
    let total: Duration = slow.iter().map(|iteration| iteration.duration).sum();
    assert!(total >= 16 * MS, "{slow:?}");
    let shares = slow.iter().flat_map(|iteration| &iteration.phases);
    let of = |phase| shares.clone().filter(|share| share.phase == phase).collect::<Vec<_>>();
    for (phase, at_least) in [(Phase::Timers, 5 * MS), (Phase::Check, 5 * MS), (Phase::Ticks, 6 * MS)] {
        let [share] = of(phase)[..] else { panic!("once in {phase:?}: {slow:?}") };
        assert!(share.duration >= at_least && share.callbacks == 1, "{slow:?}");
    }
    let ran: Vec<_> = slow.iter().flat_map(|iteration| iteration.ran.clone()).collect();
    assert!(ran.contains(&"timer"), "{ran:?}");
    assert!(ran.contains(&"slow_iterations::compute"), "{ran:?}");
    let closure = "slow_iterations::a_slow_iteration_is_kept_with_its_phases_and_what_ran::{{closure}}";
    assert!(ran.contains(&closure), "{ran:?}");
}

#[test]
fn what_a_task_a_request_and_handles_do_is_named() {
    let event_loop = setup();
    event_loop.spawn_local(async { busy(5 * MS) });
    event_loop.run(RunMode::Default);
    event_loop.queue_work(TaskKind::Work, || (), |_, _| busy(5 * MS));
    event_loop.run(RunMode::Default);
    let wake = Async::new(&event_loop, |_, wake| {
        busy(5 * MS);
        wake.close();
    });
    wake.sender().send();
    let check = Check::new(&event_loop);
    check.start(|_, check| check.close()).unwrap();
    event_loop.run(RunMode::Default);
    let slow = event_loop.slow_iterations();
    let ran: Vec<_> = slow.iter().flat_map(|iteration| iteration.ran.clone()).collect();
    let test = "slow_iterations::what_a_task_a_request_and_handles_do_is_named::{{closure}}";
    let named = ran.iter().filter(|name| **name == test).count();
    assert!(named >= 2, "the task and the request's callback: {ran:?}");
    assert!(ran.contains(&"async_handle") && ran.contains(&"watcher"), "{ran:?}");
}

#[test]
fn quick_iterations_are_not_kept_and_of_slow_ones_the_last() {
    let event_loop = EventLoop::builder().slow_iteration(Duration::from_secs(60)).build().unwrap();
    after(&event_loop, MS, |_| {});
    event_loop.run(RunMode::Default);
    assert_eq!(event_loop.slow_iterations(), []);

    let event_loop = EventLoop::builder().slow_iteration(Duration::from_micros(50)).build().unwrap();
    for number in 1..=40u64 {
        event_loop.set_immediate(move |_| busy(Duration::from_micros(50 * number)));
        event_loop.run(RunMode::Default);
    }
    let kept = event_loop.slow_iterations();
    assert_eq!(kept.len(), 32);
    assert!(kept.is_sorted_by_key(|iteration| iteration.began));
    assert!(kept.last().unwrap().duration >= Duration::from_micros(2000));
    assert!(kept.iter().all(|iteration| iteration.ran.len() == 1 && iteration.phases.len() == 1), "{kept:?}");
}

#[test]
fn a_loop_without_instruments_keeps_none() {
    let event_loop = EventLoop::builder().instruments(false).slow_iteration(SLOW).build().unwrap();
    event_loop.set_immediate(|_| busy(5 * MS));
    event_loop.run(RunMode::Default);
    assert_eq!(event_loop.slow_iterations(), []);
}

#[test]
fn an_iteration_has_nothing_of_one_before_it_that_panicked() {
    let event_loop = setup();
    event_loop.set_immediate(|event_loop| event_loop.next_tick(|_| busy(15 * MS)));
    event_loop.set_immediate(|_| panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))).is_err());
    event_loop.next_tick(compute);
    event_loop.run(RunMode::Default);
    let slow = event_loop.slow_iterations();
    let [iteration] = &slow[..] else { panic!("one that ended: {slow:?}") };
    let [share] = iteration.phases[..] else { panic!("once in one phase: {slow:?}") };
    assert!(share.phase == Phase::Ticks && share.callbacks == 1, "{slow:?}");
    assert!(share.duration <= iteration.duration, "{slow:?}");
    assert_eq!(iteration.ran, ["slow_iterations::compute"]);
}

/// The process's own segment, as another process would read it.
fn own_words() -> Vec<AtomicU64> {
    let mut bytes = Vec::new();
    segment_of(std::process::id()).unwrap().read_to_end(&mut bytes).unwrap();
    let words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
    words.map(AtomicU64::new).collect()
}

/// Since when each loop of the process is away from its poll, of those that are.
fn away_since() -> Vec<Monotonic> {
    let words = own_words();
    let away = Reader::open(&words).unwrap().away(|| Monotonic::from_ns(u64::MAX)).unwrap();
    away.iter().map(|away| away.since).collect()
}

#[test]
fn an_iteration_that_has_not_ended_can_be_seen_from_outside() {
    in_child("an_iteration_that_has_not_ended_can_be_seen_from_outside", &[], || {
        let event_loop = setup();
        assert_eq!(away_since(), [], "it does not run");
        let seen = Rc::new(RefCell::new(Vec::new()));
        // In the first iteration, behind a poll that waited, and behind one that found nothing and did not wait.
        let note = |seen: &Rc<RefCell<Vec<_>>>| {
            let seen = Rc::clone(seen);
            move |event_loop: &EventLoop| {
                busy(5 * MS);
                event_loop.update_time();
                seen.borrow_mut().push((away_since(), event_loop.now()));
            }
        };
        let (first, second) = (note(&seen), note(&seen));
        event_loop.next_tick(move |event_loop| {
            first(event_loop);
            after(event_loop, 20 * MS, second);
        });
        event_loop.run(RunMode::Default);
        assert_eq!(away_since(), [], "it has run");
        event_loop.set_immediate(note(&seen));
        event_loop.run(RunMode::NoWait);
        for (since, now) in seen.borrow().iter() {
            let [since] = since[..] else { panic!("one loop is away: {seen:?}") };
            assert!(
                (5 * MS..Duration::from_secs(60)).contains(&Duration::from_nanos(now.since_ns(since))),
                "{seen:?}"
            );
        }
        assert_eq!(seen.borrow().len(), 3);
        // What is published as away is what is told when it has ended.
        let began: Vec<_> = event_loop.slow_iterations().iter().map(|slow| slow.began).collect();
        assert_eq!(seen.borrow().iter().map(|it| it.0[0]).collect::<Vec<_>>(), began);
    });
}

#[test]
fn a_loop_that_waits_is_not_away_and_neither_is_one_that_a_panic_has_ended() {
    in_child("a_loop_that_waits_is_not_away_and_neither_is_one_that_a_panic_has_ended", &[], || {
        let event_loop = setup();
        let wake = Async::new(&event_loop, |_, wake| wake.close());
        let sender = wake.sender();
        let looking = std::thread::spawn(move || {
            // It is away until it waits; then it does so until it is woken.
            while !away_since().is_empty() {
                std::thread::sleep(MS);
            }
            std::thread::sleep(5 * MS);
            assert_eq!(away_since(), []);
            sender.send();
        });
        event_loop.run(RunMode::Default);
        looking.join().unwrap();
        event_loop.set_immediate(|_| panic!("on purpose"));
        assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))).is_err());
        assert_eq!(away_since(), []);
    });
}

/// An iteration whose loop had ended was once written into a place that another loop might have.
#[test]
fn a_loop_that_ends_within_a_callback_of_its_own_keeps_its_place_until_the_run_is_over() {
    let name = "a_loop_that_ends_within_a_callback_of_its_own_keeps_its_place_until_the_run_is_over";
    in_child(name, &[], || {
        let owner = Rc::new(RefCell::new(Some(setup())));
        let running = owner.borrow().as_ref().unwrap().handle();
        let next = Rc::new(RefCell::new(None));
        let loops = || {
            let scopes = contents().scopes.into_iter().filter(|scope| scope.kind == ScopeKind::Loop);
            scopes.collect::<Vec<_>>()
        };
        let own = loops()[0].index;
        running.set_immediate({
            let (owner, next) = (Rc::clone(&owner), Rc::clone(&next));
            move |_| {
                drop(owner.take());
                // More than are kept of those that have closed: one that begins now has the place of the first.
                drop((0..100).map(|_| setup()).collect::<Vec<_>>());
                *next.borrow_mut() = Some(setup());
                busy(5 * MS);
                assert_eq!(loops().len(), 2, "the one that runs and the next");
            }
        });
        running.run(RunMode::Default);

        let open = loops();
        let [of_next] = &open[..] else { panic!("one has not ended: {open:?}") };
        assert_ne!(of_next.index, own);
        for reading in &of_next.readings {
            let is_nothing = match &reading.value {
                Value::Counter(count) => *count == 0,
                Value::Histogram(histogram) => histogram.count() == 0,
                Value::Gauge(value) => reading.metric.id != EVENTLOOP_AWAY.id || *value == 0,
            };
            assert!(is_nothing, "it has not run: {reading:?}");
        }
        let words = own_words();
        let now = || Monotonic::from_ns(u64::MAX);
        let slow = Reader::open(&words).unwrap().slow_iterations(&mut SlowCursor::default(), now).unwrap();
        let of_loops: Vec<_> = slow.iterations.iter().map(|it| it.loop_index).collect();
        assert_eq!(of_loops, [own], "its last iteration is its own");
    });
}

#[test]
fn where_the_segment_gets_full_a_loop_has_all_metrics_before_it_has_a_ring() {
    in_child("where_the_segment_gets_full_a_loop_has_all_metrics_before_it_has_a_ring", &[], || {
        let mut loops = Vec::new();
        while contents().dropped_instruments == 0 {
            loops.extend((0..16).map(|_| setup()));
        }
        let contents = contents();
        let of_loops = contents.scopes.iter().filter(|scope| scope.kind == ScopeKind::Loop);
        let metrics: Vec<_> = of_loops.map(|scope| scope.readings.len()).collect();
        let whole = metrics.iter().filter(|count| **count == metrics[0]).count();
        let words = own_words();
        let read = Reader::open(&words).unwrap();
        let now = || Monotonic::from_ns(u64::MAX);
        let with_ring = read.slow_iterations(&mut SlowCursor::default(), now).unwrap().loops.len();
        assert!(with_ring > 0 && with_ring <= whole, "{with_ring} with a ring, of {whole}: {metrics:?}");
    });
}
