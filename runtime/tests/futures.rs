//! Tasks: when they run, what wakes them, how they end, and what they can wait for.

mod common;
mod files;
mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use common::{Log, MS, after};
use files::Scratch;
use loopscope_runtime::future::{Elapsed, JoinError, JoinHandle, TcpListener, TcpStream, Udp, oneshot};
use loopscope_runtime::pool::{Pool, TaskError};
use loopscope_runtime::{Error, EventLoop, RunMode, TaskKind, dns, fs, random};
use support::{Gate, wait_until};

fn loopback() -> std::net::SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Notes when it is dropped.
struct NotesDrop(Log);

impl Drop for NotesDrop {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[test]
fn a_task_runs_as_a_microtask_in_the_order_of_the_queue() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    event_loop.queue_microtask(log.noting_once("first"));
    let noted = log.clone();
    event_loop.spawn_local(async move { noted.note("task") });
    event_loop.queue_microtask(log.noting_once("second"));
    event_loop.next_tick(log.noting_once("tick"));
    log.expect("");
    event_loop.run(RunMode::Default);
    log.expect("tick first task second");
}

#[test]
fn a_wake_up_queues_its_task_behind_the_microtasks_that_are_queued() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (sender, receiver) = oneshot::channel();
    let noted = log.clone();
    event_loop.spawn_local(async move { noted.note(receiver.await.unwrap()) });
    let (noted, nested) = (log.clone(), log.clone());
    after(&event_loop, MS, move |event_loop| {
        event_loop.queue_microtask(noted.noting_once("before"));
        sender.send("woken");
        event_loop.queue_microtask(noted.noting_once("behind"));
        event_loop.next_tick(noted.noting_once("tick"));
        noted.note("timer");
    });
    after(&event_loop, MS, move |_| nested.note("next-timer"));
    event_loop.run(RunMode::Default);
    log.expect("timer tick before woken behind next-timer");
}

#[test]
fn wake_ups_coalesce_until_the_task_runs_and_one_while_it_runs_runs_it_again() {
    let event_loop = EventLoop::new().unwrap();
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    event_loop.spawn_local(poll_fn(move |context| {
        counted.set(counted.get() + 1);
        context.waker().wake_by_ref();
        context.waker().wake_by_ref();
        if counted.get() == 3 { Poll::Ready(()) } else { Poll::Pending }
    }));
    event_loop.run(RunMode::Default);
    assert_eq!(polls.get(), 3);
}

#[test]
fn a_join_handle_gives_the_result_and_dropping_it_changes_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    let local = event_loop.handle();
    drop(event_loop.spawn_local(async move {
        let inner = local.spawn_local(async { 6 * 7 });
        noted.note(inner.await.unwrap());
    }));
    assert!(!event_loop.run(RunMode::Default));
    log.expect("42");
}

#[test]
fn a_task_keeps_the_loop_alive_until_it_has_ended_unless_it_is_unreferenced() {
    let event_loop = EventLoop::new().unwrap();
    let (sender, receiver) = oneshot::channel::<()>();
    let task = event_loop.spawn_local(async move { receiver.await.unwrap() });
    assert!(event_loop.run(RunMode::NoWait));
    task.unreference();
    assert!(!event_loop.is_alive() && !event_loop.run(RunMode::Default));
    task.reference();
    assert!(event_loop.is_alive() && !task.is_finished());
    sender.send(());
    assert!(!event_loop.run(RunMode::Default));
    assert!(task.is_finished());
}

#[test]
fn another_thread_wakes_a_task_of_a_loop_that_waits() {
    let event_loop = EventLoop::new().unwrap();
    let shared: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
    let of_task = Arc::clone(&shared);
    let task = poll_fn(move |context| {
        let mut shared = of_task.lock().unwrap();
        if shared.0 {
            return Poll::Ready("woken");
        }
        shared.1 = Some(context.waker().clone());
        Poll::Pending
    });
    let thread = std::thread::spawn(move || {
        wait_until("the task waits", || shared.lock().unwrap().1.is_some());
        let mut shared = shared.lock().unwrap();
        shared.0 = true;
        shared.1.take().unwrap().wake();
    });
    assert_eq!(event_loop.block_on(task), "woken");
    thread.join().unwrap();
}

