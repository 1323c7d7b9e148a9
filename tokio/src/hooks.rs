//! What tokio calls when a worker parks and when it comes back: every stretch between the two, measured.
//!
//! A stretch from *unparked* to *parks* is one iteration of the worker's loop: for as long it did not wait in the kernel. It
//! is recorded as `eventloop_lag_seconds`, and is the longest that a ready event had to wait, unless the worker looked at its
//! driver in between, as tokio does after every 61 tasks: for a worker that is never out of work it is an upper bound.
//!
//! **Threads.** tokio does not tell a hook which worker calls. Each thread of a multi-threaded runtime therefore takes a
//! place, and there are as many as workers. `block_in_place` hands a worker to another thread without telling anybody; that
//! one finds no free place and takes over the one that has been away for longest, which is most likely the blocked
//! one's. Whose place was taken finds out when it parks next, and looks for another. What a place was doing when it is taken
//! over counts as active time and as no lag: nobody waited for it.
//!
//! A worker may have parked before its runtime was published. Its first hook tells what it did since: one that parks was away,
//! one that comes back was parked. A runtime of the current thread has one place for whoever drives it. Its first stretch is
//! not recorded, for it is not known when somebody began to drive it; later on, time in which nobody does is time away.
//!
//! All cells are atomic, so two threads that hold one place for a moment disturb nothing but its numbers.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use model::catalogue::{EVENTLOOP_ITERATIONS, EVENTLOOP_LAG};
use model::instrument::{Counter, Histogram};
use model::segment::Scope;
use model::time::Monotonic;
use telemetry::clock;

use crate::workers::LoopTime;

/// The hooks of one runtime; they do nothing until it is published, and nothing after its end.
#[derive(Default)]
pub(crate) struct Hooks {
    places: OnceLock<Places>,
    ended: AtomicBool,
}

struct Places {
    /// Tells runtimes apart.
    runtime: u64,
    /// Whether there is one place for whoever drives the runtime.
    is_shared: bool,
    places: Box<[Place]>,
}

struct Place {
    /// The [number](own_number) of the thread; zero for none.
    owner: AtomicU64,
    state: AtomicU64,
    time: LoopTime,
    lag: Histogram,
    iterations: Counter,
}

/// What a worker does, and since when; packed into a word, of which zero is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Away(Monotonic),
    Parked(Monotonic),
}

thread_local! {
    /// Which runtime's place the thread took last, and which one.
    static OWN_PLACE: Cell<(u64, usize)> = const { Cell::new((0, 0)) };
    static OWN_NUMBER: Cell<u64> = const { Cell::new(0) };
}

impl Hooks {
    /// From now on there is something to record to, in one scope for each worker.
    pub(crate) fn publish(&self, scopes: &[Scope], is_shared: bool) {
        static RUNTIMES: AtomicU64 = AtomicU64::new(1);
        let initial = if is_shared { State::Unknown } else { State::Away(clock::monotonic()) };
        let places = scopes.iter().map(|scope| Place::new(scope, initial)).collect();
        let runtime = RUNTIMES.fetch_add(1, Relaxed);
        // Published once, by whoever built the runtime.
        let _ = self.places.set(Places { runtime, is_shared, places });
    }

    /// The runtime has ended: its cells may soon be another's.
    pub(crate) fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// The calling worker is about to park.
    pub(crate) fn parks(&self) {
        let Some(places) = self.places() else { return };
        let now = clock::monotonic();
        let place = places.of_caller(now);
        place.iterations.add(1);
        if let State::Away(since) = place.change(State::Parked(now)) {
            let away_ns = now.since_ns(since);
            place.lag.record_ns(away_ns);
            place.time.active(away_ns);
        }
    }

    /// The calling worker is no longer parked.
    pub(crate) fn unparked(&self) {
        let Some(places) = self.places() else { return };
        let now = clock::monotonic();
        let place = places.of_caller(now);
        // One that seemed away was parked before anybody looked.
        if let State::Parked(since) | State::Away(since) = place.change(State::Away(now)) {
            place.time.idle(now.since_ns(since));
        }
    }

