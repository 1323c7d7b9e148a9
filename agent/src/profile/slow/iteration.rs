//! One slow iteration, and how it is told of.

use std::rc::Rc;

use model::label::{LabelValue as _, Phase};
use model::profile::{Profile, Sample};
use model::time::Monotonic;

/// A slow iteration.
#[derive(Clone, Debug)]
pub(super) struct Iteration {
    pub(super) tid: u32,
    /// The value of `loop` in the loop's series; `None` where it is not known.
    pub(super) loop_name: Option<Rc<str>>,
    pub(super) started: Monotonic,
    pub(super) ended: Monotonic,
    /// The phase that took most of it, and how long, in nanoseconds, where that was measured.
    pub(super) phase: Option<(Phase, u64)>,
}

impl Iteration {
    /// What it was: how long, when, which loop's, and the phase that took most of it. Where that was not measured, its samples tell it.
    pub(super) fn told(&self, profile: &Profile) -> String {
        let lasted_ns = self.ended.since_ns(self.started);
        let (lasted_ms, began) = (lasted_ns as f64 / 1e6, &profile.recording.started);
        let began_s = self.started.since_ns(*began) as f64 / 1e9;
        let of = match &self.loop_name {
            Some(name) => format!("loop {name} (thread {})", self.tid),
            None => format!("thread {}", self.tid),
        };
        let percent = |part: u64, all: u64| 100.0 * part as f64 / all.max(1) as f64;
        let phase = match (self.phase, self.sampled(profile)) {
            (Some((phase, ns)), _) => format!(", {:.0}% of it in {}", percent(ns, lasted_ns), phase.as_str()),
            (None, Some((phase, part, all))) => {
                format!(", {:.0}% of its samples in {}", percent(part, all), phase.as_str())
            }
            (None, None) => String::new(),
        };
        format!("{lasted_ms:.1} ms, {began_s:.2} s after the beginning, {of}{phase}")
    }

    /// The phase that has most of its samples, their weight, and that of all of its samples.
    fn sampled(&self, profile: &Profile) -> Option<(Phase, u64, u64)> {
        let is_ours = |sample: &&Sample| {
            let thread = profile.threads.get(sample.thread.0 as usize);
            thread.is_some_and(|thread| thread.tid == self.tid)
        };
        let first = profile.samples.partition_point(|sample| sample.time < self.started);
        let within = profile.samples[first..].iter().take_while(|sample| sample.time <= self.ended);
        let (mut by_phase, mut all) = ([0_u64; Phase::ALL.len()], 0_u64);
        for sample in within.filter(is_ours) {
            all += sample.weight;
            if let Some(phase) = profile.phase_of(sample.stack) {
                by_phase[phase.position() as usize] += sample.weight;
            }
        }
        let of = |phase: &Phase| by_phase[phase.position() as usize];
        let phase = Phase::ALL.iter().copied().max_by_key(of).filter(|phase| of(phase) > 0)?;
        Some((phase, of(&phase), all))
    }
}

#[cfg(test)]
mod tests {
    use model::profile::{Frame, FrameKind, Thread, ThreadId};

    use super::*;

    /// A profile with samples of thread 7, at these times, in these phases.
    fn profile(samples: &[(u64, Option<Phase>)]) -> Profile {
        let mut profile = Profile::default();
        let name = profile.strings.intern("node");
        profile.threads.push(Thread { pid: 7, tid: 7, process_name: name, name });
        for &(ms, phase) in samples {
            let stack = phase.map(|phase| {
                let function = profile.strings.intern(phase.as_str());
                let (kind, file) = (FrameKind::Phase(phase), name);
                let frame =
                    Frame { kind, function, file, line: 0, mapping: None, address: 0, inlined: false };
                let frame = profile.frames.intern(frame);
                profile.stacks.push(None, frame)
            });
            let time = Monotonic::from_ns(ms * 1_000_000);
            profile.samples.push(Sample { time, thread: ThreadId(0), stack, weight: 1 });
        }
        profile
    }

    fn iteration(tid: u32, phase: Option<(Phase, u64)>) -> Iteration {
        let at = |ms: u64| Monotonic::from_ns(ms * 1_000_000);
        Iteration { tid, loop_name: Some("worker-1".into()), started: at(1000), ended: at(1250), phase }
    }

    #[test]
    fn the_loop_and_the_phase_that_most_samples_fell_in_are_told() {
        let in_timers = |ms| (ms, Some(Phase::Timers));
        let samples = [
            (900, Some(Phase::Check)),
            in_timers(1000),
            in_timers(1100),
            (1150, None),
            in_timers(1200),
            (1300, Some(Phase::Check)),
            (1310, Some(Phase::Check)),
        ];
        assert_eq!(
            iteration(7, None).told(&profile(&samples)),
            "250.0 ms, 1.00 s after the beginning, loop worker-1 (thread 7), 75% of its samples in timers"
        );
        let of_another = iteration(8, None).told(&profile(&samples));
        assert_eq!(of_another, "250.0 ms, 1.00 s after the beginning, loop worker-1 (thread 8)");
    }

    #[test]
    fn a_phase_that_was_measured_comes_before_samples() {
        let told =
            iteration(7, Some((Phase::Check, 200_000_000))).told(&profile(&[(1100, Some(Phase::Timers))]));
        assert!(told.ends_with("80% of it in check"), "{told}");
        let nameless = Iteration { loop_name: None, ..iteration(7, None) }.told(&profile(&[(1100, None)]));
        assert!(nameless.ends_with("thread 7"), "{nameless}");
    }
}
