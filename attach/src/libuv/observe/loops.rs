//! Loops: what they say of themselves, reading by reading.

use model::catalogue;
use model::histogram::Histogram;
use model::label::{LabelValue, LoopState};
use model::snapshot::{SharedLabels, Snapshot, Value};
use model::time::Monotonic;

use super::super::image::Layout;
use super::super::probes::Begun;
use super::remote::{Remote, u32_at, u64_at};
use super::unseen::{Seen, Unseen};
use crate::sys::memory::Piece;
use crate::target::ProcessError;

/// `UV_METRICS_IDLE_TIME` in the flags of the internal fields, which are their first word.
const KEEPS_IDLE_TIME: u32 = 1;

/// The part of the internal fields that is read.
const INTERNAL_BYTES: usize = 160;

/// The part of a loop from its `internal_fields` to its `backend_fd`.
const HEAD_BYTES: usize = 32;

/// A loop.
#[derive(Debug)]
pub(super) struct ObservedLoop {
    pub(super) address: u64,
    /// The thread that it was found on; `None` of the default loop.
    pub(super) tid: Option<u32>,
    pub(super) name: String,
    internal: u64,
    first: State,
    last: State,
    /// Of the first and the last reading; `None` before it.
    since: Option<Monotonic>,
    at: Monotonic,
    idle_ns: u64,
    iterations: u64,
    events: u64,
    /// When the present stretch away from the poll began.
    away_since: Option<Monotonic>,
    /// Whether two readings have seen the present stretch.
    seen_twice: bool,
    stalls: Histogram,
    unseen: Unseen,
}

/// What a loop said at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    backend_fd: i32,
    internal: u64,
    flags: u32,
    time_ms: u64,
    iterations: Option<u64>,
    events: Option<u64>,
    /// Idle time of polls that are over.
    idle_ns: u64,
    /// When the present wait began; zero while there is none.
    entry_ns: u64,
}

impl State {
    fn keeps_idle_time(&self) -> bool {
        self.flags & KEEPS_IDLE_TIME != 0
    }

    fn is_waiting(&self) -> bool {
        self.entry_ns != 0
    }

    /// What probes need to know of an iteration that began before they were placed; without its beginning where the loop does not tell
    /// that, or is not in its poll.
    pub(super) fn begun(&self, tid: u32, loop_address: u64) -> Begun {
        let keeps_idle = self.keeps_idle_time();
        Begun {
            tid,
            loop_address,
            internal: self.internal,
            keeps_idle,
            entered_ns: Some(self.entry_ns).filter(|&entered_ns| keeps_idle && entered_ns != 0),
            idle_ns: self.idle_ns,
            events: self.events.unwrap_or(0),
        }
    }

    pub(super) fn backend_fd(&self) -> i32 {
        self.backend_fd
    }

    /// Whether both were seen within the same stretch away from the poll.
    fn same_stretch(&self, later: &Self) -> bool {
        let same = match (self.iterations, later.iterations) {
            (Some(before), Some(after)) => before == after,
            // Before 1.45 only the loop's time tells one iteration from the next.
            _ => self.time_ms == later.time_ms,
        };
        !self.is_waiting() && !later.is_waiting() && self.idle_ns == later.idle_ns && same
    }
}

/// Reads a loop's state; `None` where there is no memory, or nothing that looks like a loop.
pub(super) fn read_one(
    remote: &Remote,
    layout: &Layout,
    address: u64,
) -> Result<Option<State>, ProcessError> {
    let mut head = [0; HEAD_BYTES];
    if remote.read(address.wrapping_add(layout.loop_internal_fields.into()), &mut head)?.is_none() {
        return Ok(None);
    }
    let internal = u64_at(&head, 0);
    let (mut fields, mut time) = ([0; INTERNAL_BYTES], [0; 8]);
    let mut pieces = [
        Piece { address: internal, into: &mut fields },
        Piece { address: address.wrapping_add(layout.loop_time.into()), into: &mut time },
    ];
    Ok(remote.read_all(&mut pieces)?.then(|| state(layout, &head, &fields, &time)))
}