    /// Says how long each worker has been away; called by the sampler. `never_parked` is how many workers have run since
    /// they began: as many places that nobody has taken yet are theirs.
    pub(crate) fn sample(&self, now: Monotonic, mut never_parked: usize) {
        let Some(places) = self.places() else { return };
        for place in &places.places {
            let is_known = places.is_shared || place.owner.load(Relaxed) != 0;
            let is_credible = is_known || never_parked > 0;
            if !is_known {
                never_parked = never_parked.saturating_sub(1);
            }
            place.time.away(match place.state() {
                State::Away(since) if is_credible => now.since_ns(since),
                _ => 0,
            });
        }
    }

    #[inline]
    fn places(&self) -> Option<&Places> {
        self.places.get().filter(|_| !self.ended.load(Relaxed))
    }
}

impl Places {
    /// The calling thread's place.
    #[inline]
    fn of_caller(&self, now: Monotonic) -> &Place {
        if self.is_shared {
            return &self.places[0];
        }
        let (runtime, at) = OWN_PLACE.get();
        if runtime == self.runtime && self.places[at].owner.load(Relaxed) == OWN_NUMBER.get() {
            return &self.places[at];
        }
        self.take(now)
    }

    #[cold]
    fn take(&self, now: Monotonic) -> &Place {
        let own = own_number();
        let is_taken = |place: &Place| place.owner.compare_exchange(0, own, Relaxed, Relaxed).is_ok();
        if let Some(at) = self.places.iter().position(is_taken) {
            OWN_PLACE.set((self.runtime, at));
            return &self.places[at];
        }
        let at = self.longest_away();
        let place = &self.places[at];
        place.owner.store(own, Relaxed);
        OWN_PLACE.set((self.runtime, at));
        if let State::Away(since) = place.change(State::Unknown) {
            place.time.active(now.since_ns(since));
        }
        place
    }

    /// Places that are parked come last.
    fn longest_away(&self) -> usize {
        let key = |place: &Place| match place.state() {
            State::Away(since) => (0, since),
            State::Unknown => (1, Monotonic::default()),
            State::Parked(since) => (2, since),
        };
        let places = self.places.iter().enumerate();
        places.min_by_key(|(_, place)| key(place)).map_or(0, |(at, _)| at)
    }
}

impl Place {
    fn new(scope: &Scope, initial: State) -> Self {
        Self {
            owner: AtomicU64::new(0),
            state: AtomicU64::new(initial.pack()),
            time: LoopTime::new(scope),
            lag: scope.histogram(&EVENTLOOP_LAG, &[]),
            iterations: scope.counter(&EVENTLOOP_ITERATIONS, &[]),
        }
    }

    fn state(&self) -> State {
        State::unpack(self.state.load(Relaxed))
    }

    fn change(&self, to: State) -> State {
        State::unpack(self.state.swap(to.pack(), Relaxed))
    }
}

impl State {
    fn pack(self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Away(since) => since.as_ns() << 2 | 1,
            Self::Parked(since) => since.as_ns() << 2 | 2,
        }
    }

    fn unpack(word: u64) -> Self {
        let since = Monotonic::from_ns(word >> 2);
        match word & 3 {
            1 => Self::Away(since),
            2 => Self::Parked(since),
            _ => Self::Unknown,
        }
    }
}

/// A number that no other thread of this process has.
fn own_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if OWN_NUMBER.get() == 0 {
        OWN_NUMBER.set(NEXT.fetch_add(1, Relaxed));
    }
    OWN_NUMBER.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_its_packing() {
        let now = Monotonic::from_ns(1 << 61);
        for state in [State::Unknown, State::Away(now), State::Parked(now)] {
            assert_eq!(State::unpack(state.pack()), state);
        }
    }
}
