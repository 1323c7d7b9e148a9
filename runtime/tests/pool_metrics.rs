//! The metrics of the thread pool, one test each: they move with the pool, and rest without.
//!
//! They are the process's, so each test has a process of its own.

mod support;

use std::time::{Duration, Instant};
use std::{panic, thread};

use loopscope_runtime::pool::Pool;
use loopscope_runtime::{EventLoop, RunMode, TaskKind, dns, fs};
use model::catalogue::*;
use support::{Gate, counter, gauge, histogram, in_child, value_of, wait_until};

fn loop_on(threads: usize) -> EventLoop {
    EventLoop::builder().pool(&Pool::builder().threads(threads).build().unwrap()).build().unwrap()
}

/// Queues `count` tasks that wait at a gate.
fn queue_waiting(event_loop: &EventLoop, count: usize) -> Gate {
    let gate = Gate::default();
    for _ in 0..count {
        let gate = gate.clone();
        event_loop.queue_work(TaskKind::Work, move || gate.pass(), |_, result| result.unwrap());
    }
    gate
}

#[test]
fn queue_depth_returns_to_zero_after_drain() {
    in_child("queue_depth_returns_to_zero_after_drain", &[], || {
        let event_loop = loop_on(2);
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH, &[]), 0);
        let gate = queue_waiting(&event_loop, 7);
        wait_until("two tasks have started", || gate.waiting() == 2);
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH, &[]), 5);
        gate.open();
        event_loop.run(RunMode::Default);
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH, &[]), 0);
    });
}

#[test]
fn the_highest_queue_depth_is_remembered() {
    in_child("the_highest_queue_depth_is_remembered", &[], || {
        let event_loop = loop_on(1);
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH_MAX, &[]), 0);
        let gate = queue_waiting(&event_loop, 1);
        wait_until("the thread is busy", || gate.waiting() == 1);
        for _ in 0..9 {
            event_loop.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
        }
        gate.open();
        event_loop.run(RunMode::Default);
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH, &[]), 0);
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH_MAX, &[]), 9);
    });
}

#[test]
fn a_cancelled_task_leaves_the_queue_and_is_counted_as_cancelled() {
    in_child("a_cancelled_task_leaves_the_queue_and_is_counted_as_cancelled", &[], || {
        let event_loop = loop_on(1);
        let gate = queue_waiting(&event_loop, 1);
        wait_until("the thread is busy", || gate.waiting() == 1);
        let request = event_loop.queue_work(TaskKind::Zlib, || (), |_, result| assert!(result.is_err()));
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH, &[]), 1);
        request.cancel().unwrap();
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH, &[]), 0);
        gate.open();
        event_loop.run(RunMode::Default);
        assert_eq!(counter(&THREADPOOL_TASKS, &["zlib", "cancelled"]), 1);
        assert_eq!(counter(&THREADPOOL_TASKS, &["zlib", "done"]), 0);
        assert_eq!(histogram(&THREADPOOL_QUEUE_WAIT, &["zlib"]).count(), 0, "it never started");
        assert_eq!(histogram(&THREADPOOL_COMPLETION_DELAY, &["zlib"]).count(), 1, "but it did call back");
    });
}

#[test]
fn threads_are_counted_by_what_they_do() {
    in_child("threads_are_counted_by_what_they_do", &[], || {
        let threads = || (gauge(&THREADPOOL_THREADS, &["busy"]), gauge(&THREADPOOL_THREADS, &["idle"]));
        let pool = Pool::builder().threads(3).build().unwrap();
        let event_loop = EventLoop::builder().pool(&pool).build().unwrap();
        assert_eq!(threads(), (0, 0), "threads start when there is work");
        let gate = queue_waiting(&event_loop, 2);
        wait_until("two threads are busy", || threads() == (2, 0));
        gate.open();
        event_loop.run(RunMode::Default);
        wait_until("two threads are idle", || threads() == (0, 2));
        pool.shut_down();
        assert_eq!(threads(), (0, 0));
    });
}