/// Reads the states of all loops in one call; one by one where that fails. `None` of what is no loop any more.
pub(super) fn read_all(
    remote: &Remote,
    layout: &Layout,
    loops: &[ObservedLoop],
) -> Result<Vec<Option<State>>, ProcessError> {
    let mut buffers = vec![([0; HEAD_BYTES], [0; INTERNAL_BYTES], [0; 8]); loops.len()];
    let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(3 * loops.len());
    for (observed, (head, fields, time)) in loops.iter().zip(&mut buffers) {
        let at = |offset: u32| observed.address.wrapping_add(offset.into());
        pieces.push(Piece { address: at(layout.loop_internal_fields), into: head });
        pieces.push(Piece { address: observed.internal, into: fields });
        pieces.push(Piece { address: at(layout.loop_time), into: time });
    }
    if pieces.is_empty() || remote.read_all(&mut pieces)? {
        let states = buffers.iter().map(|(head, fields, time)| state(layout, head, fields, time));
        let states =
            states.zip(loops).map(|(state, observed)| Some(state).filter(|it| observed.is_still(it)));
        return Ok(states.collect());
    }
    let one = |observed: &ObservedLoop| {
        let state = read_one(remote, layout, observed.address)?;
        Ok(state.filter(|state| observed.is_still(state)))
    };
    loops.iter().map(one).collect()
}

fn state(layout: &Layout, head: &[u8], fields: &[u8], time: &[u8]) -> State {
    let field = |offset: Option<u32>| offset.map(|offset| u64_at(fields, offset));
    State {
        backend_fd: u32_at(head, layout.loop_backend_fd - layout.loop_internal_fields) as i32,
        internal: u64_at(head, 0),
        flags: u32_at(fields, 0),
        time_ms: u64_at(time, 0),
        iterations: field(layout.metrics_loop_count),
        events: field(layout.metrics_events),
        idle_ns: field(layout.metrics_idle_time).unwrap_or(0),
        entry_ns: field(layout.metrics_entry_time).unwrap_or(0),
    }
}

impl ObservedLoop {
    /// Begins to observe the loop at an address; `None` where there is none.
    pub(super) fn open(
        remote: &Remote,
        layout: &Layout,
        address: u64,
        tid: Option<u32>,
        name: String,
    ) -> Result<Option<Self>, ProcessError> {
        let Some(first) = read_one(remote, layout, address)?.filter(|state| state.backend_fd > 0) else {
            return Ok(None);
        };
        Ok(Some(Self {
            address,
            tid,
            name,
            internal: first.internal,
            first,
            last: first,
            since: None,
            at: Monotonic::default(),
            idle_ns: 0,
            iterations: 0,
            events: 0,
            away_since: None,
            seen_twice: false,
            stalls: Histogram::default(),
            unseen: Unseen::default(),
        }))
    }

    /// The descriptor that the loop polls.
    pub(super) fn backend_fd(&self) -> i32 {
        self.first.backend_fd
    }

    /// Whether the loop counts the time that it waits.
    pub(super) fn keeps_idle_time(&self) -> bool {
        self.last.keeps_idle_time()
    }

    /// Since when the loop has been away from its poll; `None` where it was not at the last reading, or where that is not told.
    pub(super) fn away_since(&self) -> Option<Monotonic> {
        self.away_since.filter(|_| self.keeps_idle_time())
    }

    /// How long the longest stretch away from the poll may have been that was missed since this was last asked; `None` where that is
    /// not told.
    pub(super) fn take_unseen_ns(&mut self) -> Option<u64> {
        (self.since.is_some() && self.keeps_idle_time()).then(|| self.unseen.take())
    }

    /// Whether the loop counts its iterations.
    pub(super) fn counts_iterations(&self) -> bool {
        self.last.iterations.is_some()
    }

    fn is_still(&self, state: &State) -> bool {
        state.internal == self.internal && state.backend_fd == self.first.backend_fd
    }