#[test]
fn no_wake_up_of_many_threads_is_lost() {
    const SENDS: usize = 2_000;
    let event_loop = EventLoop::new().unwrap();
    let shared: Arc<Mutex<(usize, Option<Waker>)>> = Arc::default();
    let of_task = Arc::clone(&shared);
    let all = poll_fn(move |context| {
        let mut shared = of_task.lock().unwrap();
        if shared.0 == 4 * SENDS {
            return Poll::Ready(());
        }
        shared.1 = Some(context.waker().clone());
        Poll::Pending
    });
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for _ in 0..SENDS {
                    let waker = {
                        let mut shared = shared.lock().unwrap();
                        shared.0 += 1;
                        shared.1.take()
                    };
                    waker.into_iter().for_each(Waker::wake);
                }
            })
        })
        .collect();
    event_loop.block_on(all);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_waker_that_outlives_its_task_or_its_loop_wakes_nobody() {
    let event_loop = EventLoop::new().unwrap();
    let waker = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&waker);
    event_loop.block_on(poll_fn(move |context| {
        *kept.borrow_mut() = Some(context.waker().clone());
        Poll::Ready(())
    }));
    let waker = waker.take().unwrap();
    // Its place is another's now.
    let other = event_loop.spawn_local(pending::<()>());
    waker.wake_by_ref();
    event_loop.run(RunMode::NoWait);
    assert!(!other.is_finished());
    drop(event_loop);
    assert!(other.is_finished());
    waker.wake_by_ref();
    std::thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn aborting_drops_the_future_at_once_and_is_told_to_who_joins() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let held = NotesDrop(log.clone());
    let task = event_loop.spawn_local(async move {
        let _held = held;
        pending::<()>().await;
    });
    event_loop.run(RunMode::NoWait);
    task.abort();
    log.expect("dropped");
    assert!(task.is_finished() && !event_loop.is_alive());
    assert_eq!(event_loop.block_on(task), Err(JoinError::Aborted));
}

#[test]
fn a_task_that_aborts_itself_ends_where_it_waits_next() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let handle = Rc::new(RefCell::new(None::<loopscope_runtime::future::JoinHandle<()>>));
    let (own, noted) = (Rc::clone(&handle), log.clone());
    let task = event_loop.spawn_local(async move {
        own.borrow().as_ref().unwrap().abort();
        noted.note("goes-on");
        pending::<()>().await;
        unreachable!("it was aborted");
    });
    *handle.borrow_mut() = Some(task);
    assert!(!event_loop.run(RunMode::Default));
    log.expect("goes-on");
    assert!(handle.take().unwrap().is_finished());
}

#[test]
fn a_panic_in_a_task_comes_out_of_the_run_and_the_loop_goes_on() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let held = NotesDrop(log.clone());
    let task = event_loop.spawn_local(async move {
        let _held = held;
        panic!("on purpose");
    });
    let noted = log.clone();
    event_loop.spawn_local(async move { noted.note("other") });
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run(RunMode::Default))).is_err());
    log.expect("dropped");
    assert!(!event_loop.run(RunMode::Default));
    log.expect("other");
    assert_eq!(event_loop.block_on(task), Err::<(), _>(JoinError::Panicked));
}

