//! What runs between callbacks, and after the poll: the tick queue, the microtask queue, immediates.

use std::any::type_name;

use model::time::Monotonic;

use super::{EventLoop, phases};
use crate::immediates::Immediate;
use crate::ticks::Microtask;

impl EventLoop {
    /// Queues a callback to run before the loop does anything else: Node's `process.nextTick`.
    pub fn next_tick(&self, callback: impl FnOnce(&EventLoop) + 'static) {
        self.core.queue_job(&self.core.ticks, Box::new(callback));
    }

    /// Queues a callback to run once the tick queue is empty: Node's `queueMicrotask`.
    pub fn queue_microtask(&self, callback: impl FnOnce(&EventLoop) + 'static) {
        self.core.queue_job(&self.core.microtasks, Microtask::Callback(Box::new(callback)));
    }

    /// Queues a callback for the next check phase, right after the poll: Node's `setImmediate`. One that an immediate
    /// queues runs an iteration later. The loop stays alive for it and does not wait in the poll.
    pub fn set_immediate(&self, callback: impl FnOnce(&EventLoop) + 'static) -> Immediate {
        self.core.immediates.push(&self.core, Box::new(callback))
    }

    /// Calls back, then drains the tick and microtask queues. Every callback of every phase goes through here.
    #[inline]
    pub(crate) fn call<F: FnOnce(&EventLoop)>(&self, callback: F) {
        self.call_named(type_name::<F>(), callback);
    }

    /// As [`EventLoop::call`], with the name of what runs.
    #[inline]
    pub(crate) fn call_named(&self, name: &'static str, callback: impl FnOnce(&EventLoop)) {
        self.call_without_draining(name, callback);
        self.drain_queues();
    }

    /// Calls back, and leaves it to the caller to drain the queues before anything else runs.
    #[inline]
    pub(crate) fn call_without_draining(&self, name: &'static str, callback: impl FnOnce(&EventLoop)) {
        self.core.instruments.callback_runs(name);
        self.core.callbacks_in_phase.set(self.core.callbacks_in_phase.get() + 1);
        callback(self);
    }

    /// Drains the tick and microtask queues; gives whether there was anything.
    #[inline]
    pub(crate) fn drain_queues(&self) -> bool {
        let core = &self.core;
        let any = !core.ticks.is_empty() || !core.microtasks.is_empty();
        while !core.ticks.is_empty() || !core.microtasks.is_empty() {
            if !core.ticks.is_empty() {
                phases::ticks(self);
            }
            if !core.microtasks.is_empty() {
                phases::microtasks(self);
            }
        }
        any
    }

    /// The time at which the next callback of the current phase starts. Costs a reading of the clock if another callback
    /// of the phase ran since the last one: call only to record.
    pub(crate) fn callback_start(&self) -> Monotonic {
        match self.core.callbacks_in_phase.get() {
            0 => self.core.now.get(),
            _ => telemetry::clock::monotonic(),
        }
    }
}
