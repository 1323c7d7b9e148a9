//! Work on the thread pool: results, failures, cancelling, and who may outlive whom.

mod support;

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use loopscope_runtime::pool::{Order, Pool, PoolError, TaskError};
use loopscope_runtime::{AlreadyStarted, EventLoop, RunMode, TaskKind};
use support::{Gate, in_child, wait_until};

fn pool(threads: usize) -> Pool {
    Pool::builder().threads(threads).build().unwrap()
}

fn loop_on(pool: &Pool) -> EventLoop {
    EventLoop::builder().pool(pool).build().unwrap()
}

/// A list that callbacks write to.
fn shared<T>() -> (Rc<RefCell<Vec<T>>>, impl Fn(T) + Clone) {
    let list = Rc::new(RefCell::new(Vec::new()));
    let push = {
        let list = Rc::clone(&list);
        move |item| list.borrow_mut().push(item)
    };
    (list, push)
}

#[test]
fn work_runs_on_another_thread_and_its_callback_on_the_loop() {
    let event_loop = loop_on(&pool(2));
    let (results, push) = shared();
    event_loop.queue_work(
        TaskKind::Work,
        || thread::current().id(),
        move |_, ran_on| {
            push((ran_on.unwrap(), thread::current().id()));
        },
    );
    assert!(results.borrow().is_empty(), "never before the loop runs");
    assert!(event_loop.is_alive());
    assert!(!event_loop.run(RunMode::Default));
    let (ran_on, called_on) = results.borrow()[0];
    assert_ne!(ran_on, thread::current().id());
    assert_eq!(called_on, thread::current().id());
}

#[test]
fn every_task_calls_back_once_with_its_own_result() {
    const TASKS: usize = 10_000;
    let event_loop = loop_on(&pool(4));
    let (results, push) = shared();
    for n in 0..TASKS {
        let push = push.clone();
        event_loop.queue_work(TaskKind::Work, move || n * 2, move |_, double| push(double.unwrap()));
    }
    event_loop.run(RunMode::Default);
    let mut results = results.take();
    results.sort_unstable();
    assert!(results.into_iter().eq((0..TASKS).map(|n| n * 2)));
}

#[test]
fn a_callback_can_queue_the_next_task() {
    fn chain(event_loop: &EventLoop, left: usize, push: impl Fn(usize) + Clone + 'static) {
        if left > 0 {
            event_loop.queue_work(
                TaskKind::Work,
                move || left,
                move |event_loop, left| {
                    let left = left.unwrap();
                    push(left);
                    chain(event_loop, left - 1, push);
                },
            );
        }
    }
    let event_loop = loop_on(&pool(2));
    let (seen, push) = shared();
    chain(&event_loop, 1000, push);
    event_loop.run(RunMode::Default);
    assert!(seen.take().into_iter().eq((1..=1000).rev()));
}

#[test]
fn a_pool_of_one_thread_runs_tasks_in_the_order_in_which_they_were_submitted() {
    let event_loop = loop_on(&pool(1));
    let order = Arc::new(Mutex::new(Vec::new()));
    for n in 0..1000 {
        let order = Arc::clone(&order);
        let kind = if n % 3 == 0 { TaskKind::Dns } else { TaskKind::Work };
        event_loop.queue_work(kind, move || order.lock().unwrap().push(n), |_, result| result.unwrap());
    }
    event_loop.run(RunMode::Default);
    assert!(order.lock().unwrap().iter().copied().eq(0..1000));
}

