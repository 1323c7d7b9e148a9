//! `--slow`: only what ran in iterations that kept the loop away from its poll for long.
//!
//! A probe where an iteration comes to the poll tells when each of them began and ended, on the clock that samples carry,
//! too; when the recording is over, samples outside of all of them are left out. An iteration that has not ended by then,
//! perhaps never will, passes no probe: it is seen by libuv's own state, which is read from outside.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use attach::libuv::locate::Images;
use attach::libuv::observe::Observer;
use attach::libuv::probes::{Attachment, ProbeError, ProbeOptions, Probes, SlowIteration};
use attach::libuv::tiers::Tiers;
use attach::target::{Pid, Process};
use model::label::Tier;
use model::time::Monotonic;

use crate::clock;
use crate::error::Error;

/// Slow iterations that are remembered; there are not more than twenty a second and thread.
const ITERATIONS_MAX: usize = 1_000_000;

/// Processes that are watched: the one that was asked for, and its children.
const PROCESSES_MAX: usize = 256;

/// How many of the longest are told of.
const TOLD: usize = 5;

/// Watches a process, and the children that it starts, for slow iterations.
pub(super) struct SlowWatch {
    /// `None` of a command that has not started.
    root: Option<Pid>,
    threshold: Duration,
    images: Images,
    probes: Probes,
    watched: HashMap<Pid, Watched>,
    iterations: Vec<SlowIteration>,
    /// Iterations of processes that have ended.
    counted: u64,
}

/// A process with a loop.
struct Watched {
    attachment: Attachment,
    observer: Observer,
}

/// What was watched.
pub(super) struct Slow {
    threshold: Duration,
    /// By thread and time.
    iterations: Vec<SlowIteration>,
    counted: u64,
    /// How many of them had not ended.
    unfinished: usize,
}

impl SlowWatch {
    /// Makes ready, before the recording begins: a process that runs is watched from now on, a command from
    /// [its start](SlowWatch::follow).
    pub(super) fn new(pid: Option<Pid>, threshold: Duration) -> Result<Self, Error> {
        let probes = Probes::load(&ProbeOptions::default()).map_err(Error::Probes)?;
        let mut watch = Self {
            root: pid,
            threshold,
            images: Images::default(),
            probes,
            watched: HashMap::new(),
            iterations: Vec::new(),
            counted: 0,
        };
        watch.attach_to_all()?;
        match pid {
            Some(pid) if watch.watched.is_empty() => Err(Error::NoLibuv { pid }),
            _ => Ok(watch),
        }
    }

    /// Watches a command that has just started, as soon as it has loaded its libuv.
    pub(super) fn follow(&mut self, command: Pid) {
        self.root = Some(command);
    }

    /// Attaches to the process and its descendants, as far as they have come as far as to their libuv.
    fn attach_to_all(&mut self) -> Result<(), Error> {
        let Some(root) = self.root else { return Ok(()) };
        let mut family = vec![root];
        let mut next = 0;
        while next < family.len() && family.len() < PROCESSES_MAX {
            family.extend(children(family[next]));
            next += 1;
        }
        family.truncate(PROCESSES_MAX);
        for pid in family {
            if self.watched.contains_key(&pid) {
                continue;
            }
            match self.attach_to(pid) {
                // A child that cannot be watched does not end the recording of the others.
                Err(_) if pid != root => {}
                attached => attached?,
            }
        }
        Ok(())
    }

    /// Attaches to a process. One that has no libuv is none of ours, one that has ended is told of by its recording.
    fn attach_to(&mut self, pid: Pid) -> Result<(), Error> {
        let Ok(process) = Process::open(pid) else { return Ok(()) };
        let Some(located) = self.images.locate(&process).ok().flatten() else { return Ok(()) };
        let threshold_ns = self.threshold.as_nanos() as u64;
        let attached = self.probes.attach(pid, &located, Tiers::only(Tier::Loop), threshold_ns);
        let attachment = match attached {
            Ok(attachment) if attachment.tiers().is_empty() => return Err(Error::NoLibuv { pid }),
            Ok(attachment) => attachment,
            Err(ProbeError::Vanished { .. }) => return Ok(()),
            Err(error) => return Err(Error::Probes(error)),
        };
        match Observer::new(&process, located, clock::monotonic()) {
            Ok(observer) => drop(self.watched.insert(pid, Watched { attachment, observer })),
            Err(_) => self.probes.detach(attachment),
        }
        Ok(())
    }

    /// Takes what has come.
    pub(super) fn poll(&mut self) -> Result<(), Error> {
        self.take();
        let now = clock::monotonic();
        let ended: Vec<Pid> = self
            .watched
            .iter_mut()
            .filter_map(|(&pid, watched)| watched.observer.read(now).is_err().then_some(pid))
            .collect();
        if !ended.is_empty() {
            let readings = self.probes.collect().map_err(Error::Probes)?;
            for watched in ended.iter().filter_map(|pid| self.watched.remove(pid)) {
                self.counted += readings.of(&watched.attachment).iterations();
                self.probes.detach(watched.attachment);
            }
        }
        self.attach_to_all()
    }

    fn take(&mut self) {
        let iterations = &mut self.iterations;
        self.probes.slow_iterations(|iteration| {
            if iterations.len() < ITERATIONS_MAX {
                iterations.push(iteration);
            }
        });
    }

    /// Ends watching.
    pub(super) fn finish(mut self) -> Result<Slow, Error> {
        self.poll()?;
        let readings = self.probes.collect().map_err(Error::Probes)?;
        let (now, finished) = (clock::monotonic(), self.iterations.len());
        for watched in self.watched.values() {
            self.counted += readings.of(&watched.attachment).iterations();
            let threshold_ns = self.threshold.as_nanos() as u64;
            let unfinished = watched.observer.away().filter(|away| now.since_ns(away.since) > threshold_ns);
            self.iterations.extend(unfinished.map(|away| SlowIteration {
                slot: watched.attachment.slot(),
                tid: away.tid,
                loop_address: away.loop_address,
                started: away.since,
                ended: now,
                phases: Vec::new(),
            }));
        }
        let unfinished = self.iterations.len() - finished;
        self.iterations.sort_by_key(|iteration| (iteration.tid, iteration.started));
        Ok(Slow {
            threshold: self.threshold,
            iterations: self.iterations,
            counted: self.counted + unfinished as u64,
            unfinished,
        })
    }
}

/// The processes that a process has started and that still are its children.
fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let of_task =
        |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("children")).ok();
    let lists: Vec<String> = tasks.filter_map(of_task).collect();
    lists.iter().flat_map(|list| list.split_ascii_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
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
        if self.unfinished > 0 {
            notes.push(format!("{} of them had not ended when the recording did", self.unfinished));
        }
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
        let slow = Slow { threshold: Duration::from_millis(50), iterations, counted: 9, unfinished: 0 };
        let holds = |tid, ns| slow.holds(tid, Monotonic::from_ns(ns));
        assert!(holds(1, 100) && holds(1, 200) && holds(1, 350) && holds(2, 260));
        assert!(!holds(1, 99) && !holds(1, 201) && !holds(1, 260) && !holds(2, 100) && !holds(3, 150));
    }
}
