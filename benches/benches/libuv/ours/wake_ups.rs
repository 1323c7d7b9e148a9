//! Loops that other threads wake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use runtime::{Async, EventLoop, RunMode};

const ASYNCS: usize = 65_536;

pub(super) fn round_trips(event_loop: &EventLoop, count: u64) {
    // Each end needs the other's sender, which exists once both loops do.
    let (to_other, from_here) = mpsc::channel();
    let (to_here, from_other) = mpsc::channel();
    let mut done = 0;
    let mut there: Option<runtime::AsyncSender> = None;
    let back = Async::new(event_loop, move |_, back| {
        done += 1;
        if done == count {
            back.close();
        } else {
            there.get_or_insert_with(|| from_other.recv().expect("the other loop")).send();
        }
    });
    to_other.send(back.sender()).expect("a channel");
    let (first, kick) = mpsc::channel();
    let other = thread::spawn(move || {
        let back: runtime::AsyncSender = from_here.recv().expect("this loop");
        let event_loop = EventLoop::builder().name("other").build().expect("a loop");
        let mut seen = 0;
        let there = Async::new(&event_loop, move |_, there| {
            back.send();
            seen += 1;
            if seen == count {
                there.close();
            }
        });
        to_here.send(there.sender()).expect("a channel");
        first.send(there.sender()).expect("a channel");
        event_loop.run(RunMode::Default);
    });
    kick.recv().expect("the other loop").send();
    event_loop.run(RunMode::Default);
    other.join().expect("the other loop");
}

pub(super) fn pummel(event_loop: &EventLoop, count: u64) {
    let pummeling = Arc::new(AtomicBool::new(true));
    let stop = Arc::clone(&pummeling);
    let mut left = count;
    let pummeled = Async::new(event_loop, move |_, pummeled| {
        left -= 1;
        if left == 0 {
            stop.store(false, Ordering::Relaxed);
            pummeled.close();
        }
    });
    let sender = pummeled.sender();
    let thread = thread::spawn(move || {
        while pummeling.load(Ordering::Relaxed) {
            sender.send();
        }
    });
    event_loop.run(RunMode::Default);
    thread.join().expect("the sender");
}

pub(super) fn many(event_loop: &EventLoop, count: u64) {
    let answered = Arc::new(AtomicU64::new(0));
    let handles: std::rc::Rc<std::cell::RefCell<Vec<Async>>> = std::rc::Rc::default();
    for _ in 0..ASYNCS {
        let (answers, all) = (Arc::clone(&answered), std::rc::Rc::clone(&handles));
        let handle = Async::new(event_loop, move |_, _| {
            let done = answers.load(Ordering::Relaxed) + 1;
            if done == count {
                all.borrow().iter().for_each(Async::close);
            }
            answers.store(done, Ordering::Release);
        });
        handles.borrow_mut().push(handle);
    }
    let senders: Vec<_> = handles.borrow().iter().map(Async::sender).collect();
    let thread = thread::spawn(move || {
        let mut random = 42u32;
        for number in 0..count {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            senders[(random >> 16) as usize % ASYNCS].send();
            while answered.load(Ordering::Acquire) <= number {
                thread::yield_now();
            }
        }
    });
    event_loop.run(RunMode::Default);
    thread.join().expect("the sender");
}
