//! Slow iterations one by one: a ring for each loop, which the loop's thread writes and any reader reads.
//!
//! ```text
//! ring, 8 words     iterations written so far;  from when on one is slow, ns;  since when the loop is away from its poll, ns, or
//!                   zero while it waits there or does not run;  reserved (5)
//! row, 24 words     2 * number + 1 while it is written, + 2 when it is whole;  began, ns;  ended, ns;  reserved;
//!                   the time in each phase, by its position, ns (16 words);  reserved (4)
//! ```
//!
//! **Threads.** One thread writes, and never waits. Each row is a seqlock: its first word says which iteration it holds, and whether it
//! holds it as a whole. A reader takes a row only if that word was the expected one before and after; what was overwritten meanwhile, or before it
//! came to look, it counts as missed. The word never has the same value twice for as long as a loop lives, and a loop that takes over
//! another one's place begins with rows of zeros, under an index that readers compare.
//!
//! **Trust.** A row is refused that ends before it began, ends later than now, or had phases longer than itself; so is a ring that claims
//! more iterations since the last look than a loop can make.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::label::{LabelValue, Phase};
use crate::time::Monotonic;

/// Iterations that a writer's ring holds. Of a loop that does nothing but iterations of 10 ms it is half a second and more.
const ROWS: usize = 64;

const RING_WORDS: usize = 8;
const RING_AWAY: usize = 2;
const ROW_WORDS: usize = 24;
const PHASES_AT: usize = 4;
const PHASES_MAX: usize = 16;

/// The words of a ring.
pub(super) const WORDS: usize = RING_WORDS + ROWS * ROW_WORDS;

/// The most rows of a ring that are read.
const ROWS_MAX: usize = 1024;

/// The most iterations that are taken at once, of all loops: what a reading of a hostile segment can cost. That they do not make others'
/// forgotten is up to whoever keeps them.
const TAKEN_MAX: usize = 512;

/// The most iterations that a loop makes between two looks: an hour of them, each as short as one system call.
const JUMP_MAX: u64 = u32::MAX as u64;

/// The rows of the table of scopes that are looked at: twice what our own writers make room for.
pub(super) const SCOPES_MAX: usize = 1024;

const _: () = assert!(Phase::ALL.len() <= PHASES_MAX && PHASES_AT + PHASES_MAX <= ROW_WORDS);

/// Where a ring lies, as a scope says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    offset: usize,
    rows: usize,
    row_words: usize,
}

impl Place {
    /// That of a ring which begins there.
    pub(super) fn at(offset: usize) -> Self {
        Self { offset, rows: ROWS, row_words: ROW_WORDS }
    }

    pub(super) fn pack(self) -> u64 {
        (self.offset as u64) << 32 | (self.rows as u64) << 16 | self.row_words as u64
    }

    /// `None` of a scope without a ring.
    pub(super) fn unpack(word: u64) -> Option<Self> {
        let (rows, row_words) = (usize::from((word >> 16) as u16), usize::from(word as u16));
        (word != 0).then_some(Self { offset: (word >> 32) as usize, rows, row_words })
    }

    /// The ring's words; `None` where there is no such ring.
    fn words(self, all: &[AtomicU64]) -> Option<&[AtomicU64]> {
        let has_room = (1..=ROWS_MAX).contains(&self.rows) && self.row_words >= ROW_WORDS;
        let length = RING_WORDS + self.rows * self.row_words;
        all.get(self.offset..self.offset + length).filter(|_| has_room)
    }