#[test]
fn the_wait_of_a_task_is_from_its_submission_to_its_start() {
    in_child("the_wait_of_a_task_is_from_its_submission_to_its_start", &[], || {
        let event_loop = loop_on(1);
        let gate = queue_waiting(&event_loop, 1);
        wait_until("the thread is busy", || gate.waiting() == 1);
        let before_submission = Instant::now();
        event_loop.queue_work(TaskKind::Crypto, || (), |_, result| result.unwrap());
        let after_submission = Instant::now();
        assert_eq!(histogram(&THREADPOOL_QUEUE_WAIT, &["crypto"]).count(), 0, "not while it waits");
        thread::sleep(Duration::from_millis(5));
        let at_least_ns = after_submission.elapsed().as_nanos() as u64;
        gate.open();
        event_loop.run(RunMode::Default);
        let at_most_ns = before_submission.elapsed().as_nanos() as u64;
        let wait = histogram(&THREADPOOL_QUEUE_WAIT, &["crypto"]);
        assert_eq!(wait.count(), 1);
        assert!((at_least_ns..at_most_ns).contains(&wait.sum_ns()), "{wait:?}");
    });
}

#[test]
fn the_run_of_a_task_is_from_its_start_to_its_end() {
    in_child("the_run_of_a_task_is_from_its_start_to_its_end", &[], || {
        let event_loop = loop_on(1);
        let work = || {
            let start = Instant::now();
            thread::sleep(Duration::from_millis(5));
            start.elapsed().as_nanos() as u64
        };
        let begin = Instant::now();
        event_loop.queue_work(TaskKind::Zlib, work, move |_, inside_ns| {
            let run = histogram(&THREADPOOL_RUN, &["zlib"]);
            assert_eq!(run.count(), 1, "recorded before the callback");
            let outside_ns = begin.elapsed().as_nanos() as u64;
            assert!((inside_ns.unwrap()..outside_ns).contains(&run.sum_ns()), "{run:?}");
        });
        event_loop.run(RunMode::Default);
    });
}

#[test]
fn the_completion_delay_is_from_a_task_s_end_to_its_callback() {
    in_child("the_completion_delay_is_from_a_task_s_end_to_its_callback", &[], || {
        let event_loop = loop_on(1);
        event_loop.queue_work(TaskKind::Random, || (), |_, result| result.unwrap());
        wait_until("the task has ended", || {
            value_of(&THREADPOOL_TASKS, &["random", "done"]).is_some()
                && counter(&THREADPOOL_TASKS, &["random", "done"]) == 1
        });
        let ended = Instant::now();
        thread::sleep(Duration::from_millis(5));
        let at_least_ns = ended.elapsed().as_nanos() as u64;
        event_loop.run(RunMode::Default);
        let delay = histogram(&THREADPOOL_COMPLETION_DELAY, &["random"]);
        assert_eq!(delay.count(), 1);
        assert!(delay.sum_ns() >= at_least_ns, "{delay:?}");
    });
}

#[test]
fn tasks_are_counted_by_kind_and_outcome() {
    in_child("tasks_are_counted_by_kind_and_outcome", &[], || {
        panic::set_hook(Box::new(|_| {}));
        let event_loop = loop_on(2);
        for _ in 0..3 {
            event_loop.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
        }
        event_loop.queue_work(
            TaskKind::Work,
            || panic!("provoked"),
            |_, result: Result<(), _>| {
                assert!(result.is_err());
            },
        );
        fs::stat(&event_loop, "/", |_, result| assert!(result.unwrap().is_dir()));
        fs::stat(&event_loop, "/no/such/file", |_, result| assert!(result.is_err()));
        dns::getaddrinfo(&event_loop, "127.0.0.1", 1, dns::Family::V4, |_, result| drop(result.unwrap()));
        dns::getaddrinfo(&event_loop, "127.0.0.1", 1, dns::Family::V6, |_, result| assert!(result.is_err()));
        event_loop.run(RunMode::Default);
        let tasks = |kind, outcome| counter(&THREADPOOL_TASKS, &[kind, outcome]);
        assert_eq!((tasks("work", "done"), tasks("work", "failed"), tasks("work", "cancelled")), (3, 1, 0));
        assert_eq!((tasks("fs", "done"), tasks("fs", "failed")), (1, 1));
        assert_eq!((tasks("dns", "done"), tasks("dns", "failed")), (1, 1));
        assert_eq!(
            value_of(&THREADPOOL_TASKS, &["zlib", "done"]),
            None,
            "a kind that was never used is absent"
        );
    });
}

