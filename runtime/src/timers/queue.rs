//! Which timer is due next.
//!
//! **Lanes and a heap.** Most programs have a few timeouts and start timers with them over and over, so most entries
//! come in the order in which they are due. An entry that is due no earlier than the last of a lane goes to its end; what
//! fits no lane goes into a heap of four branches. The first of all is the first of a lane or of the heap. Entries in
//! order cost no comparisons with others, and are read and written in sequence, where a heap of a million jumps
//! through memory.
//!
//! **Entries that were left behind** (their timers were stopped) are passed over where they come first, and all are
//! thrown out when they are more than those that count.

use std::collections::VecDeque;

use model::time::Monotonic;

/// Timeouts that a program uses often: a few.
const LANES: usize = 4;

const ARITY: usize = 4;

/// So many left-behind entries are never worth a pass through all.
const LEFT_BEHIND_MIN: usize = 64;

/// Below this length nothing is done about unused room.
const SMALL: usize = 1024;

/// A timer that waits. Ordered by time, and then by turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) due: Monotonic,
    pub(super) turn: u32,
    pub(super) slot: u32,
}

/// All timers that wait.
#[derive(Default)]
pub(super) struct Queue {
    lanes: [VecDeque<Entry>; LANES],
    heap: Vec<Entry>,
    left_behind: usize,
}

/// Where the first entry is.
#[derive(Clone, Copy)]
enum Place {
    Lane(usize),
    Heap,
}

impl Queue {
    /// Adds an entry whose turn is behind all others.
    pub(super) fn push(&mut self, entry: Entry) {
        match self.lane_for(&entry) {
            Some(lane) => {
                let lane = &mut self.lanes[lane];
                if lane.len() == lane.capacity() && lane.len() >= SMALL {
                    lane.reserve_exact(lane.len() / 4);
                }
                lane.push_back(entry);
            }
            None => {
                self.heap.push(entry);
                sift_up(&mut self.heap);
            }
        }
    }

    /// The lane that ends latest among those that end no later than the entry is due; an empty one if there is none.
    fn lane_for(&self, entry: &Entry) -> Option<usize> {
        let mut best: Option<(usize, Option<Monotonic>)> = None;
        for (lane, entries) in self.lanes.iter().enumerate() {
            let end = entries.back().map(|last| last.due);
            if end.is_none_or(|end| end <= entry.due) && best.is_none_or(|(_, best)| end > best) {
                best = Some((lane, end));
            }
        }
        best.map(|(lane, _)| lane)
    }

    fn first(&self) -> Option<(Entry, Place)> {
        let mut first = self.heap.first().map(|entry| (*entry, Place::Heap));
        for (lane, entries) in self.lanes.iter().enumerate() {
            if let Some(entry) = entries.front()
                && first.is_none_or(|(first, _)| *entry < first)
            {
                first = Some((*entry, Place::Lane(lane)));
            }
        }
        first
    }

    fn remove(&mut self, place: Place) {
        match place {
            Place::Lane(lane) => {
                let lane = &mut self.lanes[lane];
                lane.pop_front();
                if lane.capacity() > SMALL && lane.len() < lane.capacity() / 4 {
                    lane.shrink_to(lane.capacity() / 2);
                }
            }
            Place::Heap => {
                self.heap.swap_remove(0);
                sift_down(&mut self.heap, 0);
                if self.heap.capacity() > SMALL && self.heap.len() < self.heap.capacity() / 4 {
                    self.heap.shrink_to(self.heap.capacity() / 2);
                }
            }
        }
    }

    /// Takes out the first entry, which counts.
    pub(super) fn pop_first(&mut self) -> Option<Entry> {
        let (entry, place) = self.first()?;
        self.remove(place);
        Some(entry)
    }

    /// Takes out what was left behind in front of the first entry that counts. Gives when that is due.
    pub(super) fn settle(&mut self, counts: impl Fn(&Entry) -> bool) -> Option<Monotonic> {
        loop {
            let (entry, place) = self.first()?;
            if counts(&entry) {
                return Some(entry.due);
            }
            self.remove(place);
            self.left_behind -= 1;
        }
    }

