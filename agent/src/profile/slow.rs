//! `--slow`: only what ran in iterations that kept the loop away from its poll for long.
//!
//! In a libuv program a probe where an iteration comes to the poll tells when each of them began and ended, on the clock that samples carry,
//! too; a program on our runtime tells it itself, in its telemetry. When the recording is over, samples outside of all of them are left out. An iteration
//! that has not ended by then, perhaps never will, passes no probe: it is seen by libuv's own state, which is read from outside, or by what the program tells of
//! its loop.

mod iteration;
mod published;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use attach::libuv::locate::Images;
use attach::libuv::observe::Observer;
use attach::libuv::probes::{Attachment, ProbeError, ProbeOptions, Probes, Readings};
use attach::libuv::tiers::Tiers;
use attach::target::{Pid, Process};
use model::label::Tier;
use model::profile::Profile;
use model::time::Monotonic;

use crate::clock;
use crate::error::Error;
use iteration::Iteration;
use published::{Published, Taken};

/// Slow iterations that are remembered; of libuv there are not more than twenty a second and thread.
const ITERATIONS_MAX: usize = 1_000_000;

/// Processes that are watched: the one that was asked for, and its children.
const PROCESSES_MAX: usize = 256;

/// How many of the longest are told of.
const TOLD: usize = 5;

/// Watches a process, and the children that it starts, for slow iterations.
pub(super) struct SlowWatch {
    /// `None` of a command that has not started.
    root: Option<Pid>,
    began: Monotonic,
    threshold: Duration,
    images: Images,
    /// Loaded for the first process that needs them.
    probes: Option<Probes>,
    watched: HashMap<Pid, Watched>,
    iterations: Vec<Iteration>,
    /// Those that had not ended when their process or the recording did.
    unfinished: Vec<Iteration>,
    /// Iterations of processes that have ended.
    counted: u64,
    missed: u64,
    /// From when on programs tell iterations themselves, if that is later than was asked for.
    told_from: Option<Duration>,
}

/// A process with a loop.
enum Watched {
    /// With libuv's.
    Outside { attachment: Attachment, observer: Box<Observer> },
    /// With one that measures itself.
    Published(Box<Published>),
}

/// What was watched.
pub(super) struct Slow {
    threshold: Duration,
    /// By thread and time.
    iterations: Vec<Iteration>,
    counted: u64,
    /// How many of them had not ended.
    unfinished: usize,
    missed: u64,
    told_from: Option<Duration>,
}

impl SlowWatch {
    /// Makes ready, before the recording begins: a process that runs is watched from now on, a command from
    /// [its start](SlowWatch::follow).
    pub(super) fn new(pid: Option<Pid>, threshold: Duration) -> Result<Self, Error> {
        let mut watch = Self {
            root: pid,
            began: clock::monotonic(),
            threshold,
            images: Images::default(),
            probes: None,
            watched: HashMap::new(),
            iterations: Vec::new(),
            unfinished: Vec::new(),
            counted: 0,
            missed: 0,
            told_from: None,
        };
        watch.attach_to_all()?;
        match pid {
            Some(pid) if watch.watched.is_empty() => Err(Error::NoLoop { pid }),
            _ => Ok(watch),
        }
    }

    /// Watches a command that has just started, as soon as it has loaded its libuv, or made its loop.
    pub(super) fn follow(&mut self, command: Pid) {
        self.root = Some(command);
    }

    /// Attaches to the process and its descendants, as far as they have come as far as to their loops.
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