    /// Takes a reading; whether the loop has done anything.
    pub(super) fn take(&mut self, state: State, now: Monotonic) -> bool {
        let before = std::mem::replace(&mut self.last, state);
        let last_at = std::mem::replace(&mut self.at, now);
        let Some(since) = self.since else {
            self.since = Some(now);
            self.first = state;
            self.first.idle_ns = total_idle_ns(&state, now);
            self.unseen = Unseen::new(self.first.idle_ns);
            self.away_since = (!state.is_waiting()).then_some(now);
            return true;
        };
        let elapsed_ns = now.since_ns(since);
        // Read while libuv adds to it, the idle time may for once be too small; and it is less than what has passed.
        let idle_ns = total_idle_ns(&state, now).saturating_sub(self.first.idle_ns);
        self.idle_ns = idle_ns.min(elapsed_ns).max(self.idle_ns);
        let grown = |before: Option<u64>, after: Option<u64>| {
            let grown = after.unwrap_or(0).wrapping_sub(before.unwrap_or(0));
            // Nothing happens a thousand million times a second.
            if grown <= now.since_ns(last_at) { grown } else { 0 }
        };
        self.iterations += grown(before.iterations, state.iterations);
        self.events += grown(before.events, state.events);
        if state.keeps_idle_time() {
            let seen = match (state.is_waiting(), before.same_stretch(&state)) {
                (true, _) => Seen::Waiting,
                (false, true) => Seen::StillAway,
                (false, false) => Seen::Away,
            };
            self.unseen.follow(total_idle_ns(&state, now), now.since_ns(last_at), seen);
            self.follow_stretch(&before, &state, last_at, now);
        }
        !state.is_waiting() || before.iterations != state.iterations || before.idle_ns != state.idle_ns
    }

    fn follow_stretch(&mut self, before: &State, state: &State, last_at: Monotonic, now: Monotonic) {
        if before.same_stretch(state) && self.away_since.is_some() {
            self.seen_twice = true;
            return;
        }
        if let (Some(began), true) = (self.away_since, self.seen_twice) {
            // It ended where the present wait began, if that is the next; else somewhere between two readings.
            let is_next =
                before.iterations.zip(state.iterations).is_some_and(|(a, b)| b == a.wrapping_add(1));
            let ended = if state.is_waiting() && is_next && state.entry_ns > last_at.as_ns() {
                state.entry_ns.min(now.as_ns())
            } else {
                last_at.as_ns() + now.since_ns(last_at) / 2
            };
            self.stalls.merge(&Histogram::from_ns([ended.saturating_sub(began.as_ns())]));
        }
        self.seen_twice = false;
        // libuv takes the time when a poll returns; callbacks may take it again.
        let loop_time_ns = state.time_ms.saturating_mul(1_000_000);
        let began_ns = loop_time_ns.min(now.as_ns()).max(last_at.as_ns());
        self.away_since = (!state.is_waiting()).then_some(Monotonic::from_ns(began_ns));
    }

    /// Adds what was observed.
    pub(super) fn add_to(&self, snapshot: &mut Snapshot, labels: &SharedLabels) {
        let Some(since) = self.since else { return };
        if self.keeps_idle_time() {
            let active_ns = self.at.since_ns(since).saturating_sub(self.idle_ns);
            for (state, ns) in [(LoopState::Active, active_ns), (LoopState::Idle, self.idle_ns)] {
                snapshot.push(&catalogue::EVENTLOOP_TIME, labels, &[state.as_str()], Value::Counter(ns));
            }
            let away_ns = self.away_since.map_or(0, |began| self.at.since_ns(began));
            let away = Value::Gauge(i64::try_from(away_ns).unwrap_or(i64::MAX));
            snapshot.push(&catalogue::EVENTLOOP_AWAY, labels, &[], away);
            let stalls = Value::Histogram(self.stalls.clone());
            snapshot.push(&catalogue::EVENTLOOP_STALL_OBSERVED, labels, &[], stalls);
        }
        if self.counts_iterations() {
            let iterations = Value::Counter(self.iterations);
            snapshot.push(&catalogue::EVENTLOOP_ITERATIONS, labels, &[], iterations);
            snapshot.push(&catalogue::EVENTLOOP_EVENTS, labels, &[], Value::Counter(self.events));
        }
    }
}

/// The idle time of all polls up to now, the present one included.
fn total_idle_ns(state: &State, now: Monotonic) -> u64 {
    let present = if state.is_waiting() { now.as_ns().saturating_sub(state.entry_ns) } else { 0 };
    state.idle_ns.saturating_add(present)
}
