//! The timers of a loop: which is due next, and running those that are due.
//!
//! Timers wait in a heap, ordered by due time and, among equals, by when they were started. All that are due when the
//! phase begins move to a queue first, so that what a callback starts never runs in the same phase, however short
//! its timeout; a callback may still stop a timer that waits in the queue.
//!
//! The heap is four-ary and its entries hold the key, so that sifting touches few cache lines; each timer knows its place,
//! so that stopping needs no search.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use model::time::Monotonic;

use crate::event_loop::EventLoop;
use crate::handle::timer::TimerState;

const ARITY: usize = 4;

/// Where a timer waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// It was not started, was stopped, or has run.
    #[default]
    Nowhere,
    /// In the heap, at this index.
    Heap(usize),
    /// In the queue of those that are due, under this number.
    Due(u64),
}

/// The timers of one loop that were started.
#[derive(Default)]
pub(crate) struct Timers {
    heap: RefCell<Vec<Entry>>,
    due: RefCell<VecDeque<(u64, Rc<TimerState>)>>,
    starts: Cell<u64>,
}

struct Entry {
    due: Monotonic,
    start: u64,
    timer: Rc<TimerState>,
}

impl Entry {
    fn key(&self) -> (Monotonic, u64) {
        (self.due, self.start)
    }
}

impl Timers {
    /// Puts in a timer that waits nowhere.
    pub(crate) fn insert(&self, timer: Rc<TimerState>, due: Monotonic) {
        let start = self.starts.get();
        self.starts.set(start + 1);
        let mut heap = self.heap.borrow_mut();
        heap.push(Entry { due, start, timer });
        let last = heap.len() - 1;
        sift_up(&mut heap, last);
    }

    /// Takes out a timer; does nothing if it waits nowhere.
    pub(crate) fn remove(&self, timer: &TimerState) {
        match timer.place.take() {
            Place::Heap(index) => {
                // What is dropped may be the program's, so nothing may be borrowed meanwhile.
                let removed = remove_at(&mut self.heap.borrow_mut(), index);
                drop(removed);
            }
            // Its entry in the queue no longer agrees with its place, and is passed over.
            Place::Due(_) | Place::Nowhere => {}
        }
    }

    /// When the first timer is due. One that waits for its callback is due at once.
    pub(crate) fn next_due(&self) -> Option<Monotonic> {
        if !self.due.borrow().is_empty() {
            return Some(Monotonic::default());
        }
        self.heap.borrow().first().map(|entry| entry.due)
    }

    #[inline]
    pub(crate) fn any_due(&self, now: Monotonic) -> bool {
        self.next_due().is_some_and(|due| due <= now)
    }

    /// Calls back for all timers that are due at the loop's time.
    pub(crate) fn run_due(&self, event_loop: &EventLoop) {
        self.collect_due(event_loop.now());
        loop {
            let next = self.due.borrow_mut().pop_front();
            let Some((number, timer)) = next else { return };
            if timer.place.get() == Place::Due(number) {
                timer.place.set(Place::Nowhere);
                timer.fire(event_loop);
            }
        }
    }

    fn collect_due(&self, now: Monotonic) {
        let mut heap = self.heap.borrow_mut();
        let mut due = self.due.borrow_mut();
        while heap.first().is_some_and(|first| first.due <= now) {
            let entry = remove_at(&mut heap, 0);
            entry.timer.place.set(Place::Due(entry.start));
            due.push_back((entry.start, entry.timer));
        }
    }

    /// Drops all without calling back.
    pub(crate) fn clear(&self) {
        let waiting = self.heap.take().into_iter().map(|entry| entry.timer);
        let due = self.due.take().into_iter().map(|(_, timer)| timer);
        // Who still refers to one may stop it, and finds that it waits nowhere.
        waiting.chain(due).for_each(|timer| {
            timer.place.set(Place::Nowhere);
            timer.abandon();
        });
    }
}

fn remove_at(heap: &mut Vec<Entry>, index: usize) -> Entry {
    let removed = heap.swap_remove(index);
    if index < heap.len() {
        // What came from the end may belong further down, or, if it came from another branch, further up.
        sift_down(heap, index);
        sift_up(heap, index);
    }
    removed
}

fn sift_up(heap: &mut [Entry], mut index: usize) {
    while index > 0 {
        let parent = (index - 1) / ARITY;
        if heap[parent].key() <= heap[index].key() {
            break;
        }
        heap.swap(parent, index);
        note_place(heap, index);
        index = parent;
    }
    note_place(heap, index);
}

fn sift_down(heap: &mut [Entry], mut index: usize) {
    loop {
        let first_child = index * ARITY + 1;
        let children = first_child..heap.len().min(first_child + ARITY);
        let Some(smallest) = children.min_by_key(|&child| heap[child].key()) else { break };
        if heap[index].key() <= heap[smallest].key() {
            break;
        }
        heap.swap(index, smallest);
        note_place(heap, index);
        index = smallest;
    }
    note_place(heap, index);
}

fn note_place(heap: &[Entry], index: usize) {
    heap[index].timer.place.set(Place::Heap(index));
}
