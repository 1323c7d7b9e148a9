//! The slow iterations, one by one: how long, in which phases, and what ran in them.
//!
//! Distributions tell how often an iteration is slow; this tells which. While an iteration runs, what each phase took and
//! the names of what ran gather in one place; where the iteration was slow, that is copied into a ring, in memory that is
//! there from the beginning. Names are those of the types of callbacks, which the compiler knows: noting one compares and
//! stores an address. Times and phases, but no names, also go into a ring of the telemetry segment, where the agent finds them, and so does
//! the time since when the loop is away from its poll.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use model::label::Phase;
use model::segment::{LocalSlowIterations, Scope};
use model::time::Monotonic;

use crate::timers::whole_ns;

/// How many slow iterations are kept; the oldest goes first.
const KEPT: usize = 32;

/// How many different names are kept of one iteration.
const NAMES: usize = 8;

const PHASES: usize = Phase::ALL.len();

/// From when on an iteration is slow, unless a program says otherwise.
pub(crate) const SLOW: Duration = Duration::from_millis(10);

/// An iteration that kept the loop away from its poll for long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlowIteration {
    /// When it left the poll.
    pub began: Monotonic,
    /// How long it was away from the poll: what an event that came meanwhile had to wait at most.
    pub duration: Duration,
    /// The phases that ran something, in their order. Ticks and microtasks are not counted in the phases that they ran in.
    pub phases: Vec<PhaseShare>,
    /// What ran, each once, in the order in which it ran first: the type of the callback where a program gave one to the
    /// queues, to a request, or as a task (`my_program::serve::{{closure}}`), and the type of the handle elsewhere. At
    /// most 8.
    pub ran: Vec<&'static str>,
}

/// A phase's share of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseShare {
    /// The phase.
    pub phase: Phase,
    /// What it took.
    pub duration: Duration,
    /// The callbacks that ran in it.
    pub callbacks: u64,
}

/// The slow iterations of one loop.
pub(crate) struct SlowIterations {
    slow_ns: u64,
    current: Gathering,
    kept: RefCell<VecDeque<Gathered>>,
    /// `None` where the segment has no room for it.
    published: Option<LocalSlowIterations>,
}

/// What gathers during an iteration. Nothing is cleared between two of them but what tells how much there is.
struct Gathering {
    /// The phases that ran something, a bit for each by its position; of the others the figures are old ones.
    ran: Cell<u16>,
    phase_ns: [Cell<u64>; PHASES],
    callbacks: [Cell<u64>; PHASES],
    names: [Cell<&'static str>; NAMES],
    name_count: Cell<usize>,
    /// The name that was noted last: most callbacks follow one of their own kind.
    last_name: Cell<*const u8>,
}

/// What gathered during a slow one.
struct Gathered {
    began: Monotonic,
    duration_ns: u64,
    phase_ns: [u64; PHASES],
    callbacks: [u64; PHASES],
    names: [&'static str; NAMES],
    name_count: usize,
}

impl SlowIterations {
    /// Those of a loop that lives in `scope`.
    pub(crate) fn new(slow: Duration, scope: &Scope) -> Self {
        let slow_ns = whole_ns(slow);
        Self {
            slow_ns,
            current: Gathering::default(),
            kept: RefCell::new(VecDeque::with_capacity(KEPT)),
            published: scope.local_slow_iterations(slow_ns),
        }
    }

    /// A callback of this type is about to run.
    #[inline]
    pub(crate) fn note(&self, name: &'static str) {
        if self.current.last_name.replace(name.as_ptr()) != name.as_ptr() {
            self.current.note_new(name);
        }
    }

    /// A phase ended.
    #[inline]
    pub(crate) fn phase(&self, phase: Phase, ns: u64, callbacks: u64) {
        let Gathering { ran, phase_ns, callbacks: called, .. } = &self.current;
        let (at, bit) = (phase as usize, 1 << phase as usize);
        let before = if ran.get() & bit == 0 { (0, 0) } else { (phase_ns[at].get(), called[at].get()) };
        ran.set(ran.get() | bit);
        phase_ns[at].set(before.0 + ns);
        called[at].set(before.1 + callbacks);
    }