#[test]
fn a_loop_that_is_dropped_drops_its_tasks() {
    let log = Log::default();
    let event_loop = EventLoop::new().unwrap();
    let (held, local) = (NotesDrop(log.clone()), event_loop.handle());
    let task = event_loop.spawn_local(async move {
        let _held = held;
        let _local = local.clone();
        local.sleep(Duration::from_secs(3600)).await;
    });
    event_loop.run(RunMode::NoWait);
    let local = event_loop.handle();
    drop(event_loop);
    log.expect("dropped");
    assert!(task.is_finished());
    // What is left of it takes nothing any more.
    let held = NotesDrop(log.clone());
    local.next_tick(move |_| drop(held));
    log.expect("dropped");
    let held = NotesDrop(log.clone());
    local.queue_work(TaskKind::Work, || (), move |_, _| drop(held));
    log.expect("dropped");
    let held = NotesDrop(log.clone());
    assert!(local.spawn_local(async move { drop(held) }).is_finished());
    log.expect("dropped");
    assert!(!local.is_alive());
}

#[test]
fn block_on_runs_what_else_there_is_and_leaves_the_rest_with_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    after(&event_loop, MS, log.noting_once("meanwhile"));
    after(&event_loop, Duration::from_secs(3600), log.noting_once("never"));
    let local = event_loop.handle();
    let answer = event_loop.block_on(async move {
        local.stop();
        local.sleep(5 * MS).await;
        "answer"
    });
    assert_eq!(answer, "answer");
    log.expect("meanwhile");
    assert!(event_loop.is_alive());
}

#[test]
fn a_sleep_is_never_short_and_can_be_reset() {
    let event_loop = EventLoop::new().unwrap();
    let begin = Instant::now();
    event_loop.block_on(event_loop.sleep(5 * MS));
    assert!(begin.elapsed() >= 5 * MS);
    let local = event_loop.handle();
    let begin = Instant::now();
    event_loop.block_on(async move {
        let sleep = local.sleep(Duration::from_secs(3600));
        sleep.reset(&local, 3 * MS);
        sleep.await;
    });
    assert!(begin.elapsed() >= 3 * MS && begin.elapsed() < Duration::from_secs(1800));
}

#[test]
fn a_sleep_that_is_dropped_does_not_keep_the_loop_alive() {
    let event_loop = EventLoop::new().unwrap();
    let sleep = event_loop.sleep(Duration::from_secs(3600));
    assert!(event_loop.is_alive());
    drop(sleep);
    assert!(!event_loop.is_alive());
    event_loop.sleep(Duration::from_secs(3600)).unreference();
    let sleep = event_loop.sleep(Duration::from_secs(3600));
    sleep.unreference();
    assert!(!event_loop.is_alive());
}

#[test]
fn a_time_limit_drops_the_future_that_takes_too_long() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let held = NotesDrop(log.clone());
    let slow = async move {
        let _held = held;
        pending::<()>().await;
    };
    assert_eq!(event_loop.block_on(event_loop.timeout_after(MS, slow)), Err(Elapsed));
    log.expect("dropped");
    let quick = event_loop.timeout_after(Duration::from_secs(3600), async { 1 });
    assert_eq!(event_loop.block_on(quick), Ok(1));
    assert!(!event_loop.is_alive(), "the limit is gone with its future");
}

#[test]
fn yielding_lets_timers_and_the_poll_have_their_turn() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (noted, local) = (log.clone(), event_loop.handle());
    let stop = Rc::new(Cell::new(false));
    let stopped = Rc::clone(&stop);
    event_loop.spawn_local(async move {
        while !stopped.get() {
            local.yield_now().await;
        }
        noted.note("stopped");
    });
    let noted = log.clone();
    after(&event_loop, MS, move |_| {
        stop.set(true);
        noted.note("timer");
    });
    event_loop.run(RunMode::Default);
    log.expect("timer stopped");
}

