//! What waits for the receiver: encoded batches, the oldest first, bounded in bytes.

use std::collections::VecDeque;

use hyper::body::Bytes;

/// Which batch it is.
pub(super) type BatchId = u64;

/// Batches that wait.
#[derive(Debug)]
pub(super) struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
    bytes_max: usize,
    next_id: BatchId,
    /// The one that is on its way, which is not dropped: it may have arrived.
    sending: Option<BatchId>,
}

#[derive(Debug)]
struct Batch {
    id: BatchId,
    body: Bytes,
    points: u64,
}

impl Queue {
    /// None waits.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { batches: VecDeque::new(), bytes: 0, bytes_max, next_id: 0, sending: None }
    }

    /// How much waits.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Points that wait.
    pub(super) fn points(&self) -> u64 {
        self.batches.iter().map(|batch| batch.points).sum()
    }

    /// Adds a batch; the oldest make room for it. Gives the number of points that were dropped: those of the batch itself
    /// where there is not room enough for it in any case.
    pub(super) fn push(&mut self, body: Bytes, points: u64) -> u64 {
        let sending = self.batches.front().filter(|batch| self.sending == Some(batch.id));
        if sending.map_or(0, |batch| batch.body.len()) + body.len() > self.bytes_max {
            return points;
        }
        let kept = usize::from(sending.is_some());
        let mut dropped = 0;
        while self.bytes + body.len() > self.bytes_max {
            let batch = self.batches.remove(kept).expect("without those that wait there is room");
            self.bytes -= batch.body.len();
            dropped += batch.points;
        }
        self.bytes += body.len();
        self.batches.push_back(Batch { id: self.next_id, body, points });
        self.next_id += 1;
        dropped
    }

    /// The oldest batch, which is now on its way; it stays until it is [removed](Queue::remove).
    pub(super) fn next(&mut self) -> Option<(BatchId, Bytes)> {
        let batch = self.batches.front()?;
        self.sending = Some(batch.id);
        Some((batch.id, batch.body.clone()))
    }

    /// It did not arrive.
    pub(super) fn put_back(&mut self, id: BatchId) {
        debug_assert_eq!(self.sending, Some(id));
        self.sending = None;
    }

    /// It arrived, or never will.
    pub(super) fn remove(&mut self, id: BatchId) {
        self.sending = None;
        let is_it = self.batches.front().is_some_and(|batch| batch.id == id);
        if let Some(batch) = is_it.then(|| self.batches.pop_front()).flatten() {
            self.bytes -= batch.body.len();
        }
    }

    /// Points of a batch.
    pub(super) fn points_of(&self, id: BatchId) -> u64 {
        self.batches.iter().find(|batch| batch.id == id).map_or(0, |batch| batch.points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(length: usize) -> Bytes {
        Bytes::from(vec![0; length])
    }

    #[test]
    fn the_oldest_make_room_and_are_counted() {
        let mut queue = Queue::new(100);
        assert_eq!((queue.push(body(40), 1), queue.push(body(40), 2)), (0, 0));
        assert_eq!(queue.push(body(60), 4), 1, "one was enough");
        assert_eq!((queue.bytes(), queue.points()), (100, 6));
        assert_eq!(queue.push(body(61), 8), 6);
        assert_eq!(queue.push(body(101), 16), 16, "it does not fit at all");
        assert_eq!((queue.bytes(), queue.points()), (61, 8));
    }

    #[test]
    fn what_is_on_its_way_is_not_dropped() {
        let mut queue = Queue::new(100);
        queue.push(body(40), 1);
        queue.push(body(40), 2);
        let (id, _) = queue.next().unwrap();
        assert_eq!(queue.push(body(40), 4), 2, "the oldest that waits");
        assert_eq!(queue.push(body(61), 8), 8);
        assert_eq!((queue.bytes(), queue.points(), queue.points_of(id)), (80, 5, 1));
        queue.put_back(id);
        assert_eq!(queue.push(body(40), 16), 1, "now it waits again");
        queue.remove(id);
        assert_eq!((queue.bytes(), queue.points()), (80, 20));
    }

    #[test]
    fn batches_go_in_order() {
        let mut queue = Queue::new(100);
        (1..=3).for_each(|length| assert_eq!(queue.push(body(length), 1), 0));
        for length in 1..=3 {
            let (id, sent) = queue.next().unwrap();
            assert_eq!(sent.len(), length);
            queue.remove(id);
        }
        assert!(queue.next().is_none() && queue.bytes() == 0);
    }
}
