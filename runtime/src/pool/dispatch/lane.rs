//! The tasks of one kind that wait.

use std::collections::VecDeque;

use super::TaskNumber;

/// Tasks in the order of their numbers. One that was withdrawn leaves its place empty until those before it are gone.
pub(super) struct Lane<T> {
    places: VecDeque<(TaskNumber, Option<T>)>,
    /// How many wait.
    pub(super) waiting: usize,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { places: VecDeque::new(), waiting: 0 }
    }
}

impl<T> Lane<T> {
    pub(super) fn push(&mut self, number: TaskNumber, task: T) {
        self.places.push_back((number, Some(task)));
        self.waiting += 1;
    }

    /// The first place is never empty.
    pub(super) fn first(&self) -> Option<TaskNumber> {
        self.places.front().map(|(number, _)| *number)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let (_, task) = self.places.pop_front()?;
        self.waiting -= 1;
        self.drop_empty_places();
        task
    }

    pub(super) fn withdraw(&mut self, number: TaskNumber) -> Option<T> {
        let at = self.places.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let task = self.places[at].1.take()?;
        self.waiting -= 1;
        self.drop_empty_places();
        Some(task)
    }

    fn drop_empty_places(&mut self) {
        while let Some((_, None)) = self.places.front() {
            self.places.pop_front();
        }
    }

    pub(super) fn into_tasks(self) -> impl Iterator<Item = T> {
        self.places.into_iter().filter_map(|(_, task)| task)
    }
}
