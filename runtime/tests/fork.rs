//! Forks without another program: a loop goes on in the child, on its own.

mod common;
mod support;

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use common::{Log, MS, after};
use loopscope_runtime::pool::Pool;
use loopscope_runtime::{
    Async, Command, EventLoop, FsChange, FsEvent, Read, RunMode, Signal, TaskKind, TcpListener, TcpStream, fs,
};
use support::{Gate, in_child, wait_until};

#[test]
fn a_loop_goes_on_in_a_forked_child_and_neither_wakes_the_other() {
    in_child("a_loop_goes_on_in_a_forked_child_and_neither_wakes_the_other", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let wake = Async::new(&event_loop, log.noting("woken"));
        let sender = wake.sender();
        let child = sys::fork(|| {
            event_loop.reinitialize_after_fork().unwrap();
            sender.send();
            event_loop.run(RunMode::Once);
            after(&event_loop, MS, log.noting_once("timer"));
            event_loop.run(RunMode::Once);
            log.take() == "woken timer"
        });
        assert!(sys::exited_well(child));
        event_loop.run(RunMode::NoWait);
        log.expect("");
        assert_eq!(event_loop.info().events, 0, "the child's wake-up is its own");
        sender.send();
        event_loop.run(RunMode::Once);
        log.expect("woken");
    });
}

#[test]
fn sockets_that_were_watched_are_watched_on_in_a_forked_child() {
    in_child("sockets_that_were_watched_are_watched_on_in_a_forked_child", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
        let kept = Rc::new(RefCell::new(None));
        let keep = Rc::clone(&kept);
        listener.listen(1, move |_, _, connection| *keep.borrow_mut() = connection.ok()).unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_address().unwrap()).unwrap();
        while kept.borrow().is_none() {
            event_loop.run(RunMode::Once);
        }
        let stream: TcpStream = kept.take().unwrap();
        let log = Log::default();
        let noted = log.clone();
        let reading = stream.read_start(move |_, _, read| {
            if let Ok(Read::Data(data)) = read {
                noted.note(String::from_utf8_lossy(data));
            }
        });
        reading.unwrap();
        event_loop.run(RunMode::NoWait);
        let child = sys::fork(|| {
            event_loop.reinitialize_after_fork().unwrap();
            peer.write_all(b"to-the-child").unwrap();
            event_loop.run(RunMode::Once);
            log.take() == "to-the-child"
        });
        assert!(sys::exited_well(child));
        peer.write_all(b"to-the-parent").unwrap();
        while log.len() == 0 {
            event_loop.run(RunMode::Once);
        }
        log.expect("to-the-parent");
    });
}

#[test]
fn files_and_signals_are_watched_on_in_a_forked_child_and_told_to_each_for_itself() {
    in_child("files_and_signals_are_watched_on_in_a_forked_child_and_told_to_each_for_itself", &[], || {
        let folder = common::temporary_folder("fork-events");
        let event_loop = EventLoop::new().unwrap();
        let log = Log::default();
        let (files, signal) = (FsEvent::new(&event_loop), Signal::new(&event_loop));
        let noted = log.clone();
        files
            .start(&folder, move |_, _, change| {
                if let Ok(FsChange::At { name, .. }) = change {
                    noted.note(name.display());
                }
            })
            .unwrap();
        let noted = log.clone();
        signal.start(libc::SIGUSR1, move |_, _, _| noted.note("signal")).unwrap();
        let child = sys::fork(|| {
            event_loop.reinitialize_after_fork().unwrap();
            std::fs::create_dir(folder.join("by-the-child")).unwrap();
            while log.len() == 0 {
                event_loop.run(RunMode::Once);
            }
            loopscope_runtime::kill(std::process::id(), libc::SIGUSR1).unwrap();
            while log.len() == 1 {
                event_loop.run(RunMode::Once);
            }
            log.take() == "by-the-child signal"
        });
        assert!(sys::exited_well(child));
        std::fs::create_dir(folder.join("by-the-parent")).unwrap();
        while log.len() < 2 {
            event_loop.run(RunMode::Once);
        }
        log.expect("by-the-child by-the-parent");
    });
}

#[test]
fn the_pool_begins_anew_in_a_forked_child_whatever_its_threads_did() {
    in_child("the_pool_begins_anew_in_a_forked_child_whatever_its_threads_did", &[], || {
        let pool = Pool::builder().threads(2).build().unwrap();
        let event_loop = EventLoop::builder().pool(&pool).build().unwrap();
        let (gate, log) = (Gate::default(), Log::default());
        let mut requests = Vec::new();
        for _ in 0..3 {
            let (of_work, noted) = (gate.clone(), log.clone());
            requests.push(event_loop.queue_work(
                TaskKind::Work,
                move || of_work.pass(),
                move |_, _| noted.note("parent"),
            ));
        }
        wait_until("both threads are busy", || gate.waiting() == 2);
        pool.set_threads(3).unwrap();
        wait_until("all are busy", || gate.waiting() == 3);
        let child = sys::fork(|| {
            event_loop.reinitialize_after_fork().unwrap();
            let lost = !event_loop.is_alive() && requests[2].cancel().is_err();
            let noted = log.clone();
            event_loop.queue_work(TaskKind::Work, || 6 * 7, move |_, result| noted.note(result.unwrap()));
            let noted = log.clone();
            fs::stat(&event_loop, "/", move |_, found| noted.note(found.is_ok()));
            event_loop.run(RunMode::Default);
            let ran = log.take();
            // A descriptor with the number that the segment had must survive the next fork.
            let kept: Vec<_> = (0..8).map(|_| std::fs::File::open("/").unwrap()).collect();
            let grandchild = sys::fork(|| {
                event_loop.reinitialize_after_fork().unwrap();
                event_loop.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
                !event_loop.run(RunMode::Default) && kept.iter().all(|file| file.metadata().is_ok())
            });
            lost && ["42 true", "true 42"].contains(&&*ran)
                && pool.threads() == 3
                && sys::exited_well(grandchild)
        });
        assert!(sys::exited_well(child));
        gate.open();
        event_loop.run(RunMode::Default);
        log.expect("parent parent parent");
    });
}