#[test]
fn work_files_names_and_random_bytes_are_awaited() {
    let event_loop = EventLoop::new().unwrap();
    let (scratch, local) = (Scratch::new(), event_loop.handle());
    let path = scratch.file("file", "text");
    event_loop.block_on(async move {
        assert_eq!(local.work(TaskKind::Work, || 6 * 7).await, Ok(42));
        let failed = local.fallible_work(TaskKind::Work, || Err::<(), _>(Failure("no".into()))).await;
        assert_eq!(failed, Err(Failure("no".into())));
        let panicked = local.work(TaskKind::Work, || -> u32 { panic!("on purpose") }).await;
        assert_eq!(panicked, Err(TaskError::Panicked { message: "on purpose".to_owned() }));

        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true);
        let file = fs::future::open(&local, &path, &options).await.unwrap();
        assert_eq!(fs::future::write(&local, &file, "TE", Some(0)).await, Ok(2));
        assert_eq!(fs::future::read(&local, &file, vec![0; 9], Some(0)).await, Ok(b"TExt".to_vec()));
        fs::future::close(&local, file).await.unwrap();
        let missing = fs::future::stat(&local, path.with_file_name("none")).await.unwrap_err();
        assert_eq!(missing.code(), Some(libc::ENOENT));

        let found = dns::future::getaddrinfo(&local, "127.0.0.1", 1, dns::Family::Any).await;
        assert_eq!(found, Ok(vec!["127.0.0.1:1".parse().unwrap()]));
        let numeric = dns::NameOptions { numeric_host: true, numeric_service: true, ..Default::default() };
        let names = dns::future::getnameinfo(&local, "127.0.0.1:7".parse().unwrap(), numeric).await.unwrap();
        assert_eq!((&*names.host, &*names.service), ("127.0.0.1", "7"));
        assert_ne!(random::filled(&local, vec![0; 32]).await, Ok(vec![0; 32]));
    });
}

#[derive(Debug, PartialEq)]
struct Failure(String);

impl From<TaskError> for Failure {
    fn from(reason: TaskError) -> Self {
        Self(reason.to_string())
    }
}

#[test]
fn dropping_a_request_that_waits_cancels_it() {
    let pool = Pool::builder().threads(1).build().unwrap();
    let event_loop = EventLoop::builder().pool(&pool).build().unwrap();
    let gate = Gate::default();
    let of_work = gate.clone();
    let started = event_loop.work(TaskKind::Work, move || of_work.pass());
    wait_until("the thread is busy", || gate.waiting() == 1);
    let waiting = event_loop.work(TaskKind::Work, || unreachable!());
    drop::<loopscope_runtime::PoolFuture<(), TaskError>>(waiting);
    drop(started);
    gate.open();
    assert!(!event_loop.run(RunMode::Default), "both have come back");
}

#[test]
fn an_async_server_echoes_many_connections_at_a_time() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind(&event_loop, loopback(), 128).unwrap();
    let address = listener.local_address().unwrap();
    let local = event_loop.handle();
    let server = event_loop.spawn_local(async move {
        loop {
            let mut stream = listener.accept().await.unwrap();
            local.spawn_local(async move {
                let mut buffer = [0; 1000];
                loop {
                    match stream.read(&mut buffer).await.unwrap() {
                        0 => break,
                        length => stream.write(buffer[..length].to_vec()).await.unwrap(),
                    }
                }
                stream.shutdown().await.unwrap();
                stream.close().await;
            });
        }
    });
    let local = event_loop.handle();
    let clients: Vec<_> = (0..20u8)
        .map(|number| {
            let local = local.clone();
            event_loop.spawn_local(async move {
                let mut stream = TcpStream::connect(&local, address).await.unwrap();
                let sent = vec![number; 100_000];
                stream.write(sent.clone()).await.unwrap();
                stream.shutdown().await.unwrap();
                let mut received = Vec::new();
                while let Some(chunk) = stream.read_chunk().await.unwrap() {
                    received.extend(chunk);
                }
                assert!(received == sent, "connection {number}");
            })
        })
        .collect();
    event_loop.block_on(async move {
        for client in clients {
            client.await.unwrap();
        }
        server.abort();
    });
    assert!(!event_loop.run(RunMode::Default), "everything is closed with its task");
}