    /// As a loop finds it that has just begun.
    pub(super) fn clear(self, all: &[AtomicU64]) {
        let words = self.words(all).unwrap_or_default();
        words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

/// The writing side of a loop's ring; one thread writes.
#[derive(Debug)]
pub struct LocalSlowIterations {
    ring: &'static [AtomicU64],
    written: Cell<u64>,
}

impl LocalSlowIterations {
    /// A ring of this segment.
    pub(super) fn new(all: &'static [AtomicU64], place: Place, slow_ns: u64) -> Option<Self> {
        let ring = place.words(all)?;
        ring[1].store(slow_ns, Ordering::Relaxed);
        Some(Self { ring, written: Cell::new(0) })
    }

    /// The loop is away from its poll from now on. Whoever sees that sees what was published before.
    #[inline]
    pub fn away_since(&self, now: Monotonic) {
        self.ring[RING_AWAY].store(now.as_ns(), Ordering::Release);
    }

    /// The loop waits in its poll, or does not run.
    #[inline]
    pub fn not_away(&self) {
        self.ring[RING_AWAY].store(0, Ordering::Release);
    }

    /// Publishes an iteration, in place of the oldest. `phase_ns` is what each phase took, by its position.
    pub fn push(&self, began: Monotonic, ended: Monotonic, phase_ns: &[u64; Phase::ALL.len()]) {
        let number = self.written.get();
        let at = RING_WORDS + number as usize % ROWS * ROW_WORDS;
        let row = &self.ring[at..at + ROW_WORDS];
        row[0].store(being_written(number), Ordering::Relaxed);
        // Whoever sees a word of what follows sees that the row is being written.
        fence(Ordering::Release);
        row[1].store(began.as_ns(), Ordering::Relaxed);
        row[2].store(ended.as_ns(), Ordering::Relaxed);
        for (word, ns) in row[PHASES_AT..].iter().zip(phase_ns) {
            word.store(*ns, Ordering::Relaxed);
        }
        row[0].store(whole(number), Ordering::Release);
        self.written.set(number + 1);
        self.ring[0].store(number + 1, Ordering::Release);
    }
}

fn being_written(number: u64) -> u64 {
    number.wrapping_mul(2).wrapping_add(1)
}

fn whole(number: u64) -> u64 {
    number.wrapping_mul(2).wrapping_add(2)
}

/// Since when the loop of such a ring is away from its poll, if it is; `None` where there is no such ring. Before 1.2 nobody wrote that word.
pub(super) fn away_since(all: &[AtomicU64], ring: u64) -> Option<Option<Monotonic>> {
    let since_ns = Place::unpack(ring)?.words(all)?[RING_AWAY].load(Ordering::Acquire);
    Some((since_ns > 0).then(|| Monotonic::from_ns(since_ns)))
}

/// A loop that is away from its poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// The thread of the loop, in the writer's pid namespace; zero where the loop has none.
    pub thread_id: u64,
    /// Tells the loop from others of its process.
    pub loop_index: u64,
    /// When its poll returned.
    pub since: Monotonic,
}

/// An iteration that kept its loop away from the poll for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowIteration {
    /// The thread of the loop, in the writer's pid namespace; zero where the loop has none.
    pub thread_id: u64,
    /// Tells the loop from others of its process.
    pub loop_index: u64,
    /// The value of `loop` in the loop's series.
    pub loop_name: String,
    /// When it left the poll.
    pub began: Monotonic,
    /// When it came back.
    pub ended: Monotonic,
    /// The phases that took time, the longest first, in nanoseconds.
    pub phases: Vec<(Phase, u64)>,
}

/// A loop that tells of its slow iterations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TellingLoop {
    /// Tells the loop from others of its process.
    pub index: u64,
    /// From when on it takes an iteration for slow, in nanoseconds.
    pub slow_ns: u64,
}

/// What a reader takes at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlowReading {
    /// The loops that tell of their slow iterations, open and closed.
    pub loops: Vec<TellingLoop>,
    /// The iterations since the last time, in no particular order of loops.
    pub iterations: Vec<SlowIteration>,
    /// Those that were overwritten before they were read, or that are more than are taken at once.
    pub missed: u64,
    /// Those that contradict themselves, and rings that lie outside the segment or jump further than a loop can.
    pub refused: u64,
}

/// How far a reader has come in the rings of one segment.
#[derive(Clone, Debug, Default)]
pub struct SlowCursor {
    /// By the place of a loop in the table of scopes: its index, and the number of the next iteration.
    next: HashMap<usize, (u64, u64)>,
    has_looked: bool,
}

/// A loop's row in the table of scopes, as far as it matters here.
pub(super) struct LoopRow {
    pub(super) number: usize,
    pub(super) index: u64,
    pub(super) ring: u64,
}

/// What a ring gave: times and phases.
pub(super) struct Taken {
    pub(super) index: u64,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) began: Monotonic,
    pub(super) ended: Monotonic,
    pub(super) phases: Vec<(Phase, u64)>,
}