#[test]
fn the_shared_pool_begins_anew_in_a_forked_child() {
    in_child("the_shared_pool_begins_anew_in_a_forked_child", &[], || {
        let event_loop = EventLoop::new().unwrap();
        event_loop.queue_work(TaskKind::Work, || (), |_, result| result.unwrap());
        event_loop.run(RunMode::Default);
        let (mut reader, writer) = io::pipe().unwrap();
        let child = sys::fork(|| {
            event_loop.reinitialize_after_fork().unwrap();
            let thread = || std::thread::current().name().map(str::to_owned);
            let mut writer = &writer;
            event_loop.queue_work(TaskKind::Work, thread, |_, name| {
                assert_eq!(name.unwrap().as_deref(), Some("loopscope-pool"));
            });
            event_loop.run(RunMode::Default);
            writer.write_all(b"done").is_ok()
        });
        drop(writer);
        let mut told = String::new();
        reader.read_to_string(&mut told).unwrap();
        assert_eq!(told, "done");
        assert!(sys::exited_well(child));
    });
}

#[test]
fn a_task_that_another_thread_woke_goes_on_in_a_forked_child_and_in_its_parent() {
    in_child("a_task_that_another_thread_woke_goes_on_in_a_forked_child_and_in_its_parent", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let shared: Arc<Mutex<(bool, Option<Waker>)>> = Arc::default();
        let of_task = Arc::clone(&shared);
        let task = event_loop.spawn_local(std::future::poll_fn(move |context| {
            let mut shared = of_task.lock().unwrap();
            shared.1 = Some(context.waker().clone());
            if shared.0 { Poll::Ready(42) } else { Poll::Pending }
        }));
        event_loop.run(RunMode::NoWait);
        let waking = std::thread::spawn(move || {
            let mut shared = shared.lock().unwrap();
            shared.0 = true;
            shared.1.take().unwrap().wake();
        });
        waking.join().unwrap();
        let child = sys::fork(|| {
            event_loop.reinitialize_after_fork().unwrap();
            !event_loop.run(RunMode::Default) && task.is_finished()
        });
        assert!(sys::exited_well(child));
        assert_eq!(event_loop.block_on(task), Ok(42));
    });
}

#[test]
fn processes_of_closed_handles_are_reaped_in_a_forked_child_too() {
    in_child("processes_of_closed_handles_are_reaped_in_a_forked_child_too", &[], || {
        let event_loop = EventLoop::new().unwrap();
        let start = |script: &str| {
            let shell = Command::new("sh").args(["-c", script]);
            let process = shell.spawn(&event_loop, |_, _, _| unreachable!()).unwrap();
            process.close();
            event_loop.run(RunMode::NoWait);
            process.pid()
        };
        // The parent has a thread that waits for this one; the child does not.
        let waits = start("sleep 1000");
        let child = sys::fork(|| {
            event_loop.reinitialize_after_fork().unwrap();
            let ends_soon = start("sleep 0.2");
            wait_until("it is reaped", || !std::path::Path::new(&format!("/proc/{ends_soon}")).exists());
            true
        });
        assert!(sys::exited_well(child));
        loopscope_runtime::kill(waits, libc::SIGKILL).unwrap();
        wait_until("it is reaped", || !std::path::Path::new(&format!("/proc/{waits}")).exists());
    });
}

mod sys {
    #![allow(unsafe_code, reason = "system calls")]
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Runs `body` in a forked child, whose exit status tells whether it gave `true`.
    pub(super) fn fork(body: impl FnOnce() -> bool) -> libc::pid_t {
        // SAFETY: the child runs on in the only thread that it has; the C library keeps its allocator usable.
        match unsafe { libc::fork() } {
            0 => {
                let well = catch_unwind(AssertUnwindSafe(body)).unwrap_or(false);
                // SAFETY: ends the process at once; what is left of the parent's state is not run.
                unsafe { libc::_exit(i32::from(!well)) }
            }
            child => child,
        }
    }

    pub(super) fn exited_well(child: libc::pid_t) -> bool {
        let mut status = 0;
        // SAFETY: the status is writable, and the child ours.
        let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
        waited == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}