    /// An entry was left behind.
    pub(super) fn forgot_one(&mut self, counts: impl Fn(&Entry) -> bool) {
        self.left_behind += 1;
        let entries = self.heap.len() + self.lanes.iter().map(VecDeque::len).sum::<usize>();
        if self.left_behind > LEFT_BEHIND_MIN && self.left_behind > entries / 2 {
            self.lanes.iter_mut().for_each(|lane| lane.retain(&counts));
            self.heap.retain(&counts);
            make_heap(&mut self.heap);
            self.left_behind = 0;
        }
    }

    /// Numbers the turns of all entries that count anew, from zero, and throws out the others. Gives the next turn.
    pub(super) fn renumber(&mut self, counts: impl Fn(&Entry) -> bool) -> u32 {
        let mut entries: Vec<_> = self.entries().copied().filter(counts).collect();
        entries.sort_unstable();
        *self = Self::default();
        for (turn, entry) in (0..).zip(entries) {
            self.push(Entry { turn, ..entry });
        }
        self.entries().count() as u32
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lanes.iter().flatten().chain(&self.heap)
    }
}

fn make_heap(heap: &mut [Entry]) {
    for index in (0..heap.len().div_ceil(ARITY)).rev() {
        sift_down(heap, index);
    }
}

/// Brings the last entry to its place.
fn sift_up(heap: &mut [Entry]) {
    let Some(mut index) = heap.len().checked_sub(1) else { return };
    let entry = heap[index];
    while index > 0 {
        let parent = (index - 1) / ARITY;
        if heap[parent] <= entry {
            break;
        }
        heap[index] = heap[parent];
        index = parent;
    }
    heap[index] = entry;
}

fn sift_down(heap: &mut [Entry], mut index: usize) {
    let Some(&entry) = heap.get(index) else { return };
    loop {
        let first_child = index * ARITY + 1;
        let children = first_child..heap.len().min(first_child + ARITY);
        let Some(smallest) = children.min_by_key(|&child| heap[child]) else { break };
        if entry <= heap[smallest] {
            break;
        }
        heap[index] = heap[smallest];
        index = smallest;
    }
    heap[index] = entry;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a sorted set.
        #[test]
        fn entries_come_out_in_the_order_of_time_and_turn(
            steps in proptest::collection::vec((0..4u8, 0..50u64), 0..400),
        ) {
            let (mut queue, mut model) = (Queue::default(), BTreeSet::new());
            let mut turn = 0;
            for (step, number) in steps {
                match step {
                    0 | 1 => {
                        let entry = Entry { due: Monotonic::from_ns(number), turn, slot: turn };
                        turn += 1;
                        queue.push(entry);
                        model.insert(entry);
                    }
                    2 => {
                        let stopped = model.iter().nth(number as usize % model.len().max(1)).copied();
                        if let Some(stopped) = stopped {
                            model.remove(&stopped);
                            queue.forgot_one(|entry| model.contains(entry));
                        }
                    }
                    _ => {
                        let first = queue.settle(|entry| model.contains(entry));
                        prop_assert_eq!(first, model.first().map(|entry| entry.due));
                        if first.is_some() {
                            prop_assert_eq!(queue.pop_first(), model.pop_first());
                        }
                    }
                }
            }
            let next_turn = queue.renumber(|entry| model.contains(entry));
            prop_assert_eq!(next_turn as usize, model.len());
            for (turn, expected) in model.iter().enumerate() {
                let entry = queue.pop_first().expect("as many as the model has");
                prop_assert_eq!((entry.slot, entry.turn as usize), (expected.slot, turn));
            }
            prop_assert!(queue.pop_first().is_none());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it counts all entries again and again; the model above takes the same ways")]
    fn what_is_left_behind_is_never_more_than_what_counts_but_for_a_few() {
        let mut queue = Queue::default();
        for turn in 0..100_000 {
            queue.push(Entry { due: Monotonic::from_ns(u64::from(turn) * 7919 % 1000), turn, slot: 0 });
            if turn > 0 {
                queue.forgot_one(|entry| entry.turn == turn);
            }
            assert!(queue.entries().count() <= 2 * LEFT_BEHIND_MIN + 2);
        }
    }
}
