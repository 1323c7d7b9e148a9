//! Polling: how long it may wait, what a poll is that waits, and calling back for what it gave.

use model::time::Monotonic;

use super::info::add;
use super::{EventLoop, phases};
use crate::poller::Refused;
use crate::sys::epoll::{EVENTS_MAX, Wait};

/// How many times an iteration polls again when there were more events than one poll takes; libuv's number.
const POLL_ROUNDS: usize = 48;

impl EventLoop {
    /// How long the poll may wait: until the first timer is due, and not at all while something else is to be done.
    #[inline]
    pub(super) fn poll_timeout(&self) -> Wait {
        let core = &self.core;
        if core.stopping.get()
            || !core.idle.is_empty()
            || self.has_something_to_do()
            || !self.waits_for_something()
        {
            return Wait::No;
        }
        match core.timers.next_due() {
            None => Wait::Forever,
            Some(due) if due <= core.now.get() => Wait::No,
            Some(due) => Wait::Ns(due.since_ns(core.now.get())),
        }
    }

    /// Waits for events and calls back for them.
    #[inline]
    pub(super) fn poll(&self, wait: Wait) {
        let refused = self.core.poller.apply_changes();
        add(&self.core.counts.iterations, 1);
        self.core.instruments.iteration_polls();
        let events = match wait {
            wait if wait != Wait::No && refused.is_empty() => self.wait_for_events(wait),
            _ => self.look_for_events(),
        };
        if events > 0 || !refused.is_empty() || self.core.inbox_left_over.get() || self.core.inbox.has_news()
        {
            self.call_back_events(events, refused);
        }
    }

    /// Calls back for the events that there are, and polls again while there are more of them than one poll takes.
    fn call_back_events(&self, events: usize, refused: Vec<Refused>) {
        // After signals the loop goes on to its other phases first.
        let mut more = !phases::poll_callbacks(self, refused) && events == EVENTS_MAX;
        for _ in 1..POLL_ROUNDS {
            if !more {
                break;
            }
            self.core.instruments.polls_again();
            let events = self.look_for_events();
            more = !phases::poll_callbacks(self, Vec::new()) && events == EVENTS_MAX;
        }
    }

    /// One poll that does not wait.
    #[inline(always)]
    fn look_for_events(&self) -> usize {
        let events = phases::poll_wait(self, Wait::No).unwrap_or(0);
        self.core.counts.waited.set(false);
        if events > 0 {
            let begin = self.core.now.get();
            self.core.read_clock();
            self.count_poll(false, events as u64, begin);
        }
        events
    }

    /// One poll that may wait; if a signal interrupts it, or it ends before its time, it is taken up again.
    fn wait_for_events(&self, mut wait: Wait) -> usize {
        if self.core.counts_waiting {
            let waiting = self.look_for_events();
            if waiting > 0 || self.core.inbox.has_news() {
                return waiting;
            }
        }
        self.core.instruments.poll_waits();
        let begin = self.core.now.get();
        let deadline = match wait {
            Wait::Ns(ns) => Some(begin.plus_ns(ns)),
            Wait::No | Wait::Forever => None,
        };
        loop {
            let polled = phases::poll_wait(self, wait);
            let (events, interrupted) = (polled.unwrap_or(0), polled.is_none());
            let now = self.core.read_clock();
            let news = self.core.inbox.has_news();
            match deadline {
                Some(deadline) if events == 0 && !news && now < deadline => {
                    wait = Wait::Ns(deadline.since_ns(now));
                }
                None if interrupted && !news => {}
                _ => {
                    self.core.counts.waited.set(true);
                    self.core.lingering.slept(now.since_ns(begin), news);
                    self.count_poll(true, events as u64, begin);
                    return events;
                }
            }
        }
    }

    /// Notes what a poll that waited, or returned something, has done.
    fn count_poll(&self, waited: bool, events: u64, begin: Monotonic) {
        let (counts, now) = (&self.core.counts, self.core.now.get());
        // That the loop was woken is no event: the inbox tells by itself what that counts for.
        let woken = events > 0 && self.core.poller.was_woken();
        counts.add_events(events - u64::from(woken));
        if waited {
            add(&counts.idle_ns, now.since_ns(begin));
        }
        self.core.instruments.poll_ended(waited, now);
    }

    /// Takes out what other threads have sent, and calls back for it.
    pub(super) fn open_inbox(&self) {
        let core = &self.core;
        core.inbox_left_over.set(true);
        core.inbox.acknowledge();
        core.inbox.take_completions(&mut core.arrived.borrow_mut());
        // One event each; a signal, or several, is one as well.
        core.counts.add_events((core.arrived.borrow().len() as u64).max(1));
        loop {
            let next = core.arrived.borrow_mut().pop_front();
            let Some(completion) = next else { break };
            if core.instruments.are_on() {
                core.instruments.completion_starts(
                    completion.kind,
                    completion.finished,
                    self.callback_start(),
                );
            }
            self.call_named(completion.delivery.name(), |event_loop| completion.delivery.deliver(event_loop));
        }
        core.wake_ups.deliver(self);
        if core.executor.take_woken(core) {
            self.call_named("wake-ups from other threads", |_| {});
        }
        core.inbox_left_over.set(false);
    }
}
