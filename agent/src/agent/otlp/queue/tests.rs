//! Bounds, order, and what survives.

use super::super::buffer::tests::{Scratch, payload};
use super::*;
use hyper::body::Bytes;

fn body(length: usize) -> Payload {
    Payload { bytes: Bytes::from(vec![0; length]), is_gzip: false }
}

/// The number of points that were dropped.
#[track_caller]
fn push(queue: &mut Queue, length: usize, points: u64) -> u64 {
    let (dropped, written) = queue.push(body(length), points);
    written.unwrap();
    dropped
}

fn all_points(queue: &Queue) -> u64 {
    queue.points(true) + queue.points(false)
}

fn on_disk(scratch: &Scratch, bytes_max: usize) -> Queue {
    let (buffer, found, torn) = Buffer::open(&scratch.0).unwrap();
    assert_eq!(torn, 0);
    let mut queue = Queue::new(100);
    queue.keep_on_disk(buffer, found, bytes_max);
    queue
}

#[test]
fn in_memory_the_oldest_make_room_and_are_counted() {
    let mut queue = Queue::new(100);
    assert_eq!((push(&mut queue, 40, 1), push(&mut queue, 40, 2)), (0, 0));
    assert_eq!(push(&mut queue, 60, 4), 1, "one was enough");
    assert_eq!((queue.bytes(), all_points(&queue)), (100, 6));
    assert_eq!(push(&mut queue, 61, 8), 6);
    assert_eq!((queue.bytes(), all_points(&queue)), (61, 8));
}

#[test]
fn on_disk_the_oldest_make_room_and_what_counts_are_blocks() {
    let scratch = Scratch::new("room");
    let mut queue = on_disk(&scratch, 2 * BLOCK_BYTES);
    assert_eq!((push(&mut queue, 40, 1), push(&mut queue, 40, 2)), (0, 0));
    assert_eq!(push(&mut queue, 60, 4), 1, "one was enough");
    assert_eq!((queue.bytes(), all_points(&queue)), (100, 6));
    // With its header it is more than a block.
    assert_eq!(push(&mut queue, BLOCK_BYTES, 8), 6);
    assert_eq!((queue.bytes(), all_points(&queue)), (BLOCK_BYTES, 8));
    assert_eq!(
        std::fs::read_dir(&scratch.0)
            .unwrap()
            .filter(|it| it.as_ref().unwrap().path().extension().is_some())
            .count(),
        1
    );
}

#[test]
fn what_does_not_fit_at_all_is_dropped() {
    let mut queue = Queue::new(100);
    assert_eq!((push(&mut queue, 101, 16), queue.bytes()), (16, 0));
}

#[test]
fn what_is_on_its_way_is_not_dropped() {
    let mut queue = Queue::new(100);
    push(&mut queue, 40, 1);
    push(&mut queue, 40, 2);
    let (id, _) = queue.next().unwrap().unwrap();
    assert_eq!(push(&mut queue, 40, 4), 2, "the oldest that waits");
    assert_eq!((queue.bytes(), all_points(&queue), queue.points_of(id)), (80, 5, 1));
    queue.put_back(id);
    assert_eq!(push(&mut queue, 40, 16), 1, "now it waits again");
    queue.remove(id);
    assert_eq!((queue.bytes(), all_points(&queue)), (80, 20));
}

#[test]
fn batches_go_in_order() {
    let mut queue = Queue::new(100);
    (1..=3).for_each(|length| assert_eq!(push(&mut queue, length, 1), 0));
    for length in 1..=3 {
        let (id, sent) = queue.next().unwrap().unwrap();
        assert_eq!(sent.bytes.len(), length);
        queue.remove(id);
    }
    assert!(queue.next().is_none() && queue.bytes() == 0);
}

#[test]
fn what_was_not_sent_is_there_after_a_restart() {
    let scratch = Scratch::new("restart");
    let mut queue = on_disk(&scratch, 3 * BLOCK_BYTES);
    for (text, points) in [("first", 1), ("second", 2), ("third", 4)] {
        queue.push(payload(text), points).1.unwrap();
    }
    let (id, _) = queue.next().unwrap().unwrap();
    queue.remove(id);
    // Killed while the second was on its way.
    let _ = queue.next();
    drop(queue);

    let mut queue = on_disk(&scratch, 3 * BLOCK_BYTES);
    assert_eq!((queue.points(false), queue.points(true)), (6, 0));
    queue.push(payload("fourth"), 8).1.unwrap();
    for text in ["second", "third", "fourth"] {
        let (id, sent) = queue.next().unwrap().unwrap();
        assert_eq!(sent, payload(text));
        queue.remove(id);
    }
    drop(queue);
    assert!(on_disk(&scratch, 3 * BLOCK_BYTES).next().is_none());
}

#[test]
fn a_smaller_bound_after_a_restart_holds() {
    let scratch = Scratch::new("smaller");
    let mut queue = on_disk(&scratch, 3 * BLOCK_BYTES);
    (1..=3).for_each(|points| assert_eq!(push(&mut queue, 30, points), 0));
    drop(queue);
    let (buffer, found, _) = Buffer::open(&scratch.0).unwrap();
    let mut queue = Queue::new(100);
    assert_eq!(queue.keep_on_disk(buffer, found, BLOCK_BYTES), 3);
    assert_eq!(queue.bytes(), 30);
}

#[test]
fn a_batch_that_the_disk_does_not_give_back_is_counted() {
    let scratch = Scratch::new("given-back");
    let mut queue = on_disk(&scratch, 3 * BLOCK_BYTES);
    queue.push(payload("first"), 1).1.unwrap();
    queue.push(payload("second"), 2).1.unwrap();
    let file = std::fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().path());
    let first = file.filter(|path| path.extension().is_some()).min().unwrap();
    std::fs::write(first, "torn").unwrap();
    assert_eq!(queue.next(), Some(Err(1)));
    assert_eq!(queue.next(), Some(Ok((1, payload("second")))));
}

#[test]
fn what_cannot_be_written_waits_in_memory() {
    let scratch = Scratch::new("unwritten");
    let mut queue = on_disk(&scratch, 3 * BLOCK_BYTES);
    push(&mut queue, 10, 1);
    std::fs::remove_dir_all(&scratch.0).unwrap();
    let (dropped, written) = queue.push(body(60), 2);
    assert!(dropped == 0 && written.is_err());
    let (dropped, written) = queue.push(body(60), 4);
    assert!(dropped == 2 && written.is_err(), "memory has its own bound");
    assert_eq!((queue.points(true), queue.points(false)), (4, 1));
}