    /// Attaches to a process. One that has no loop is none of ours, one that has ended is told of by its recording.
    fn attach_to(&mut self, pid: Pid) -> Result<(), Error> {
        if let Some(published) = Published::open(pid, self.began) {
            self.watched.insert(pid, Watched::Published(Box::new(published)));
            return Ok(());
        }
        let Ok(process) = Process::open(pid) else { return Ok(()) };
        let Some(located) = self.images.locate(&process).ok().flatten() else { return Ok(()) };
        let probes = match &mut self.probes {
            Some(probes) => probes,
            none => none.insert(Probes::load(&ProbeOptions::default()).map_err(Error::Probes)?),
        };
        let threshold_ns = self.threshold.as_nanos() as u64;
        let Ok(observer) = Observer::new(&process, located, clock::monotonic()) else { return Ok(()) };
        let attachment = match observer.attach(probes, Tiers::only(Tier::Loop), threshold_ns) {
            Ok(attachment) if attachment.tiers().is_empty() => return Err(Error::NoLoop { pid }),
            Ok(attachment) => attachment,
            Err(ProbeError::Vanished { .. }) => return Ok(()),
            Err(error) => return Err(Error::Probes(error)),
        };
        let observer = Box::new(observer);
        self.watched.insert(pid, Watched::Outside { attachment, observer });
        Ok(())
    }

    /// Takes what has come.
    pub(super) fn poll(&mut self) -> Result<(), Error> {
        let now = clock::monotonic();
        let ended: Vec<Pid> = self
            .watched
            .iter_mut()
            .filter_map(|(&pid, watched)| {
                let has_ended = match watched {
                    Watched::Outside { observer, .. } => observer.read(now).is_err(),
                    Watched::Published(published) => published.has_ended(),
                };
                has_ended.then_some(pid)
            })
            .collect();
        // Behind that, or the last iterations of one that has ended would be missing.
        self.take();
        let readings = if ended.is_empty() { None } else { self.readings()? };
        for pid in ended {
            if let Some(mut watched) = self.watched.remove(&pid) {
                if let Watched::Published(published) = &mut watched {
                    self.take_last(published);
                }
                self.counted += watched.iterations(readings.as_ref());
                if let (Watched::Outside { attachment, .. }, Some(probes)) = (watched, &mut self.probes) {
                    probes.detach(attachment);
                }
            }
        }
        self.attach_to_all()
    }

    fn readings(&self) -> Result<Option<Readings>, Error> {
        self.probes.as_ref().map(|probes| probes.collect().map_err(Error::Probes)).transpose()
    }

    fn take(&mut self) {
        let iterations = &mut self.iterations;
        if let Some(probes) = &mut self.probes {
            let observers: HashMap<u32, &Observer> =
                self.watched.values().filter_map(Watched::observed).collect();
            probes.slow_iterations(|it| {
                let observer = observers.get(&it.slot).filter(|observer| observer.tells_of(&it));
                if let Some((observer, tid)) =
                    observer.and_then(|observer| Some((observer, observer.thread_of(&it)?)))
                {
                    let loop_name = observer.name_of(it.loop_address).map(Rc::from);
                    let phase = it.phases.first().copied();
                    let (started, ended) = (it.started, it.ended);
                    keep(iterations, Iteration { tid, loop_name, started, ended, phase });
                }
            });
        }
        let mut all = Vec::new();
        for watched in self.watched.values_mut() {
            let Watched::Published(published) = watched else { continue };
            all.push(published.take(self.threshold, &mut |iteration| keep(iterations, iteration)));
        }
        all.into_iter().for_each(|taken| self.note(taken));
    }

    /// Takes what a program tells of its last iterations.
    fn take_last(&mut self, published: &mut Published) {
        let iterations = &mut self.iterations;
        let (taken, unfinished) =
            published.finish(self.threshold, &mut |iteration| keep(iterations, iteration));
        self.unfinished.extend(unfinished);
        self.note(taken);
    }

    fn note(&mut self, taken: Taken) {
        self.missed = self.missed.saturating_add(taken.missed);
        self.told_from = self.told_from.max(Some(taken.told_from).filter(|from| *from > self.threshold));
    }