#[test]
fn requests_are_counted_while_they_are_under_way() {
    in_child("requests_are_counted_while_they_are_under_way", &[], || {
        let event_loop = loop_on(1);
        let requests = |of| gauge(&EVENTLOOP_REQUESTS, &[of]);
        let gate = queue_waiting(&event_loop, 1);
        fs::stat(&event_loop, "/", |_, result| {
            result.unwrap();
            assert_eq!(gauge(&EVENTLOOP_REQUESTS, &["fs"]), 0, "over when its callback runs");
        });
        dns::getaddrinfo(&event_loop, "127.0.0.1", 1, dns::Family::Any, |_, result| drop(result.unwrap()));
        assert_eq!((requests("work"), requests("fs"), requests("getaddrinfo")), (1, 1, 1));
        gate.open();
        event_loop.run(RunMode::Default);
        assert_eq!((requests("work"), requests("fs"), requests("getaddrinfo")), (0, 0, 0));
    });
}

#[test]
fn the_pools_of_a_process_add_up() {
    in_child("the_pools_of_a_process_add_up", &[], || {
        let (one, other) = (loop_on(1), loop_on(1));
        let gates = [queue_waiting(&one, 3), queue_waiting(&other, 4)];
        wait_until("both threads are busy", || gates.iter().all(|gate| gate.waiting() == 1));
        assert_eq!(gauge(&THREADPOOL_QUEUE_DEPTH, &[]), 5);
        assert_eq!(gauge(&THREADPOOL_THREADS, &["busy"]), 2);
        gates.iter().for_each(Gate::open);
        one.run(RunMode::Default);
        other.run(RunMode::Default);
        assert_eq!(counter(&THREADPOOL_TASKS, &["work", "done"]), 7);
    });
}

#[test]
fn a_pool_without_instruments_measures_nothing_and_works_the_same() {
    in_child("a_pool_without_instruments_measures_nothing_and_works_the_same", &[], || {
        let pool = Pool::builder().threads(2).instruments(false).build().unwrap();
        let event_loop = EventLoop::builder().pool(&pool).build().unwrap();
        for n in 0..100 {
            event_loop.queue_work(TaskKind::Work, move || n, move |_, result| assert_eq!(result, Ok(n)));
        }
        event_loop.run(RunMode::Default);
        assert_eq!(value_of(&THREADPOOL_TASKS, &["work", "done"]), None);
        assert_eq!(value_of(&THREADPOOL_QUEUE_DEPTH, &[]), None);
    });
}

#[test]
fn a_pool_at_rest_uses_no_processor_time() {
    in_child("a_pool_at_rest_uses_no_processor_time", &[], || {
        let event_loop = loop_on(4);
        for _ in 0..100 {
            event_loop.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
            event_loop.run(RunMode::Default);
        }
        let of_pool = |file: &str| -> Vec<String> {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
            let named = tasks.filter(|task| {
                std::fs::read_to_string(task.join("comm")).unwrap().trim() == "loopscope-pool"
            });
            named.map(|task| std::fs::read_to_string(task.join(file)).unwrap()).collect()
        };
        wait_until("all threads sleep", || of_pool("stat").iter().all(|stat| stat.contains(") S ")));
        let before = of_pool("schedstat");
        assert!(!before.is_empty());
        // Any time will do: there is nothing that must happen in it.
        thread::sleep(Duration::from_millis(50));
        assert_eq!(of_pool("schedstat"), before);
    });
}