#[test]
fn a_pool_starts_as_many_threads_as_it_needs_and_no_more_than_it_may() {
    let pool = pool(3);
    let event_loop = loop_on(&pool);
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let run = |tasks: usize, at_a_time: usize| {
        let gate = Gate::default();
        for _ in 0..tasks {
            let (gate, threads) = (gate.clone(), Arc::clone(&threads));
            let work = move || {
                threads.lock().unwrap().insert(thread::current().id());
                gate.pass();
            };
            event_loop.queue_work(TaskKind::Work, work, |_, result| result.unwrap());
        }
        wait_until("the threads are busy", || gate.waiting() == at_a_time);
        gate.open();
        event_loop.run(RunMode::Default);
    };
    run(1, 1);
    assert_eq!(threads.lock().unwrap().len(), 1);
    run(2, 2);
    assert_eq!(threads.lock().unwrap().len(), 2);
    run(10, 3);
    assert_eq!(threads.lock().unwrap().len(), 3);
}

#[test]
fn look_ups_hold_at_most_half_of_the_threads_and_the_others_stay_free() {
    for (threads, half) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
        let event_loop = loop_on(&pool(threads));
        let gate = Gate::default();
        for _ in 0..2 * threads {
            let gate = gate.clone();
            event_loop.queue_work(TaskKind::Dns, move || gate.pass(), |_, result| result.unwrap());
        }
        wait_until("half of the threads look up", || gate.waiting() == half);
        if threads > half {
            // Would never end if look-ups held all threads.
            let (done, push) = shared();
            for n in 0..100 {
                let push = push.clone();
                event_loop.queue_work(TaskKind::Fs, move || n, move |_, n| push(n.unwrap()));
            }
            while done.borrow().len() < 100 {
                event_loop.run(RunMode::Once);
            }
            assert_eq!(gate.waiting(), half, "of {threads} threads");
        }
        gate.open();
        event_loop.run(RunMode::Default);
    }
}

#[test]
fn all_threads_take_what_is_fast() {
    let event_loop = loop_on(&pool(4));
    let gate = Gate::default();
    for kind in [TaskKind::Work, TaskKind::Crypto, TaskKind::Zlib, TaskKind::Fs] {
        let gate = gate.clone();
        event_loop.queue_work(kind, move || gate.pass(), |_, result| result.unwrap());
    }
    wait_until("all threads are busy", || gate.waiting() == 4);
    gate.open();
    event_loop.run(RunMode::Default);
}

#[test]
fn a_queued_task_can_be_cancelled_and_its_callback_is_told() {
    let event_loop = loop_on(&pool(1));
    let gate = Gate::default();
    let (results, push) = shared();
    let blocker = {
        let gate = gate.clone();
        event_loop.queue_work(TaskKind::Work, move || gate.pass(), |_, result| result.unwrap())
    };
    wait_until("the thread is busy", || gate.waiting() == 1);
    let ran = Arc::new(AtomicUsize::new(0));
    let requests: Vec<_> = (0..5)
        .map(|n| {
            let (ran, push) = (Arc::clone(&ran), push.clone());
            let work = move || ran.fetch_add(1, Ordering::SeqCst);
            event_loop
                .queue_work(TaskKind::Work, work, move |_, result| push((n, result.is_ok(), result.err())))
        })
        .collect();
    for n in [1, 3, 4, 0] {
        assert_eq!(requests[n].cancel(), Ok(()));
        assert_eq!(requests[n].cancel(), Err(AlreadyStarted), "once");
    }
    assert!(results.borrow().is_empty(), "never before `cancel` returns");
    assert_eq!(blocker.cancel(), Err(AlreadyStarted));
    gate.open();
    event_loop.run(RunMode::Default);
    assert_eq!(ran.load(Ordering::SeqCst), 1);
    let mut results = results.take();
    results.sort_unstable_by_key(|(n, ..)| *n);
    let cancelled = |n| (n, false, Some(TaskError::Cancelled));
    assert_eq!(results, [cancelled(0), cancelled(1), (2, true, None), cancelled(3), cancelled(4)]);
    assert_eq!(requests[2].cancel(), Err(AlreadyStarted), "one that has ended");
}

