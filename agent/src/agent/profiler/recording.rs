//! The profiler's thread: it follows the roster, takes samples, and closes a window whenever one is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use attach::allocator;
use attach::sampler::convert::{Conversion, Converter, Note};
use attach::sampler::event::Event;
use attach::sampler::recorder::{Fleet, Mode, RecordOptions};
use model::profile::{Recording, Weight};
use model::time::Monotonic;

use super::encoding::{self, Told};
use super::roster::{Roster, Wanted};
use crate::agent::otlp::{Outbox, Resources};
use crate::agent::own_metrics::OwnMetrics;
use crate::clock;
use crate::config::Profiling;
use crate::console::Once;

/// How long to wait for samples before looking at the clock and at the roster again.
const POLL: Duration = Duration::from_millis(500);

/// How often a process, or all, is tried again that may not be sampled.
const RETRY_NS: u64 = 60_000_000_000;

/// What is copied of a stack: sixteen of them fill the half MiB of each CPU that every user may have.
const STACK_BYTES: u32 = 31 << 10;

/// Of programs that come and go so much is remembered before it is looked at anew, some hundred bytes each.
const REMEMBERED_MAX: usize = 500_000;

/// Object files that are held open before all are looked at anew.
const IMAGES_MAX: usize = 2000;

/// Records until it is told to stop.
pub(super) fn run(
    profiling: &Profiling,
    roster: &Roster,
    outbox: Outbox,
    own: &OwnMetrics,
    stopping: &AtomicBool,
) {
    let mut told = Once::default();
    let mut next_try = clock::monotonic();
    let mut session: Option<Session<'_>> = None;
    while !stopping.load(Ordering::Relaxed) {
        let now = clock::monotonic();
        match &mut session {
            Some(running) => {
                if let Err(error) = running.step(roster, &mut told) {
                    told.line(format!("profiling: {error}"));
                    session = None;
                    next_try = now.plus_ns(RETRY_NS);
                }
            }
            None if now >= next_try && !roster.get().is_empty() => {
                match Session::begin(profiling, &outbox, own) {
                    Ok(begun) => {
                        for notice in begun.fleet.notices() {
                            told.line(format!("profiling: {notice}"));
                        }
                        session = Some(begun);
                    }
                    Err(error) => {
                        told.line(format!("profiling: {error}; it is tried again in a minute"));
                        next_try = now.plus_ns(RETRY_NS);
                    }
                }
            }
            None => std::thread::sleep(POLL),
        }
    }
    if let Some(mut session) = session {
        // What cannot be read now, never will be.
        let _ = session.take(Duration::ZERO);
        session.close(&mut told);
    }
    own.profiling().processes_are(0);
}

/// A recording that goes on.
struct Session<'a> {
    profiling: &'a Profiling,
    outbox: &'a Outbox,
    own: &'a OwnMetrics,
    fleet: Fleet,
    converter: Converter,
    resources: Resources,
    /// Everyone of whom there may be samples in the window.
    members: BTreeMap<u32, Told>,
    /// Those that are no longer sampled: their last records are read by the next poll, and forgotten by the one after it.
    leaving: Vec<u32>,
    /// Processes that may not be sampled, and when to try again.
    refused: BTreeMap<u32, Monotonic>,
    window_ends: Monotonic,
    window_began: Monotonic,
    next_roster: Monotonic,
    /// What the converter remembered when memory was last given back.
    remembered: usize,
}

impl<'a> Session<'a> {
    fn begin(
        profiling: &'a Profiling,
        outbox: &'a Outbox,
        own: &'a OwnMetrics,
    ) -> Result<Self, attach::Error> {
        let options = RecordOptions {
            mode: Mode::Cpu,
            frequency_hz: profiling.frequency_hz,
            stack_bytes: STACK_BYTES,
            children: false,
        };
        let fleet = Fleet::new(&options)?;
        let began = fleet.started();
        Ok(Self {
            converter: Converter::new(recording(&fleet, began)),
            fleet,
            profiling,
            outbox,
            own,
            resources: Resources::new(),
            members: BTreeMap::new(),
            leaving: Vec::new(),
            refused: BTreeMap::new(),
            window_ends: began.plus_ns(profiling.interval.as_nanos() as u64),
            window_began: began,
            next_roster: began,
            remembered: 0,
        })
    }

    /// Follows the roster, takes what was recorded, and closes the window if it is over.
    fn step(&mut self, roster: &Roster, told: &mut Once) -> Result<(), attach::Error> {
        let now = clock::monotonic();
        if now >= self.next_roster {
            self.next_roster = now.plus_ns(POLL.as_nanos() as u64);
            self.follow(roster.get(), now, told);
        }
        let left = Duration::from_nanos(self.window_ends.since_ns(now));
        self.take(left.min(POLL))?;
        for pid in std::mem::take(&mut self.leaving) {
            self.converter.forget(pid);
        }
        if clock::monotonic() >= self.window_ends {
            self.close(told);
        }
        Ok(())
    }

