//! Cancelling requests of the pool, of every type: possible while they wait, too late once they have started.

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use loopscope_runtime::dns::{self, DnsErrorCause, Family, NameOptions};
use loopscope_runtime::fs::{self, FsErrorCause};
use loopscope_runtime::pool::{Pool, TaskError};
use loopscope_runtime::random::{self, RandomError};
use loopscope_runtime::{AlreadyStarted, EventLoop, PoolRequest, RunMode, TaskKind};
use support::{Gate, wait_until};

/// A loop whose pool has one thread, which waits at a gate.
fn busy_loop() -> (EventLoop, Gate, PoolRequest) {
    let pool = Pool::builder().threads(1).build().unwrap();
    let event_loop = EventLoop::builder().pool(&pool).build().unwrap();
    let gate = Gate::default();
    let of_work = gate.clone();
    let started = event_loop.queue_work(TaskKind::Work, move || of_work.pass(), |_, result| result.unwrap());
    wait_until("the thread is busy", || gate.waiting() == 1);
    (event_loop, gate, started)
}

/// Starts a request that waits, cancels it, and gives what its callback was told.
fn told<E: 'static>(start: impl FnOnce(&EventLoop, Box<dyn FnOnce(E)>) -> PoolRequest) -> E {
    let (event_loop, gate, _) = busy_loop();
    let answer = Rc::new(RefCell::new(None));
    let filled = Rc::clone(&answer);
    let request = start(&event_loop, Box::new(move |error| *filled.borrow_mut() = Some(error)));
    assert_eq!(request.cancel(), Ok(()));
    assert_eq!(request.cancel(), Err(AlreadyStarted), "once");
    assert!(answer.borrow().is_none(), "never within the call that cancels");
    assert!(event_loop.is_alive(), "until the callback was called");
    gate.open();
    event_loop.run(RunMode::Default);
    answer.take().expect("called back")
}

#[test]
fn work_that_waits_is_cancelled() {
    let answer = told(|event_loop, note| {
        event_loop.queue_work(
            TaskKind::Work,
            || unreachable!(),
            move |_, result: Result<(), _>| {
                note(result.unwrap_err());
            },
        )
    });
    assert_eq!(answer, TaskError::Cancelled);
    assert_eq!(answer.code(), Some(libc::ECANCELED));
}

#[test]
fn a_file_operation_that_waits_is_cancelled() {
    let answer = told(|event_loop, note| fs::stat(event_loop, "/", move |_, found| note(found.unwrap_err())));
    assert_eq!(*answer.cause(), FsErrorCause::Task(TaskError::Cancelled));
}

#[test]
fn a_look_up_of_addresses_that_waits_is_cancelled() {
    let answer = told(|event_loop, note| {
        dns::getaddrinfo(event_loop, "localhost", 0, Family::Any, move |_, found| note(found.unwrap_err()))
    });
    assert_eq!(*answer.cause(), DnsErrorCause::Task(TaskError::Cancelled));
}

#[test]
fn a_look_up_of_names_that_waits_is_cancelled() {
    let address = "127.0.0.1:80".parse().unwrap();
    let answer = told(|event_loop, note| {
        dns::getnameinfo(event_loop, address, NameOptions::default(), move |_, found| {
            note(found.unwrap_err())
        })
    });
    assert_eq!(*answer.cause(), DnsErrorCause::Task(TaskError::Cancelled));
}

#[test]
fn random_bytes_that_wait_are_cancelled() {
    let answer = told(|event_loop, note| {
        random::fill(event_loop, vec![0; 8], move |_, filled| note(filled.unwrap_err()))
    });
    assert_eq!(answer, RandomError::Task(TaskError::Cancelled));
}

#[test]
fn what_has_started_is_busy_and_keeps_its_result() {
    let (event_loop, gate, started) = busy_loop();
    assert_eq!(started.cancel(), Err(AlreadyStarted));
    assert_eq!(AlreadyStarted.code(), libc::EBUSY);
    gate.open();
    event_loop.run(RunMode::Default);
    assert_eq!(started.cancel(), Err(AlreadyStarted), "ended");
}

#[test]
fn one_of_many_that_wait_is_cancelled_and_the_others_run() {
    let (event_loop, gate, _) = busy_loop();
    let log = Rc::new(RefCell::new(Vec::new()));
    let queue = |name: u32| {
        let log = Rc::clone(&log);
        event_loop.queue_work(TaskKind::Work, move || name, move |_, result| log.borrow_mut().push(result))
    };
    let requests = [1, 2, 3].map(queue);
    assert_eq!(requests[1].cancel(), Ok(()));
    gate.open();
    event_loop.run(RunMode::Default);
    assert_eq!(*log.borrow(), [Err(TaskError::Cancelled), Ok(1), Ok(3)]);
}

#[test]
fn random_bytes_fill_the_whole_buffer_and_differ() {
    let event_loop = EventLoop::new().unwrap();
    let keys = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..2 {
        let keys = Rc::clone(&keys);
        random::fill(&event_loop, vec![0; 4096], move |_, key| keys.borrow_mut().push(key.unwrap()));
    }
    event_loop.run(RunMode::Default);
    let keys = keys.borrow();
    assert_eq!((keys[0].len(), keys[1].len()), (4096, 4096));
    assert_ne!(keys[0], keys[1]);
    assert_ne!(keys[0][4000..], [0; 96], "to its end");
}
