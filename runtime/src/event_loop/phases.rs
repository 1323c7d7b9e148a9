//! The phases, each a function of its own that is never inlined: a profiler finds its frame on the stack of whatever
//! runs in the phase, and so knows the phase. Their names are part of what the profiler looks for.
//!
//! For the frame to be there a phase must not end with the call that runs the callbacks, or the compiler would jump
//! there instead of calling: each function does something afterwards.

use model::label::Phase;
use rustix::io::Errno;

use super::EventLoop;
use crate::poller::{Event, Refused};
use crate::pool::Pool;
use crate::sys::epoll::{self, Wait};
use telemetry::clock;

/// Callbacks of due timers.
#[inline(never)]
pub(super) fn timers(event_loop: &EventLoop) {
    event_loop.core.timers.run_due(event_loop);
    ended(event_loop, Phase::Timers);
}

/// Callbacks that were put off. What is put off meanwhile runs in the next round.
#[inline(never)]
pub(super) fn pending(event_loop: &EventLoop, rounds: usize) {
    for _ in 0..rounds {
        let queued = event_loop.core.pending.borrow().len();
        for _ in 0..queued {
            let next = event_loop.core.pending.borrow_mut().pop_front();
            let Some(next) = next else { break };
            next.run_pending(event_loop);
        }
        if event_loop.core.pending.borrow().is_empty() {
            break;
        }
    }
    ended(event_loop, Phase::Pending);
}

/// Callbacks of idle handles.
#[inline(never)]
pub(super) fn idle(event_loop: &EventLoop) {
    event_loop.core.idle.run(event_loop);
    ended(event_loop, Phase::Idle);
}

/// Callbacks of prepare handles.
#[inline(never)]
pub(super) fn prepare(event_loop: &EventLoop) {
    event_loop.core.prepare.run(event_loop);
    ended(event_loop, Phase::Prepare);
}

/// The kernel's poll. Gives the number of events; `None` where a signal interrupted it.
#[inline(never)]
pub(super) fn poll_wait(event_loop: &EventLoop, wait: Wait) -> Option<usize> {
    let waits = wait != Wait::No;
    if !waits {
        call_workers(event_loop);
    }
    let wait = if waits { begin_wait(event_loop, wait) } else { wait };
    let result = event_loop.core.poller.wait(wait);
    if waits {
        event_loop.core.inbox.end_wait();
    }
    match result {
        Ok(events) => Some(events),
        Err(Errno::INTR) => None,
        Err(errno) => unreachable!("the kernel refuses to poll a descriptor that the loop owns: {errno}"),
    }
}

/// Gives how long the poll may wait, after what was spent staying awake: not at all if another thread has sent something.
#[inline(always)]
fn begin_wait(event_loop: &EventLoop, wait: Wait) -> Wait {
    let (inbox, lingering) = (&event_loop.core.inbox, &event_loop.core.lingering);
    let lingered = match wait {
        Wait::Ns(ns) => lingering.linger(inbox, ns),
        Wait::No | Wait::Forever => lingering.linger(inbox, u64::MAX),
    };
    if !inbox.has_news() {
        call_workers(event_loop);
    }
    match wait {
        _ if lingered.news || !inbox.begin_wait() => Wait::No,
        Wait::Ns(ns) => Wait::Ns(ns.saturating_sub(lingered.ns)),
        wait => wait,
    }
}

/// What was submitted to the pool must not wait for a loop that waits.
#[inline(always)]
fn call_workers(event_loop: &EventLoop) {
    match &event_loop.core.pool {
        Some(pool) => pool.call_deferred(),
        None => {
            if let Some(pool) = Pool::shared_if_made() {
                pool.call_deferred();
            }
        }
    }
}

/// Callbacks of the events that the poll returned; those for processes that ended and for signals come last. `refused`
/// are watchers to be called as if they were ready. Gives whether there were signals.
#[inline(never)]
pub(super) fn poll_callbacks(event_loop: &EventLoop, refused: Vec<Refused>) -> bool {
    for (watcher, wanted) in refused {
        watcher.ready(event_loop, epoll::Event::look(wanted));
    }
    let wake_up = WakeUp {
        event_loop,
        woken: event_loop.core.inbox_left_over.get() || event_loop.core.inbox.has_news(),
    };
    if wake_up.woken {
        event_loop.open_inbox();
    }
    for index in 0..event_loop.core.poller.event_count() {
        match event_loop.core.poller.event(index) {
            Event::Ready(watcher, event) => watcher.ready(event_loop, event),
            Event::Wake | Event::Stale => {}
        }
    }
    event_loop.core.children.deliver(event_loop);
    let signals = wake_up.woken && event_loop.core.caught.deliver(event_loop);
    std::mem::forget(wake_up);
    ended(event_loop, Phase::PollCallbacks);
    signals
}

/// Callbacks of check handles, then immediates.
#[inline(never)]
pub(super) fn check(event_loop: &EventLoop) {
    event_loop.core.check.run(event_loop);
    event_loop.core.immediates.run(event_loop);
    ended(event_loop, Phase::Check);
}

/// Close callbacks.
#[inline(never)]
pub(super) fn close(event_loop: &EventLoop) {
    event_loop.core.closing.run(event_loop);
    ended(event_loop, Phase::Close);
}

/// The tick queue.
#[inline(never)]
pub(super) fn ticks(event_loop: &EventLoop) {
    drained(event_loop, Phase::Ticks, |event_loop| event_loop.core.ticks.drain(event_loop));
}

/// The microtask queue.
#[inline(never)]
pub(super) fn microtasks(event_loop: &EventLoop) {
    drained(event_loop, Phase::Microtasks, |event_loop| event_loop.core.microtasks.drain(event_loop));
}

/// Refreshes the loop's time and records the phase, if a callback ran in it.
#[inline(always)]
fn ended(event_loop: &EventLoop, phase: Phase) {
    let callbacks = event_loop.core.callbacks_in_phase.take();
    if callbacks > 0 {
        let now = event_loop.core.read_clock();
        event_loop.core.instruments.phase_ended(phase, callbacks, now);
    }
}

/// Runs a queue and records it. These phases lie inside of others, so they have readings of the clock of their own.
#[inline(always)]
fn drained(event_loop: &EventLoop, phase: Phase, drain: impl FnOnce(&EventLoop) -> u64) {
    if !event_loop.core.instruments.are_on() {
        // The result keeps the call from being the last thing that the phase does.
        std::hint::black_box(drain(event_loop));
        return;
    }
    let start = clock::monotonic();
    let jobs = drain(event_loop);
    event_loop.core.instruments.drained(phase, jobs, start, clock::monotonic());
}

/// Dropped by a panic in a callback: what a wake-up told of was taken from the inbox, and signals may be left.
struct WakeUp<'a> {
    event_loop: &'a EventLoop,
    woken: bool,
}

impl Drop for WakeUp<'_> {
    fn drop(&mut self) {
        if self.woken {
            self.event_loop.core.inbox_left_over.set(true);
        }
    }
}