#[test]
fn a_stream_that_nobody_reads_from_holds_its_peer_back() {
    let event_loop = EventLoop::new().unwrap();
    let listener = TcpListener::bind(&event_loop, loopback(), 1).unwrap();
    let address = listener.local_address().unwrap();
    let local = event_loop.handle();
    let total = 16 << 20;
    event_loop.block_on(async move {
        let mut client = TcpStream::connect(&local, address).await.unwrap();
        let mut server = listener.accept().await.unwrap();
        client.write(vec![1; 1]).await.unwrap();
        assert_eq!(server.read(&mut [0; 1]).await, Ok(1));
        let writing = local.spawn_local(async move {
            client.write(vec![1; total]).await.unwrap();
            client.shutdown().await.unwrap();
        });
        local.sleep(20 * MS).await;
        assert!(!writing.is_finished(), "sixteen megabytes fit into no socket");
        let mut received = 0;
        while let Some(chunk) = server.read_chunk().await.unwrap() {
            assert!(chunk.len() < 1 << 20, "as much as one reads ahead, and one read more: {}", chunk.len());
            received += chunk.len();
        }
        assert_eq!(received, total);
    });
}

#[test]
fn connecting_to_nobody_is_an_error_to_who_awaits_it() {
    let event_loop = EventLoop::new().unwrap();
    let local = event_loop.handle();
    let error = event_loop.block_on(async move {
        let closed = TcpListener::bind(&local, loopback(), 1).unwrap();
        let address = closed.local_address().unwrap();
        drop(closed);
        local.yield_now().await;
        TcpStream::connect(&local, address).await.map(drop).unwrap_err()
    });
    assert_eq!(error.code(), libc::ECONNREFUSED);
}

#[test]
fn tasks_of_several_loops_on_one_thread_wake_each_other() {
    let (one, other) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (sender, receiver) = oneshot::channel();
    let task = other.spawn_local(async move { receiver.await.unwrap() });
    other.run(RunMode::NoWait);
    one.block_on(async move { sender.send(7) });
    assert!(!task.is_finished(), "its own loop has not run");
    assert_eq!(other.block_on(task), Ok(7));
}

#[test]
fn a_task_may_be_spawned_from_any_callback() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let noted = log.clone();
    event_loop.set_immediate(move |event_loop| {
        let inner = noted.clone();
        event_loop.spawn_local(async move { inner.note("task") });
        noted.note("immediate");
    });
    event_loop.run(RunMode::Default);
    log.expect("immediate task");
}

#[test]
fn two_tasks_that_accept_from_one_listener_both_get_a_connection() {
    let event_loop = EventLoop::new().unwrap();
    let listener = Rc::new(TcpListener::bind(&event_loop, loopback(), 16).unwrap());
    let address = listener.get_ref().local_address().unwrap();
    let tasks = [Rc::clone(&listener), listener].map(|listener| {
        event_loop.spawn_local(async move { listener.accept().await.unwrap().close().await })
    });
    let local = event_loop.handle();
    let both = event_loop.block_on(event_loop.timeout_after(Duration::from_secs(30), async move {
        for _ in 0..2 {
            TcpStream::connect(&local, address).await.unwrap().read_chunk().await.unwrap();
        }
        for task in tasks {
            task.await.unwrap();
        }
    }));
    assert_eq!(both, Ok(()), "one waits for ever");
}

#[test]
#[should_panic(expected = "the loop has ended")]
fn blocking_on_a_future_of_a_loop_that_has_ended_panics_and_says_so() {
    let local = EventLoop::new().unwrap().handle();
    local.block_on(async {});
}

#[test]
fn blocking_on_a_future_panics_where_the_loop_ends_meanwhile() {
    let event_loop = Rc::new(RefCell::new(Some(EventLoop::new().unwrap())));
    let local = event_loop.borrow().as_ref().unwrap().handle();
    let ending = Rc::clone(&event_loop);
    local.set_immediate(move |_| drop(ending.take()));
    let blocked = catch_unwind(AssertUnwindSafe(|| local.block_on(pending::<()>())));
    let message = *blocked.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("the loop has ended"), "{message}");
}

