//! How a loop saves the sleep when something is about to come from another thread.
//!
//! Falling asleep in the kernel's poll and being woken takes some microseconds, more than most tasks of the pool. So a loop
//! that was woken soon after it fell asleep stays awake a little before it polls, as long as that takes less than it saves:
//! it keeps an account of what it saved and spent. One that is overdrawn is paid off by short sleeps, in which staying awake
//! could have been of use, until the loop may try again. So a loop that rests pays nothing, one whose pattern changes pays
//! little and seldom, and on a machine that is busy with other things loops sleep.
//!
//! Only the inbox is looked at meanwhile, and the kernel's events come later by as much. The time counts as waiting.

use std::cell::Cell;
use std::hint;
use std::sync::OnceLock;
use std::thread;

use telemetry::clock;

use crate::inbox::Inbox;

/// The longest that a loop stays awake.
const LINGER_NS: u64 = 10_000;

/// What a sleep costs both threads.
const SLEEP_COST_NS: i64 = 5_000;

/// A sleep in which a loop was woken sooner than this could have been spared: being woken takes that long itself.
const SHORT_SLEEP_NS: u64 = 60_000;

/// What a short sleep pays.
const PAYMENT_NS: i64 = 1_000;

/// The most that counts of what was saved: a loop is to notice soon that it saves nothing any more.
const SAVED_NS_MAX: i64 = 2 * SLEEP_COST_NS;

/// How long no other thread is given the processor: as long as a short task takes.
const SPIN_NS: u64 = 2_000;

/// How often there is a look for news before one at the clock.
const LOOKS: usize = 24;

/// What a loop knows about its sleeps.
pub(crate) struct Lingering {
    /// Whether the last wait was short.
    last_was_short: Cell<bool>,
    balance_ns: Cell<i64>,
}

/// How staying awake went.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lingered {
    /// Whether something came.
    pub(crate) news: bool,
    /// How long it took.
    pub(crate) ns: u64,
}

impl Default for Lingering {
    fn default() -> Self {
        Self { last_was_short: Cell::new(false), balance_ns: Cell::new(-PAYMENT_NS) }
    }
}

impl Lingering {
    /// Stays awake for a while, at most so long, if that promises to be of use.
    #[inline]
    pub(crate) fn linger(&self, inbox: &Inbox, at_most_ns: u64) -> Lingered {
        if !self.last_was_short.get() || self.balance_ns.get() < 0 || inbox.has_news() {
            return Lingered::default();
        }
        let lingered = stay_awake(|| inbox.has_news(), SPIN_NS, at_most_ns.min(LINGER_NS));
        self.last_was_short.set(lingered.news);
        let saved = if lingered.news { SLEEP_COST_NS } else { 0 };
        let balance_ns = self.balance_ns.get() + saved - lingered.ns as i64;
        self.balance_ns.set(balance_ns.min(SAVED_NS_MAX));
        lingered
    }

    /// The loop slept for so long, and was woken by another thread or by something else.
    #[inline]
    pub(crate) fn slept(&self, ns: u64, by_news: bool) {
        let short = by_news && ns < SHORT_SLEEP_NS && is_of_use();
        self.last_was_short.set(short);
        if short && self.balance_ns.get() < 0 {
            self.balance_ns.set(self.balance_ns.get() + PAYMENT_NS);
        }
    }
}

/// Whether staying awake can be of use: on a single processor it keeps away what is waited for.
pub(crate) fn is_of_use() -> bool {
    static SEVERAL_PROCESSORS: OnceLock<bool> = OnceLock::new();
    *SEVERAL_PROCESSORS.get_or_init(|| thread::available_parallelism().is_ok_and(|threads| threads.get() > 1))
}

/// Looks for news for a while. At first no other thread is given the processor.
#[cold]
pub(crate) fn stay_awake(has_news: impl Fn() -> bool, spin_ns: u64, at_most_ns: u64) -> Lingered {
    let begin = clock::monotonic();
    loop {
        for _ in 0..LOOKS {
            if has_news() {
                return Lingered { news: true, ns: clock::monotonic().since_ns(begin) };
            }
            hint::spin_loop();
        }
        let ns = clock::monotonic().since_ns(begin);
        if ns >= at_most_ns {
            return Lingered { news: has_news(), ns };
        }
        if ns >= spin_ns {
            thread::yield_now();
        }
    }
}
