//! What runs on the thread pool.

use std::cell::Cell;
use std::rc::Rc;

use runtime::dns::{self, Family};
use runtime::pool::TaskError;
use runtime::{EventLoop, RunMode, TaskKind, fs};

pub(super) fn work(event_loop: &EventLoop, count: u64) {
    queue(event_loop, count, 42);
    event_loop.run(RunMode::Default);
}

fn queue(event_loop: &EventLoop, left: u64, state: u32) {
    let work = move || state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let after = move |event_loop: &EventLoop, state: Result<u32, TaskError>| {
        let state = state.expect("the work runs");
        if left > 1 {
            queue(event_loop, left - 1, state);
        }
    };
    event_loop.queue_work(TaskKind::Work, work, after);
}

pub(super) fn stat(event_loop: &EventLoop, count: u64, in_flight: u64) {
    let left = Rc::new(Cell::new(count));
    for _ in 0..in_flight {
        stat_next(event_loop, &left);
    }
    event_loop.run(RunMode::Default);
}

fn stat_next(event_loop: &EventLoop, left: &Rc<Cell<u64>>) {
    if left.get() == 0 {
        return;
    }
    left.set(left.get() - 1);
    let left = Rc::clone(left);
    fs::stat(event_loop, ".", move |event_loop, metadata| {
        metadata.expect("there is such a directory");
        stat_next(event_loop, &left);
    });
}

pub(super) fn look_ups(event_loop: &EventLoop, count: u64) {
    let left = Rc::new(Cell::new(count));
    for _ in 0..10 {
        look_up_next(event_loop, &left);
    }
    event_loop.run(RunMode::Default);
}

fn look_up_next(event_loop: &EventLoop, left: &Rc<Cell<u64>>) {
    if left.get() == 0 {
        return;
    }
    left.set(left.get() - 1);
    let left = Rc::clone(left);
    dns::getaddrinfo(event_loop, "localhost", 0, Family::Any, move |event_loop, addresses| {
        addresses.expect("this host has a name");
        look_up_next(event_loop, &left);
    });
}