#[test]
fn a_panic_in_a_task_is_its_callback_s_to_know_and_costs_no_thread() {
    let event_loop = loop_on(&pool(1));
    let (results, push) = shared();
    for message in ["first", "second"] {
        let push = push.clone();
        let work = move || if message == "first" { panic!("first") } else { panic!("the {message}") };
        event_loop
            .queue_work(TaskKind::Work, work, move |_, result: Result<(), _>| push(result.unwrap_err()));
    }
    let push_last = push.clone();
    event_loop.queue_work(
        TaskKind::Work,
        || (),
        move |_, result| {
            push_last(result.err().unwrap_or(TaskError::Cancelled));
        },
    );
    event_loop.run(RunMode::Default);
    let panicked = |message: &str| TaskError::Panicked { message: message.to_owned() };
    assert_eq!(results.take(), [panicked("first"), panicked("the second"), TaskError::Cancelled]);
}

#[test]
fn work_that_fails_gives_its_own_error() {
    #[derive(Debug, PartialEq)]
    enum Failure {
        Parse(std::num::ParseIntError),
        Task(TaskError),
    }
    impl From<TaskError> for Failure {
        fn from(error: TaskError) -> Self {
            Self::Task(error)
        }
    }
    let event_loop = loop_on(&pool(1));
    let (results, push) = shared();
    for text in ["17", "many"] {
        let push = push.clone();
        let parse = || text.parse::<u32>().map_err(Failure::Parse);
        event_loop.queue_fallible_work(TaskKind::Work, parse, move |_, number| push(number));
    }
    event_loop.run(RunMode::Default);
    assert_eq!(results.take(), [Ok(17), Err(Failure::Parse("many".parse::<u32>().unwrap_err()))]);
}

#[test]
fn many_loops_share_a_pool_and_each_gets_its_own() {
    const LOOPS: usize = 8;
    const TASKS: usize = 500;
    let pool = pool(3);
    thread::scope(|scope| {
        for owner in 0..LOOPS {
            let pool = &pool;
            scope.spawn(move || {
                let event_loop = loop_on(pool);
                let (results, push) = shared();
                for n in 0..TASKS {
                    let push = push.clone();
                    let work = move || (owner, n);
                    event_loop.queue_work(TaskKind::Work, work, move |_, result| push(result.unwrap()));
                }
                event_loop.run(RunMode::Default);
                let mut results = results.take();
                results.sort_unstable();
                assert!(results.into_iter().eq((0..TASKS).map(|n| (owner, n))));
            });
        }
    });
}

#[test]
fn loops_use_the_shared_pool_unless_told_otherwise() {
    let event_loop = EventLoop::new().unwrap();
    let own = loop_on(&pool(7));
    assert_eq!(event_loop.pool().threads(), Pool::shared().threads());
    assert_eq!(own.pool().threads(), 7);
}

#[test]
fn a_task_may_outlive_its_loop() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let pool = pool(1);
    let gate = Gate::default();
    let dropped = Arc::new(AtomicUsize::new(0));
    let event_loop = loop_on(&pool);
    for _ in 0..2 {
        let (gate, result) = (gate.clone(), Dropped(Arc::clone(&dropped)));
        let work = move || {
            gate.pass();
            result
        };
        event_loop.queue_work(TaskKind::Work, work, |_, _| unreachable!("its loop is gone"));
    }
    wait_until("the first task runs", || gate.waiting() == 1);
    drop(event_loop);
    gate.open();
    wait_until("both results are dropped", || dropped.load(Ordering::SeqCst) == 2);
    let next = loop_on(&pool);
    next.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
    next.run(RunMode::Default);
}

#[test]
fn a_result_that_panics_when_dropped_costs_no_thread() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let pool = pool(1);
    let gate = Gate::default();
    let event_loop = loop_on(&pool);
    let of_task = gate.clone();
    event_loop.queue_work(
        TaskKind::Work,
        move || {
            of_task.pass();
            Bomb
        },
        |_, _| {},
    );
    wait_until("the task runs", || gate.waiting() == 1);
    drop(event_loop);
    gate.open();
    let next = loop_on(&pool);
    next.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
    next.run(RunMode::Default);
}