#[test]
fn tasks_that_accept_learn_that_something_else_closed_the_listener() {
    let event_loop = EventLoop::new().unwrap();
    let listener = Rc::new(TcpListener::bind(&event_loop, loopback(), 8).unwrap());
    let tasks = [0; 2].map(|_| {
        let listener = Rc::clone(&listener);
        event_loop.spawn_local(async move { listener.accept().await.map(drop) })
    });
    let closes = Rc::clone(&listener);
    after(&event_loop, MS, move |_| closes.get_ref().close());
    let told = join_within_a_minute(&event_loop, tasks);
    assert_eq!(told, [Err(Error::Closed), Err(Error::Closed)]);
    assert_eq!(event_loop.block_on(async move { listener.accept().await.map(drop) }), Err(Error::Closed));
}

#[test]
fn a_task_that_reads_learns_that_something_else_closed_the_stream() {
    let event_loop = EventLoop::new().unwrap();
    let local = event_loop.handle();
    let reading = event_loop.spawn_local(async move {
        let [mut client, mut server] = connected(&local).await;
        client.write("hello").await.unwrap();
        let by_callbacks = server.get_ref().clone();
        let first = server.read_chunk().await;
        after(&local, MS, move |_| by_callbacks.close());
        let told = [first, server.read_chunk().await, server.read_chunk().await];
        drop(client);
        told
    });
    let [told] = join_within_a_minute(&event_loop, [reading]);
    assert_eq!(told, [Ok(Some(b"hello".to_vec())), Err(Error::Closed), Err(Error::Closed)]);
}

#[test]
fn a_task_that_receives_learns_that_something_else_closed_the_socket() {
    let event_loop = EventLoop::new().unwrap();
    let mut socket = Udp::bind(&event_loop, loopback()).unwrap();
    let by_callbacks = socket.get_ref().clone();
    after(&event_loop, MS, move |_| by_callbacks.close());
    let receiving = event_loop.spawn_local(async move { [socket.receive().await, socket.receive().await] });
    let told = join_within_a_minute(&event_loop, [receiving]);
    assert_eq!(told, [[Err(Error::Closed), Err(Error::Closed)]]);
}

#[test]
fn a_task_that_reads_on_after_its_stream_was_stopped_elsewhere_starts_it_again() {
    let event_loop = EventLoop::new().unwrap();
    let local = event_loop.handle();
    let reading = event_loop.spawn_local(async move {
        let [mut client, mut server] = connected(&local).await;
        let by_callbacks = server.get_ref().clone();
        after(&local, MS, move |_| by_callbacks.read_stop());
        let writing = local.spawn_local({
            let local = local.clone();
            async move {
                local.sleep(5 * MS).await;
                client.write("hello").await.unwrap();
                client
            }
        });
        let read = server.read_chunk().await;
        drop(writing.await.unwrap());
        read
    });
    assert_eq!(join_within_a_minute(&event_loop, [reading]), [Ok(Some(b"hello".to_vec()))]);
}

/// Both ends of a connection.
async fn connected(event_loop: &EventLoop) -> [TcpStream; 2] {
    let listener = TcpListener::bind(event_loop, loopback(), 1).unwrap();
    let address = listener.get_ref().local_address().unwrap();
    let client = TcpStream::connect(event_loop, address).await.unwrap();
    [client, listener.accept().await.unwrap()]
}

/// What tasks give; fails where one hangs.
fn join_within_a_minute<T: 'static, const N: usize>(
    event_loop: &EventLoop,
    tasks: [JoinHandle<T>; N],
) -> [T; N] {
    let local = event_loop.handle();
    event_loop.block_on(async move {
        let mut results = Vec::new();
        for task in tasks {
            let joined = local.timeout_after(Duration::from_secs(60), task).await;
            results.push(joined.expect("the task is woken").unwrap());
        }
        results.try_into().unwrap_or_else(|_| unreachable!("as many as tasks"))
    })
}
