//! Signals that come while the loop waits.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Log, MS, after};
use loopscope_runtime::{Async, EventLoop, RunMode};

static CAUGHT: AtomicU64 = AtomicU64::new(0);

extern "C" fn caught(_: libc::c_int) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

/// Sends the calling thread a signal every millisecond, until the result is told to stop.
fn interrupt_me() -> (Arc<AtomicBool>, std::thread::JoinHandle<()>) {
    // SAFETY: the handler only counts, which is safe in a signal handler; a zeroed action is a valid one.
    let me = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = caught as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
        libc::pthread_self()
    };
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            // SAFETY: the thread waits for this one before it ends.
            unsafe { libc::pthread_kill(me, libc::SIGUSR1) };
            std::thread::sleep(MS);
        }
    });
    (stop, thread)
}

#[test]
fn a_wait_that_signals_interrupt_goes_on() {
    let event_loop = EventLoop::new().unwrap();
    let log = Log::default();
    let (stop, thread) = interrupt_me();

    let start = Instant::now();
    let never = Async::new(&event_loop, |_, _| unreachable!());
    never.unreference();
    let before = CAUGHT.load(Ordering::Relaxed);
    after(&event_loop, 100 * MS, log.noting_once("timer"));
    // One iteration is enough, however many signals come.
    assert!(!event_loop.run(RunMode::Once));
    assert!(start.elapsed() >= 100 * MS);
    assert!(CAUGHT.load(Ordering::Relaxed) > before, "signals came");
    log.expect("timer");

    // So is it for a wait without an end.
    let noted = log.clone();
    let wake = Async::new(&event_loop, move |_, wake| {
        noted.note("woken");
        wake.close();
    });
    let sender = wake.sender();
    let before = CAUGHT.load(Ordering::Relaxed);
    let waker = std::thread::spawn(move || {
        while CAUGHT.load(Ordering::Relaxed) < before + 3 {
            std::thread::sleep(Duration::from_micros(100));
        }
        sender.send();
    });
    event_loop.run(RunMode::Once);
    log.expect("woken");

    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    waker.join().unwrap();
}