#[test]
fn shutting_down_runs_what_was_submitted_and_takes_nothing_more() {
    let pool = pool(2);
    let event_loop = loop_on(&pool);
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let ran = Arc::clone(&ran);
        event_loop.queue_work(
            TaskKind::Work,
            move || ran.fetch_add(1, Ordering::SeqCst),
            |_, result| {
                result.unwrap();
            },
        );
    }
    pool.shut_down();
    assert_eq!(ran.load(Ordering::SeqCst), 100, "all done when it returns");
    let (late, push) = shared();
    event_loop.queue_work(TaskKind::Work, || (), move |_, result| push(result));
    assert!(late.borrow().is_empty(), "told by the loop, as always");
    event_loop.run(RunMode::Default);
    assert_eq!(late.take(), [Err(TaskError::ShutDown)]);
    pool.shut_down();
}

#[test]
fn the_last_owner_s_end_is_the_threads_end() {
    in_child("the_last_owner_s_end_is_the_threads_end", &[], || {
        let pool_threads = || {
            let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
            let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
            names.filter(|name| name.trim() == "loopscope-pool").count()
        };
        let pool = pool(3);
        let event_loop = loop_on(&pool);
        let gate = Gate::default();
        for _ in 0..3 {
            let gate = gate.clone();
            event_loop.queue_work(TaskKind::Work, move || gate.pass(), |_, result| result.unwrap());
        }
        wait_until("all threads are busy", || gate.waiting() == 3);
        assert_eq!(pool_threads(), 3, "as tools show them");
        gate.open();
        event_loop.run(RunMode::Default);
        drop(pool);
        assert_eq!(pool_threads(), 3, "the loop still holds the pool");
        drop(event_loop);
        wait_until("the threads have ended", || pool_threads() == 0);
    });
}

#[test]
fn a_pool_has_1_to_1024_threads() {
    for requested in [0, 1025] {
        let error = Pool::builder().threads(requested).build().unwrap_err();
        assert_eq!(error, PoolError::ThreadCount { requested });
        assert_eq!(error.to_string(), format!("a thread pool has 1 to 1024 threads, not {requested}"));
    }
    assert_eq!(pool(1024).threads(), 1024);
}

#[test]
fn the_shared_pool_has_4_threads() {
    in_child("the_shared_pool_has_4_threads", &[], || {
        assert_eq!(Pool::shared().threads(), 4);
    });
}

#[test]
fn the_environment_sizes_the_shared_pool() {
    in_child("the_environment_sizes_the_shared_pool", &[("UV_THREADPOOL_SIZE", "9")], || {
        assert_eq!(Pool::shared().threads(), 9);
        assert_eq!(Pool::builder().build().unwrap().threads(), 4, "and no other");
    });
}

#[test]
fn without_a_single_thread_tasks_come_back_with_the_reason() {
    in_child("without_a_single_thread_tasks_come_back_with_the_reason", &[], || {
        let event_loop = loop_on(&pool(2));
        let (results, push) = shared();
        let limit = sys::no_more_memory();
        event_loop.queue_work(TaskKind::Work, || (), {
            let push = push.clone();
            move |_, result| push(result)
        });
        drop(limit);
        event_loop.run(RunMode::Default);
        assert!(matches!(results.take()[..], [Err(TaskError::NoThread { code: libc::EAGAIN })]));
        // And it recovers.
        event_loop.queue_work(TaskKind::Work, || (), move |_, result| push(result));
        event_loop.run(RunMode::Default);
        assert_eq!(results.take(), [Ok(())]);
    });
}

mod sys {
    #![allow(unsafe_code, reason = "system calls")]

