//! `--slow`: only what ran in iterations that kept the loop away from its poll for long.
//!
//! A probe where an iteration comes to the poll tells when each of them began and ended, on the clock that samples carry,
//! too; when the recording is over, samples outside of all of them are left out.

use std::time::Duration;

use attach::libuv::locate::Images;
use attach::libuv::probes::{Attachment, ProbeError, ProbeOptions, Probes, SlowIteration};
use attach::libuv::tiers::Tiers;
use attach::target::{Pid, Process};
use model::label::Tier;
use model::time::Monotonic;

use crate::error::Error;

/// Slow iterations that are remembered; there are not more than twenty a second and thread.
const ITERATIONS_MAX: usize = 1_000_000;

/// How many of the longest are told of.
const TOLD: usize = 5;

/// Watches a process for slow iterations.
pub(super) struct SlowWatch {
    /// `None` of a command that has not started.
    pid: Option<Pid>,
    threshold: Duration,
    images: Images,
    probes: Probes,
    /// `None` while a command has not come as far as to its libuv.
    attachment: Option<Attachment>,
    iterations: Vec<SlowIteration>,
}

/// What was watched.
pub(super) struct Slow {
    threshold: Duration,
    /// By thread and time.
    iterations: Vec<SlowIteration>,
    counted: u64,
}

impl SlowWatch {
    /// Makes ready, before the recording begins: a process that runs is watched from now on, a command from
    /// [its start](SlowWatch::follow).
    pub(super) fn new(pid: Option<Pid>, threshold: Duration) -> Result<Self, Error> {
        let probes = Probes::load(&ProbeOptions::default()).map_err(Error::Probes)?;
        let images = Images::default();
        let mut watch = Self { pid, threshold, images, probes, attachment: None, iterations: Vec::new() };
        watch.try_to_attach()?;
        match (pid, &watch.attachment) {
            (Some(pid), None) => Err(Error::NoLibuv { pid }),
            _ => Ok(watch),
        }
    }

    /// Watches a command that has just started, as soon as it has loaded its libuv.
    pub(super) fn follow(&mut self, command: Pid) {
        self.pid = Some(command);
    }

    fn try_to_attach(&mut self) -> Result<(), Error> {
        let Some(pid) = self.pid else { return Ok(()) };
        let located = Process::open(pid).ok().and_then(|process| self.images.locate(&process).ok().flatten());
        // A command that has ended is told of by its recording.
        let Some(located) = located else { return Ok(()) };
        let threshold_ns = self.threshold.as_nanos() as u64;
        match self.probes.attach(pid, &located, Tiers::only(Tier::Loop), threshold_ns) {
            Ok(attachment) if attachment.tiers().is_empty() => Err(Error::NoLibuv { pid }),
            Ok(attachment) => {
                self.attachment = Some(attachment);
                Ok(())
            }
            Err(ProbeError::Vanished { .. }) => Ok(()),
            Err(error) => Err(Error::Probes(error)),
        }
    }

    /// Takes what has come.
    pub(super) fn poll(&mut self) -> Result<(), Error> {
        if self.attachment.is_none() {
            self.try_to_attach()?;
        }
        let iterations = &mut self.iterations;
        self.probes.slow_iterations(|iteration| {
            if iterations.len() < ITERATIONS_MAX {
                iterations.push(iteration);
            }
        });
        Ok(())
    }

    /// Ends watching.
    pub(super) fn finish(mut self) -> Result<Slow, Error> {
        self.poll()?;
        let readings = self.probes.collect().map_err(Error::Probes)?;
        let measured = self.attachment.as_ref().map(|attachment| readings.of(attachment));
        let counted = measured.map_or(0, |measured| measured.loops.iter().map(|it| it.iterations).sum());
        self.iterations.sort_by_key(|iteration| (iteration.tid, iteration.started));
        Ok(Slow { threshold: self.threshold, iterations: self.iterations, counted })
    }
}

impl Slow {
    /// Whether a thread was in a slow iteration at a time.
    pub(super) fn holds(&self, tid: u32, time: Monotonic) -> bool {
        let behind = self.iterations.partition_point(|it| (it.tid, it.started) <= (tid, time));
        self.iterations[..behind].last().is_some_and(|it| it.tid == tid && time <= it.ended)
    }

    /// What the title of the profile says.
    pub(super) fn title(&self, title: &str) -> String {
        format!("{title}, iterations longer than {}", humantime::format_duration(self.threshold))
    }

    /// What a person should know: how many there were, and the longest.
    pub(super) fn notes(&self, started: Monotonic) -> Vec<String> {
        let of = self.counted;
        let threshold = humantime::format_duration(self.threshold);
        let mut notes =
            vec![format!("{} of {of} iterations were longer than {threshold}", self.iterations.len())];
        let mut longest: Vec<&SlowIteration> = self.iterations.iter().collect();
        longest.sort_by_key(|it| std::cmp::Reverse(it.ended.since_ns(it.started)));
        notes.extend(longest.into_iter().take(TOLD).map(|it| {
            format!(
                "{:.1} ms, {:.2} s after the beginning, on thread {}",
                it.ended.since_ns(it.started) as f64 / 1e6,
                it.started.since_ns(started) as f64 / 1e9,
                it.tid
            )
        }));
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_iteration_of_its_own_thread_that_it_fell_in() {
        let iteration = |tid, began, ended| SlowIteration {
            slot: 0,
            tid,
            loop_address: 1,
            started: Monotonic::from_ns(began),
            ended: Monotonic::from_ns(ended),
            phases: Vec::new(),
        };
        let iterations = vec![iteration(1, 100, 200), iteration(1, 300, 400), iteration(2, 250, 280)];
        let slow = Slow { threshold: Duration::from_millis(50), iterations, counted: 9 };
        let holds = |tid, ns| slow.holds(tid, Monotonic::from_ns(ns));
        assert!(holds(1, 100) && holds(1, 200) && holds(1, 350) && holds(2, 260));
        assert!(!holds(1, 99) && !holds(1, 201) && !holds(1, 260) && !holds(2, 100) && !holds(3, 150));
    }
}