    /// The loop comes back to its poll.
    #[inline]
    pub(crate) fn iteration_ended(&self, began: Monotonic, duration_ns: u64) {
        if duration_ns >= self.slow_ns {
            self.keep(began, duration_ns);
        }
        self.begin();
    }

    /// The loop is away from its poll since then: whoever reads along sees an iteration that does not end.
    #[inline]
    pub(crate) fn away_since(&self, since: Monotonic) {
        if let Some(published) = &self.published {
            published.away_since(since);
        }
    }

    /// The loop waits in its poll, or does not run.
    #[inline]
    pub(crate) fn not_away(&self) {
        if let Some(published) = &self.published {
            published.not_away();
        }
    }

    /// Nothing has run yet.
    #[inline]
    pub(crate) fn begin(&self) {
        self.current.ran.set(0);
        // The last name is noted anew by whatever follows, or it would be missing there.
        self.current.name_count.set(0);
        self.current.last_name.set(std::ptr::null());
    }

    #[cold]
    fn keep(&self, began: Monotonic, duration_ns: u64) {
        let mut kept = self.kept.borrow_mut();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let iteration = self.current.gathered(began, duration_ns);
        if let Some(published) = &self.published {
            published.push(began, began.plus_ns(duration_ns), &iteration.phase_ns);
        }
        kept.push_back(iteration);
    }

    /// Those that are kept, the oldest first.
    pub(crate) fn read(&self) -> Vec<SlowIteration> {
        self.kept.borrow().iter().map(Gathered::told).collect()
    }
}

impl Default for Gathering {
    fn default() -> Self {
        Self {
            ran: Cell::default(),
            phase_ns: Default::default(),
            callbacks: Default::default(),
            names: Default::default(),
            name_count: Cell::default(),
            last_name: Cell::new(std::ptr::null()),
        }
    }
}

impl Gathering {
    #[inline]
    fn note_new(&self, name: &'static str) {
        let count = self.name_count.get();
        // By address: one type has one name. (Where the compiler made several of it, it is told several times.)
        let known = |noted: &Cell<&'static str>| std::ptr::addr_eq(noted.get().as_ptr(), name.as_ptr());
        if count == 0 || count < NAMES && !self.names[..count].iter().any(known) {
            self.names[count].set(name);
            self.name_count.set(count + 1);
        }
    }

    fn gathered(&self, began: Monotonic, duration_ns: u64) -> Gathered {
        let of_those_that_ran = |figures: &[Cell<u64>; PHASES]| {
            std::array::from_fn(|at| if self.ran.get() >> at & 1 == 1 { figures[at].get() } else { 0 })
        };
        Gathered {
            began,
            duration_ns,
            phase_ns: of_those_that_ran(&self.phase_ns),
            callbacks: of_those_that_ran(&self.callbacks),
            names: std::array::from_fn(|at| self.names[at].get()),
            name_count: self.name_count.get(),
        }
    }
}

impl Gathered {
    fn told(&self) -> SlowIteration {
        let share = |&phase: &Phase| PhaseShare {
            phase,
            duration: Duration::from_nanos(self.phase_ns[phase as usize]),
            callbacks: self.callbacks[phase as usize],
        };
        let ran = |share: &PhaseShare| share.callbacks > 0;
        SlowIteration {
            began: self.began,
            duration: Duration::from_nanos(self.duration_ns),
            phases: Phase::ALL.iter().map(share).filter(ran).collect(),
            ran: self.names[..self.name_count].iter().map(|name| readable(name)).collect(),
        }
    }
}

/// Of the runtime's own types, which call back for handles, the handle's module alone.
fn readable(name: &'static str) -> &'static str {
    let own = name.trim_start_matches('<').strip_prefix(concat!(env!("CARGO_CRATE_NAME"), "::handle::"));
    own.map_or(name, |inner| inner.split("::").next().unwrap_or(inner))
}