    /// Limits the address space to what there is, so that no stack for a thread can be had. Until dropped.
    pub(crate) fn no_more_memory() -> impl Drop {
        struct Restore(libc::rlimit);
        impl Drop for Restore {
            fn drop(&mut self) {
                set(self.0);
            }
        }
        fn set(limit: libc::rlimit) {
            // SAFETY: `limit` outlives the call.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        }
        let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `before` is a valid place for the answer.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut before) }, 0);
        set(libc::rlimit { rlim_cur: 0, ..before });
        Restore(before)
    }
}

#[test]
fn a_pool_that_grows_while_it_runs_starts_what_waited() {
    let pool = pool(1);
    let event_loop = loop_on(&pool);
    let gate = Gate::default();
    for _ in 0..3 {
        let of_work = gate.clone();
        event_loop.queue_work(TaskKind::Work, move || of_work.pass(), |_, result| result.unwrap());
    }
    wait_until("the only thread is busy", || gate.waiting() == 1);
    pool.set_threads(3).unwrap();
    wait_until("three run", || gate.waiting() == 3);
    gate.open();
    event_loop.run(RunMode::Default);
    assert_eq!(pool.threads(), 3);
    assert_eq!(pool.set_threads(0), Err(PoolError::ThreadCount { requested: 0 }));
    assert_eq!(pool.set_threads(1025), Err(PoolError::ThreadCount { requested: 1025 }));
    assert_eq!(pool.threads(), 3, "as it was");
}

#[test]
fn a_pool_that_shrinks_while_it_runs_ends_threads_and_runs_everything() {
    let pool = pool(4);
    let event_loop = loop_on(&pool);
    let (ran, note) = shared();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gate = Gate::default();
    for _ in 0..4 {
        let of_work = gate.clone();
        event_loop.queue_work(TaskKind::Work, move || of_work.pass(), |_, result| result.unwrap());
    }
    wait_until("all are busy", || gate.waiting() == 4);
    pool.set_threads(1).unwrap();
    for number in 0..50 {
        let (running, most, note) = (Arc::clone(&running), Arc::clone(&most), note.clone());
        let work = move || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            number
        };
        event_loop.queue_work(TaskKind::Work, work, move |_, result| note(result.unwrap()));
    }
    gate.open();
    event_loop.run(RunMode::Default);
    assert_eq!(*ran.borrow(), (0..50).collect::<Vec<_>>());
    assert_eq!(most.load(Ordering::SeqCst), 1, "one thread is left");
}

#[test]
fn in_a_fair_pool_work_does_not_starve_files() {
    let pool = Pool::builder().threads(2).order(Order::Fair).build().unwrap();
    assert_eq!(pool.order(), Order::Fair);
    let event_loop = loop_on(&pool);
    let gate = Gate::default();
    for _ in 0..10 {
        let of_work = gate.clone();
        event_loop.queue_work(TaskKind::Crypto, move || of_work.pass(), |_, result| result.unwrap());
    }
    let opened = gate.clone();
    // It calls back while all the work still waits at the gate, or the test would hang.
    loopscope_runtime::fs::stat(&event_loop, "/", move |_, found| {
        found.unwrap();
        opened.open();
    });
    event_loop.run(RunMode::Default);
    pool.set_order(Order::Submission);
    assert_eq!(pool.order(), Order::Submission);
}

#[test]
fn a_task_that_never_ends_does_not_hold_up_the_end_of_its_loop() {
    let pool = pool(1);
    let event_loop = loop_on(&pool);
    let gate = Gate::default();
    let of_work = gate.clone();
    event_loop.queue_work(TaskKind::Work, move || of_work.pass(), |_, _| unreachable!("its loop is gone"));
    wait_until("it runs", || gate.waiting() == 1);
    assert!(event_loop.run(RunMode::NoWait), "alive for the task");
    drop(event_loop);
    drop(pool);
    // And its thread goes on until it is let.
    assert_eq!(gate.waiting(), 1);
    gate.open();
    wait_until("it has ended", || gate.waiting() == 0);
}
