//! The rings of all CPUs, read as one stream by ascending time.
//!
//! Each CPU has a ring of its own, so that the kernel needs no lock, and a process that moves between CPUs leaves its
//! records in several. Read one ring after the other, the fork of a process could come after its first samples. So a
//! record is handed out only when no earlier one can still appear in another ring: that is, when it was made before a
//! *horizon* which all rings have been read up to. Between stamping a record and making it visible the kernel takes
//! microseconds; the horizon lies [`SETTLING_NS`] in the past, and a record that is still later (the machine
//! under us was stopped just then) is handed out at once with its time raised to that of the one before.
//!
//! Records stay in the ring until they are due, and are handed out as slices of it. Only a record that wraps around
//! the ring's end is copied. Refused: a queue of copied records, which costs a copy of each stack.

#[cfg(test)]
mod fixture;
pub(crate) mod record;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use model::label::LossCause;
use model::time::Monotonic;

use crate::sampler::event::Event;
use crate::sys::ring::Ring;
use record::Record;

/// What becomes of a record that cannot be read.
const MALFORMED: Record<'static> = Record::Event(Event::Lost { cause: LossCause::Malformed, count: 1 });

/// How old a record must be to be sure that no earlier one will appear. Even the smallest ring at the highest frequency
/// holds more than this; else nothing would be old enough when the ring is full.
const SETTLING_NS: u64 = 1_000_000;

/// Where records come from.
pub(crate) trait Source {
    /// Looks for new records.
    fn refresh(&mut self);
    /// The unread words, in two parts where they wrap around.
    fn unread(&self) -> (&[u64], &[u64]);
    /// Forgets the first `words` unread words.
    fn consume(&mut self, words: usize);
}

impl Source for Ring {
    fn refresh(&mut self) {
        self.refresh();
    }

    fn unread(&self) -> (&[u64], &[u64]) {
        self.unread()
    }

    fn consume(&mut self, words: usize) {
        self.consume(words);
    }
}

/// All rings, merged.
pub(crate) struct Rings<S> {
    sources: Vec<S>,
    /// The sources that have unread records, by the time of their first one.
    queue: BinaryHeap<Reverse<(Monotonic, usize)>>,
    /// A record that wraps around is put together here.
    scratch: Vec<u64>,
    last: Monotonic,
}

impl<S: Source> Rings<S> {
    pub(crate) fn new(sources: Vec<S>) -> Self {
        let queue = BinaryHeap::with_capacity(sources.len());
        Self { sources, queue, scratch: Vec::new(), last: Monotonic::default() }
    }

    pub(crate) fn sources(&self) -> &[S] {
        &self.sources
    }

    /// Hands out what was recorded long enough before `now` to be in order.
    pub(crate) fn drain_settled(&mut self, now: Monotonic, sink: &mut dyn FnMut(Record<'_>)) {
        self.drain(Monotonic::from_ns(now.as_ns().saturating_sub(SETTLING_NS)), sink);
    }

    /// Hands out everything. Only when nothing records any more, or the order may suffer.
    pub(crate) fn drain_all(&mut self, sink: &mut dyn FnMut(Record<'_>)) {
        self.drain(Monotonic::from_ns(u64::MAX), sink);
    }

    fn drain(&mut self, horizon: Monotonic, sink: &mut dyn FnMut(Record<'_>)) {
        self.queue.clear();
        for index in 0..self.sources.len() {
            self.sources[index].refresh();
            self.enqueue(index, sink);
        }
        while let Some(Reverse((time, index))) = self.queue.pop() {
            if time >= horizon {
                break;
            }
            self.last = self.last.max(time);
            self.hand_out(index, sink);
            self.enqueue(index, sink);
        }
    }

    /// Puts a source into the queue, if it has a record.
    fn enqueue(&mut self, index: usize, sink: &mut dyn FnMut(Record<'_>)) {
        let source = &mut self.sources[index];
        let (first, second) = source.unread();
        let time = match first_record(first, second, &mut self.scratch) {
            Ok(None) => return,
            Ok(Some(record)) => record::time_of(record),
            Err(malformed) => Err(malformed),
        };
        match time {
            Ok(time) => self.queue.push(Reverse((time, index))),
            Err(record::Malformed) => {
                // Without a length there is no next record, without a time no order: all that is unread here is lost.
                let all = first.len() + second.len();
                source.consume(all);
                sink(MALFORMED);
            }
        }
    }

    /// Hands out the first record of a source, and forgets it.
    fn hand_out(&mut self, index: usize, sink: &mut dyn FnMut(Record<'_>)) {
        let source = &mut self.sources[index];
        let (first, second) = source.unread();
        let Ok(Some(record)) = first_record(first, second, &mut self.scratch) else {
            unreachable!("only sources with a record are in the queue")
        };
        let words = record.len();
        match record::parse(record) {
            Ok(Some(record)) => sink(not_before(record, self.last)),
            Ok(None) => {}
            Err(record::Malformed) => sink(MALFORMED),
        }
        source.consume(words);
    }
}

/// The first record, from where it lies or, if it is in two pieces, from `scratch`.
fn first_record<'a>(
    first: &'a [u64],
    second: &'a [u64],
    scratch: &'a mut Vec<u64>,
) -> Result<Option<&'a [u64]>, record::Malformed> {
    let (first, second) = if first.is_empty() { (second, first) } else { (first, second) };
    let Some(&header) = first.first() else { return Ok(None) };
    let words = record::length_in_words(header)?;
    if let Some(whole) = first.get(..words) {
        return Ok(Some(whole));
    }
    // The kernel moves its head by whole records, so the rest of this one is there, or the record lies.
    let rest = second.get(..words - first.len()).ok_or(record::Malformed)?;
    scratch.clear();
    scratch.extend_from_slice(first);
    scratch.extend_from_slice(rest);
    Ok(Some(scratch))
}

/// The record, with its time raised to `earliest` if it came too late for its own.
fn not_before(mut record: Record<'_>, earliest: Monotonic) -> Record<'_> {
    let time = match &mut record {
        Record::Sampled { sample, .. } | Record::Event(Event::Sample(sample)) => &mut sample.time,
        Record::Event(Event::Mapped(mapped)) => &mut mapped.time,
        Record::Forked { time, .. }
        | Record::Resumed { time, .. }
        | Record::Event(
            Event::Forked { time, .. } | Event::Renamed { time, .. } | Event::Exited { time, .. },
        ) => time,
        Record::Event(Event::Lost { .. }) => return record,
    };
    *time = earliest.max(*time);
    record
}