impl SlowCursor {
    /// Takes what is new in the rings of these loops, which stand in their order. `words` are the whole segment. What is later than `now`,
    /// which is asked when all rows have been read, is refused.
    pub(super) fn take(
        &mut self,
        words: &[AtomicU64],
        loops: &[LoopRow],
        now: impl FnOnce() -> Monotonic,
        reading: &mut SlowReading,
    ) -> Vec<Taken> {
        // Rings do not overlap: no honest segment has more to read than itself.
        let mut budget = words.len();
        let mut room = TAKEN_MAX;
        let mut all = Vec::new();
        let has_looked = std::mem::replace(&mut self.has_looked, true);
        self.next.retain(|number, (index, _)| {
            let at = loops.binary_search_by_key(number, |it| it.number);
            at.is_ok_and(|at| loops[at].index == *index)
        });
        for of_loop in loops {
            let Some(place) = Place::unpack(of_loop.ring) else { continue };
            let Some(ring) = place.words(words).filter(|ring| ring.len() <= budget) else {
                reading.refused += 1;
                continue;
            };
            budget -= ring.len();
            let slow_ns = ring[1].load(Ordering::Relaxed);
            reading.loops.push(TellingLoop { index: of_loop.index, slow_ns });
            let written = ring[0].load(Ordering::Acquire);
            let kept = written.saturating_sub(place.rows as u64);
            let known = self.next.insert(of_loop.number, (of_loop.index, written));
            // What was overwritten before the first look, nobody missed.
            let from = known.map_or(kept, |(_, next)| next.min(written));
            if written - from > JUMP_MAX {
                reading.refused += 1;
                continue;
            }
            reading.missed = reading.missed.saturating_add(kept.saturating_sub(from));
            let first = from.max(kept);
            let fresh = (written - first) as usize;
            // The newest, where not all can be taken. Of before the first look nobody missed any.
            if has_looked {
                reading.missed = reading.missed.saturating_add(fresh.saturating_sub(room) as u64);
            }
            let mut rows = Vec::new();
            for number in written - fresh.min(room) as u64..written {
                let at = RING_WORDS + (number % place.rows as u64) as usize * place.row_words;
                match Row::read(&ring[at..at + ROW_WORDS], number) {
                    None => reading.missed = reading.missed.saturating_add(1),
                    Some(row) => rows.push(row),
                }
            }
            room -= fresh.min(room);
            if !rows.is_empty() {
                all.push(Taken { index: of_loop.index, rows });
            }
        }
        if !all.is_empty() {
            // Not before: an iteration may end while its ring is read.
            let now = now();
            for taken in &mut all {
                let found = taken.rows.len();
                taken.rows.retain(|row| !row.contradicts_itself(now));
                reading.refused += (found - taken.rows.len()) as u64;
            }
            all.retain(|taken| !taken.rows.is_empty());
        }
        all
    }
}

impl Row {
    /// `None` where the row does not hold this iteration, or not as a whole.
    fn read(row: &[AtomicU64], number: u64) -> Option<Self> {
        if row[0].load(Ordering::Acquire) != whole(number) {
            return None;
        }
        let load = |at: usize| row[at].load(Ordering::Relaxed);
        let (began, ended) = (Monotonic::from_ns(load(1)), Monotonic::from_ns(load(2)));
        let phases = Phase::ALL.iter().map(|&phase| (phase, load(PHASES_AT + usize::from(phase.position()))));
        let mut phases: Vec<_> = phases.filter(|&(_, ns)| ns > 0).collect();
        // Behind the readings above: had one of them been of the next iteration, this would see that being written.
        fence(Ordering::Acquire);
        if row[0].load(Ordering::Relaxed) != whole(number) {
            return None;
        }
        phases.sort_by_key(|&(_, ns)| std::cmp::Reverse(ns));
        Some(Self { began, ended, phases })
    }

    fn contradicts_itself(&self, now: Monotonic) -> bool {
        let in_phases = self.phases.iter().fold(0, |sum: u64, &(_, ns)| sum.saturating_add(ns));
        self.began > self.ended || self.ended > now || in_phases > self.ended.since_ns(self.began)
    }
}