    /// Ends watching.
    pub(super) fn finish(mut self) -> Result<Slow, Error> {
        self.poll()?;
        let now = clock::monotonic();
        let threshold_ns = self.threshold.as_nanos() as u64;
        let readings = self.readings()?;
        for (_, mut watched) in std::mem::take(&mut self.watched) {
            match &mut watched {
                Watched::Outside { observer, .. } => {
                    let away = observer.away().filter(|away| now.since_ns(away.since) > threshold_ns);
                    let away = away.map(|away| Iteration {
                        tid: away.tid,
                        loop_name: observer.name_of(away.loop_address).map(Rc::from),
                        started: away.since,
                        ended: now,
                        phase: None,
                    });
                    self.unfinished.extend(away);
                }
                Watched::Published(published) => {
                    // It is seen alive until now.
                    let _ = published.has_ended();
                    self.take_last(published);
                }
            }
            self.counted += watched.iterations(readings.as_ref());
        }
        let ended: HashSet<_> = self.iterations.iter().map(|it| (it.tid, it.started)).collect();
        self.unfinished.retain(|it| !ended.contains(&(it.tid, it.started)));
        let unfinished = self.unfinished.len();
        self.iterations.append(&mut self.unfinished);
        self.iterations.sort_by_key(|iteration| (iteration.tid, iteration.started));
        Ok(Slow {
            threshold: self.threshold,
            iterations: self.iterations,
            counted: self.counted + unfinished as u64,
            unfinished,
            missed: self.missed,
            told_from: self.told_from,
        })
    }
}

/// Remembers one more, if there is room.
fn keep(iterations: &mut Vec<Iteration>, iteration: Iteration) {
    if iterations.len() < ITERATIONS_MAX {
        iterations.push(iteration);
    }
}

impl Watched {
    /// What observes it and which slot its probes have, where it is measured from outside.
    fn observed(&self) -> Option<(u32, &Observer)> {
        match self {
            Self::Outside { attachment, observer } => Some((attachment.slot(), observer)),
            Self::Published(_) => None,
        }
    }

    /// All iterations while it was watched, where `readings` are those of all probes.
    fn iterations(&self, readings: Option<&Readings>) -> u64 {
        match self {
            Self::Published(published) => published.iterations(),
            Self::Outside { attachment, .. } => {
                readings.map_or(0, |readings| readings.of(attachment).iterations())
            }
        }
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

    /// What a person should know: how many there were, and the longest, of which samples may tell the phase.
    pub(super) fn notes(&self, profile: &Profile) -> Vec<String> {
        let of = self.counted;
        let threshold = humantime::format_duration(self.threshold);
        let mut notes =
            vec![format!("{} of {of} iterations were longer than {threshold}", self.iterations.len())];
        let mut longest: Vec<&Iteration> = self.iterations.iter().collect();
        longest.sort_by_key(|it| std::cmp::Reverse(it.ended.since_ns(it.started)));
        if self.unfinished > 0 {
            notes.push(format!("{} of them had not ended when the recording did", self.unfinished));
        }
        if let Some(from) = self.told_from {
            let from = humantime::format_duration(from);
            notes.push(format!(
                "the program tells only iterations of {from} or longer: build its loop with slow_iteration({threshold})"
            ));
        }
        if self.missed > 0 {
            notes.push(format!("{} more came faster than they were read, and are missing", self.missed));
        }
        notes.extend(longest.into_iter().take(TOLD).map(|it| it.told(profile)));
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_iteration_of_its_own_thread_that_it_fell_in() {
        let at = Monotonic::from_ns;
        let iteration = |tid, began, ended| Iteration {
            tid,
            loop_name: None,
            started: at(began),
            ended: at(ended),
            phase: None,
        };
        let iterations = vec![iteration(1, 100, 200), iteration(1, 300, 400), iteration(2, 250, 280)];
        let (threshold, missed, told_from) = (Duration::from_millis(50), 0, None);
        let slow = Slow { threshold, iterations, counted: 9, unfinished: 0, missed, told_from };
        let holds = |tid, ns| slow.holds(tid, at(ns));
        assert!(holds(1, 100) && holds(1, 200) && holds(1, 350) && holds(2, 260));
        assert!(!holds(1, 99) && !holds(1, 201) && !holds(1, 260) && !holds(2, 100) && !holds(3, 150));
    }
}
