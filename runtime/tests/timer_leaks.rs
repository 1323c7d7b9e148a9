//! Handles that come and go leave nothing behind.
//!
//! Each test is a process of its own: it counts the bytes that the process holds.

mod common;
mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::live_bytes;
use loopscope_runtime::alloc::CountingAllocator;
use loopscope_runtime::{Async, Check, EventLoop, Idle, Prepare, RunMode, TcpListener, TcpStream, Timer};
use support::in_child;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

/// What may be held besides: the test harness's, and queues that keep a little room.
const SLACK_BYTES: u64 = 200_000;

/// Runs a batch a few times, and expects that the others hold no more than the first.
fn expect_nothing_left(batches: usize, mut batch: impl FnMut(&EventLoop)) {
    let event_loop = EventLoop::new().unwrap();
    batch(&event_loop);
    let before = live_bytes();
    (0..batches).for_each(|_| batch(&event_loop));
    let after = live_bytes();
    assert!(after <= before + SLACK_BYTES, "{before} bytes became {after}");
}

/// Held by every callback, so that one that is not dropped shows.
fn bytes() -> Rc<[u8; 100]> {
    Rc::new([0; 100])
}

#[test]
fn a_million_timers_leave_nothing_behind() {
    in_child("a_million_timers_leave_nothing_behind", &[], || {
        let closed = Rc::new(Cell::new(0));
        let count = Rc::clone(&closed);
        expect_nothing_left(9, |event_loop| {
            for number in 0..100_000 {
                let held = bytes();
                let timer = Timer::new(event_loop);
                let timeout = Duration::from_nanos(number % 3 * 1000);
                timer.start(timeout, move |_, _| assert_eq!(held[0], 0)).unwrap();
                let own = timer.clone();
                match number % 4 {
                    0 => timer.close(),
                    1 => timer
                        .start(timeout, move |_, timer| assert!(!timer.is_active() && !own.is_closing()))
                        .unwrap(),
                    2 => timer.stop(),
                    _ => {}
                }
                if number % 4 == 1 {
                    let count = Rc::clone(&count);
                    timer.close_with(move |_| count.set(count.get() + 1));
                }
            }
            event_loop.run(RunMode::Default);
        });
        assert_eq!(closed.get(), 250_000);
    });
}

#[test]
fn a_loop_that_ends_drops_what_its_timers_hold() {
    in_child("a_loop_that_ends_drops_what_its_timers_hold", &[], || {
        let held = Rc::new(());
        let event_loop = EventLoop::new().unwrap();
        let outlives = Timer::new(&event_loop);
        for number in 0..1000 {
            let (timer, of_callback) = (Timer::new(&event_loop), Rc::clone(&held));
            // A reference to itself, which alone would keep it.
            let own = timer.clone();
            timer
                .start(Duration::from_secs(60), move |_, _| drop((own.clone(), Rc::clone(&of_callback))))
                .unwrap();
            let of_callback = Rc::clone(&held);
            match number % 3 {
                0 => timer.stop(),
                1 => timer.close_with(move |_| drop(of_callback)),
                _ => {}
            }
        }
        drop(event_loop);
        assert_eq!(Rc::strong_count(&held), 1);
        assert!(outlives.is_closing() && !outlives.is_active() && outlives.due_in().is_none());
        outlives.stop();
        outlives.close();
        drop(outlives.clone());
    });
}

#[test]
fn a_million_other_handles_leave_nothing_behind() {
    in_child("a_million_other_handles_leave_nothing_behind", &[], || {
        expect_nothing_left(9, |event_loop| {
            for _ in 0..25_000 {
                let held = [bytes(), bytes(), bytes(), bytes()];
                let [a, b, c, d] = held;
                let idle = Idle::new(event_loop);
                idle.start(move |_, _| assert_eq!(a[0], 0)).unwrap();
                idle.close();
                let prepare = Prepare::new(event_loop);
                prepare.start(move |_, _| assert_eq!(b[0], 0)).unwrap();
                prepare.close();
                let check = Check::new(event_loop);
                check.start(move |_, _| assert_eq!(c[0], 0)).unwrap();
                check.close();
                let wake = Async::new(event_loop, move |_, wake| {
                    assert_eq!(d[0], 0);
                    wake.close();
                });
                wake.sender().send();
            }
            event_loop.run(RunMode::Default);
        });
    });
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    in_child("a_thousand_connections_leave_nothing_behind", &[], || {
        expect_nothing_left(9, |event_loop| {
            let listener = TcpListener::bind(event_loop, "127.0.0.1:0".parse().unwrap()).unwrap();
            let mut left = 100;
            let serve = move |_: &EventLoop, listener: &TcpListener, stream: Result<TcpStream, _>| {
                let (stream, held) = (stream.unwrap(), bytes());
                stream
                    .read_start(move |_, stream, _| {
                        assert_eq!(held[0], 0);
                        stream.close();
                    })
                    .unwrap();
                left -= 1;
                if left == 0 {
                    listener.close();
                }
            };
            listener.listen(128, serve).unwrap();
            for _ in 0..100 {
                let address = listener.local_address().unwrap();
                let client = TcpStream::connect(event_loop, address, |_, stream, connected| {
                    connected.unwrap();
                    stream.write(vec![0; 100], |_, stream, _| stream.close()).unwrap();
                });
                client.unwrap();
            }
            event_loop.run(RunMode::Default);
        });
    });
}

#[test]
fn accepting_that_is_given_up_leaves_nothing_behind() {
    in_child("accepting_that_is_given_up_leaves_nothing_behind", &[], || {
        let mut kept = None;
        expect_nothing_left(9, |event_loop| {
            let listener = kept.get_or_insert_with(|| {
                let address = "127.0.0.1:0".parse().unwrap();
                Rc::new(loopscope_runtime::future::TcpListener::bind(event_loop, address, 1).unwrap())
            });
            for _ in 0..5_000 {
                let listener = Rc::clone(listener);
                let task = event_loop.spawn_local(async move { drop(listener.accept().await) });
                event_loop.run(RunMode::NoWait);
                task.abort();
            }
        });
    });
}