    /// Takes what was recorded.
    fn take(&mut self, timeout: Duration) -> Result<(), attach::Error> {
        let converter = &mut self.converter;
        self.fleet.poll(timeout, &mut |event| converter.event(&event))
    }

    /// Begins with those that are new, and ends with those that are gone.
    fn follow(&mut self, wanted: Vec<Wanted>, now: Monotonic, told: &mut Once) {
        let recorded: BTreeSet<u32> = self.fleet.members().collect();
        for pid in recorded.iter().filter(|pid| !wanted.iter().any(|it| it.pid == **pid)) {
            self.fleet.remove(*pid);
            self.leaving.push(*pid);
        }
        self.refused.retain(|pid, _| wanted.iter().any(|it| it.pid == *pid));
        for wanted in wanted {
            let pid = wanted.pid;
            if recorded.contains(&pid) {
                self.tell(wanted);
                continue;
            }
            if self.refused.get(&pid).is_some_and(|&until| now < until) {
                continue;
            }
            let converter = &mut self.converter;
            match self.fleet.add(pid, &mut |event| converter.event(&event)) {
                Ok(()) => self.tell(wanted),
                Err(attach::Error::ProcessEnded { .. }) => {}
                Err(error) => {
                    // The same may be true of a hundred processes.
                    let kind = format!("{:?}", std::mem::discriminant(&error));
                    let of = format!("process {pid} ({}) is not profiled", wanted.service);
                    let line = format_args!("{of}: {error}; others for the same reason are not told of");
                    told.of(kind, line);
                    self.refused.insert(pid, now.plus_ns(RETRY_NS));
                }
            }
        }
        self.own.profiling().processes_are(self.fleet.members().count());
    }

    /// What is told of a process from now on.
    fn tell(&mut self, wanted: Wanted) {
        if self.members.get(&wanted.pid).is_some_and(|told| told.wanted == wanted) {
            return;
        }
        let attributes = self.resources.of((wanted.pid, wanted.started_unix_ns), &wanted.service);
        self.members.insert(wanted.pid, Told { wanted, attributes });
    }

    /// Ends the window: names what was recorded, hands it over, and begins the next.
    fn close(&mut self, told: &mut Once) {
        let now = clock::monotonic();
        let next = recording(&self.fleet, now);
        let Conversion { mut profile, notes } = self.converter.window(next);
        profile.recording.duration_ns = now.since_ns(self.window_began);
        self.window_began = now;
        self.window_ends = now.plus_ns(self.profiling.interval.as_nanos() as u64);
        self.own.profiling().taken(profile.samples.len() as u64);
        for &(cause, count) in &profile.losses.samples {
            self.own.profiling().lost(cause, count);
        }
        encoding::put(&profile, self.profiling.export.signal, self.members.values(), self.outbox);
        let recorded: BTreeSet<u32> = self.fleet.members().collect();
        self.members.retain(|pid, _| recorded.contains(pid));
        self.resources.forget_unused();
        for note in notes {
            tell_note(told, &note);
        }
        if self.converter.remembered() > REMEMBERED_MAX || self.converter.images() > IMAGES_MAX {
            self.begin_anew();
        }
        self.give_back();
    }

    /// Gives back what looking up names took, if there were new ones.
    fn give_back(&mut self) {
        let remembered = self.converter.remembered();
        if remembered != std::mem::replace(&mut self.remembered, remembered) {
            allocator::give_back();
        }
    }

    /// Forgets all that is known of programs and looks at those that there are.
    fn begin_anew(&mut self) {
        self.converter = Converter::new(recording(&self.fleet, self.window_began));
        let converter = &mut self.converter;
        for pid in self.fleet.members() {
            // One that has ended has nothing to tell.
            let _ = self.fleet.tell(pid, &mut |event: Event<'_>| converter.event(&event));
        }
    }
}

/// A window that begins then.
fn recording(fleet: &Fleet, began: Monotonic) -> Recording {
    let now_unix_ns = UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_nanos() as u64);
    Recording {
        title: String::new(),
        started_unix_ns: now_unix_ns.saturating_sub(clock::monotonic().since_ns(began)),
        started: began,
        duration_ns: 0,
        weight: Weight::CpuSamples { period_ns: 1_000_000_000 / u64::from(fleet.frequency_hz()) },
    }
}

/// What is missing from profiles, once a program and not for each of its processes.
fn tell_note(told: &mut Once, note: &Note) {
    let key = match note {
        Note::JitWithoutNames { program, .. } => format!("jit {program}"),
        Note::PerfMapCut { .. } => "cut".to_owned(),
        Note::KernelSymbolsHidden { .. } => "kernel".to_owned(),
        Note::Stripped { path, .. } | Note::FileUnreadable { path } => path.clone(),
    };
    told.of(key, format_args!("profiling: {note}"));
}
