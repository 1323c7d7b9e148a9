//! From threads that leave the CPU and come back to samples of the time in between.
//!
//! The kernel samples a thread as it leaves, and tells that it is back. In between, which may take long, the sample is
//! kept as a copy, so that it does not hold up the ring.

use std::collections::HashMap;

use model::label::LossCause;
use model::time::Monotonic;

use crate::sampler::event::{Event, Registers, Sample};

/// The most bytes of stacks that are kept. A thread that leaves the CPU beyond that is lost, and counted.
const STACKS_BYTES_MAX: usize = 128 << 20;

/// The threads that are off the CPU.
#[derive(Default)]
pub(crate) struct Waits {
    away: HashMap<u32, Left>,
    stacks_bytes: usize,
    /// Copies that are no longer used, whose memory is.
    spare: Vec<Left>,
}

/// A thread as it left the CPU.
#[derive(Default)]
struct Left {
    time: Monotonic,
    pid: u32,
    kernel: Vec<u64>,
    user_by_frame_pointer: Vec<u64>,
    registers: Option<Registers>,
    stack: Vec<u8>,
    stack_cut: bool,
}

impl Waits {
    /// A thread leaves the CPU.
    pub(crate) fn leave(&mut self, sample: &Sample<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        // If the thread's return got lost, so did the length of its last wait; that loss is counted already.
        self.forget(sample.tid);
        if self.stacks_bytes + sample.stack.len() > STACKS_BYTES_MAX {
            sink(Event::Lost { cause: LossCause::Limit, count: 1 });
            return;
        }
        let mut left = self.spare.pop().unwrap_or_default();
        left.time = sample.time;
        left.pid = sample.pid;
        left.registers = sample.registers;
        left.stack_cut = sample.stack_cut;
        left.kernel.extend_from_slice(sample.kernel);
        left.user_by_frame_pointer.extend_from_slice(sample.user_by_frame_pointer);
        left.stack.extend_from_slice(sample.stack);
        self.stacks_bytes += left.stack.len();
        self.away.insert(sample.tid, left);
    }

    /// A thread is back; hands out how long it was away.
    pub(crate) fn resume(&mut self, time: Monotonic, tid: u32, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(left) = self.away.remove(&tid) {
            sink(left.until(time, tid));
            self.put_away(left);
        }
    }

    /// A thread will not come back.
    pub(crate) fn forget(&mut self, tid: u32) {
        if let Some(left) = self.away.remove(&tid) {
            self.put_away(left);
        }
    }

    /// Hands out the threads that are still away at the end.
    pub(crate) fn end(&mut self, time: Monotonic, sink: &mut dyn FnMut(Event<'_>)) {
        for (tid, left) in self.away.drain() {
            sink(left.until(time, tid));
        }
        self.stacks_bytes = 0;
    }

    fn put_away(&mut self, mut left: Left) {
        self.stacks_bytes -= left.stack.len();
        left.kernel.clear();
        left.user_by_frame_pointer.clear();
        left.stack.clear();
        self.spare.push(left);
    }
}

impl Left {
    fn until(&self, time: Monotonic, tid: u32) -> Event<'_> {
        Event::Sample(Sample {
            time,
            pid: self.pid,
            tid,
            weight: time.since_ns(self.time),
            kernel: &self.kernel,
            user_by_frame_pointer: &self.user_by_frame_pointer,
            registers: self.registers,
            stack: &self.stack,
            stack_cut: self.stack_cut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: &[u64] = &[1, 2];

    /// What happens to a thread at a time: it leaves with a stack, comes back, or ends.
    enum Step<'a> {
        Leaves(&'a [u8]),
        IsBack,
        Ends,
    }
    use Step::{Ends, IsBack, Leaves};

    fn left(time_ns: u64, tid: u32, stack: &[u8]) -> Sample<'_> {
        Sample {
            time: Monotonic::from_ns(time_ns),
            pid: 5,
            tid,
            weight: 1,
            kernel: KERNEL,
            user_by_frame_pointer: &[],
            registers: None,
            stack,
            stack_cut: false,
        }
    }

    /// Time, thread, weight and stack of each sample.
    type Told = Vec<(u64, u32, u64, Vec<u8>)>;

    fn told(waits: &mut Waits, steps: &[(u64, u32, Step<'_>)], end_ns: Option<u64>) -> Told {
        let mut told = Vec::new();
        let mut sink = |event: Event<'_>| {
            let Event::Sample(sample) = event else { panic!("{event:?}") };
            assert_eq!(sample.kernel, KERNEL);
            told.push((sample.time.as_ns(), sample.tid, sample.weight, sample.stack.to_vec()));
        };
        for (time_ns, tid, step) in steps {
            match step {
                Leaves(stack) => waits.leave(&left(*time_ns, *tid, stack), &mut sink),
                IsBack => waits.resume(Monotonic::from_ns(*time_ns), *tid, &mut sink),
                Ends => waits.forget(*tid),
            }
        }
        if let Some(end_ns) = end_ns {
            waits.end(Monotonic::from_ns(end_ns), &mut sink);
        }
        told
    }

    #[test]
    fn a_wait_weighs_its_nanoseconds_and_is_told_when_it_is_over() {
        let mut waits = Waits::default();
        let steps = [
            (10, 7, Leaves(b"seven")),
            (20, 8, Leaves(b"eight")),
            (50, 7, IsBack),
            (60, 8, IsBack),
            (70, 8, IsBack),
        ];
        let expected = vec![(50, 7, 40, b"seven".to_vec()), (60, 8, 40, b"eight".to_vec())];
        assert_eq!(told(&mut waits, &steps, None), expected);
        assert_eq!(waits.stacks_bytes, 0);
    }

    #[test]
    fn a_thread_that_is_away_at_the_end_counts_up_to_it() {
        assert_eq!(told(&mut Waits::default(), &[(10, 7, Leaves(b""))], Some(100)), [(100, 7, 90, vec![])]);
    }

    #[test]
    fn a_thread_whose_return_is_unknown_begins_anew() {
        let steps = [(10, 7, Leaves(b"old")), (30, 7, Leaves(b"new")), (40, 7, IsBack)];
        assert_eq!(told(&mut Waits::default(), &steps, None), [(40, 7, 10, b"new".to_vec())]);
    }

    #[test]
    fn a_thread_that_ended_waits_no_more() {
        let steps = [(10, 7, Leaves(b"")), (20, 7, Ends)];
        assert_eq!(told(&mut Waits::default(), &steps, Some(100)), []);
    }

    #[test]
    fn what_does_not_fit_is_lost_and_counted() {
        let mut waits = Waits::default();
        let stack = vec![0; STACKS_BYTES_MAX];
        let mut lost = 0;
        for tid in [7, 8] {
            waits.leave(&left(10, tid, &stack), &mut |event| match event {
                Event::Lost { cause: LossCause::Limit, count } => lost += count,
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(lost, 1);
    }
}
