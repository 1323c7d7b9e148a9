//! The lists of timeouts, one for each duration, and the queue of lists by when their first timeout is due.

use std::collections::{BTreeSet, HashMap};

use super::{State, Timeout};

#[derive(Default)]
pub(super) struct Lists {
    nodes: Vec<Node>,
    free: Vec<usize>,
    lists: HashMap<u64, List>,
    by_duration: HashMap<u32, u64>,
    /// When the first of a list is due; among equals, the order of `turn`; the list's key.
    queue: BTreeSet<(u64, u64, u64)>,
    turns: u64,
    keys: u64,
}

struct List {
    duration_ms: u32,
    expiry_ms: u64,
    turn: u64,
    first: Option<usize>,
    last: Option<usize>,
}

struct Node {
    list: u64,
    before: Option<usize>,
    behind: Option<usize>,
    timeout: Option<Timeout>,
}

impl Lists {
    /// When the first list is due, and its key.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.queue.first().map(|&(expiry_ms, _, key)| (expiry_ms, key))
    }

    /// All that wait.
    pub(super) fn timeouts(&self) -> impl Iterator<Item = &Timeout> {
        self.nodes.iter().filter_map(|node| node.timeout.as_ref())
    }

    /// Gives whether the timeout is the first of a new list.
    pub(super) fn append(&mut self, timeout: &Timeout, duration_ms: u32, expiry_ms: u64) -> bool {
        self.unlink(&timeout.0);
        let known = self.by_duration.get(&duration_ms).copied();
        let key = known.unwrap_or_else(|| self.new_list(duration_ms, expiry_ms));
        let list = self.lists.get_mut(&key).expect("a list that a duration leads to is there");
        let before = list.last;
        let node = Node { list: key, before, behind: None, timeout: Some(timeout.clone()) };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at] = node;
                at
            }
            None => {
                self.nodes.push(node);
                self.nodes.len() - 1
            }
        };
        match before {
            Some(before) => self.nodes[before].behind = Some(at),
            None => list.first = Some(at),
        }
        list.last = Some(at);
        timeout.0.place.set(Some(at));
        known.is_none()
    }

    fn new_list(&mut self, duration_ms: u32, expiry_ms: u64) -> u64 {
        self.keys += 1;
        let (key, turn) = (self.keys, self.next_turn());
        self.lists.insert(key, List { duration_ms, expiry_ms, turn, first: None, last: None });
        self.by_duration.insert(duration_ms, key);
        self.queue.insert((expiry_ms, turn, key));
        key
    }

    fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Takes a timeout out of its list, if it is in one.
    pub(super) fn unlink(&mut self, state: &State) {
        let Some(at) = state.place.take() else { return };
        let Node { list, before, behind, timeout } = &mut self.nodes[at];
        let (list, before, behind, timeout) = (*list, *before, *behind, timeout.take());
        self.free.push(at);
        if let Some(before) = before {
            self.nodes[before].behind = behind;
        }
        if let Some(behind) = behind {
            self.nodes[behind].before = before;
        }
        if let Some(list) = self.lists.get_mut(&list) {
            if list.first == Some(at) {
                list.first = behind;
            }
            if list.last == Some(at) {
                list.last = before;
            }
        }
        // Whoever unlinks it holds it, so nothing of the program's is dropped here.
        drop(timeout);
    }

    pub(super) fn first_of(&self, key: u64) -> Option<(Timeout, u32)> {
        let list = self.lists.get(&key)?;
        Some((self.nodes[list.first?].timeout.clone()?, list.duration_ms))
    }

    /// Lets a list wait until then, behind those that wait for the same time.
    pub(super) fn wait(&mut self, key: u64, expiry_ms: u64) {
        let turn = self.next_turn();
        if let Some(list) = self.lists.get_mut(&key) {
            self.queue.remove(&(list.expiry_ms, list.turn, key));
            (list.expiry_ms, list.turn) = (expiry_ms, turn);
            self.queue.insert((expiry_ms, turn, key));
        }
    }

    pub(super) fn drop_if_empty(&mut self, duration_ms: u32) {
        if let Some(&key) = self.by_duration.get(&duration_ms)
            && self.lists.get(&key).is_some_and(|list| list.first.is_none())
        {
            self.remove(key);
        }
    }

    /// Removes a list that is empty.
    pub(super) fn remove(&mut self, key: u64) {
        if let Some(list) = self.lists.remove(&key) {
            self.queue.remove(&(list.expiry_ms, list.turn, key));
            if self.by_duration.get(&list.duration_ms) == Some(&key) {
                self.by_duration.remove(&list.duration_ms);
            }
        }
    }
}
