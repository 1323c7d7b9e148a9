//! From events to a profile.
//!
//! While a program is recorded, as little as possible is done: processes are followed, stacks are unwound to addresses
//! and interned (`raw`). Names are looked up when the recording is over, once for each address (`finish`, `names`).
//! Live and recorded events take the same way.
//!
//! ```no_run
//! use loopscope_attach::sampler::convert::Converter;
//! use loopscope_attach::sampler::recorder::{RecordOptions, Recorder, Target};
//! use model::profile::Recording;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), loopscope_attach::Error> {
//! let mut recorder = Recorder::launch("ls".as_ref(), &["-l".into()], &RecordOptions::default())?;
//! let recording = Recording { title: "ls -l".into(), started: recorder.started(), ..Recording::default() };
//! let mut converter = Converter::new(recording);
//! while recorder.poll(Duration::from_millis(100), &mut |event| converter.event(&event))? == Target::Runs {}
//! recorder.finish(&mut |event| converter.event(&event))?;
//! let conversion = converter.finish();
//! # Ok(())
//! # }
//! ```

mod finish;
mod frames;
mod locations;
mod names;
mod note;
mod origins;
mod raw;
mod stacks;

use std::path::PathBuf;

use model::label::LossCause;
use model::profile::{Profile, Recording, ThreadId};
use model::time::Monotonic;

pub use note::Note;

use super::event::{Event, Sample};
use super::process::Processes;
use super::symbolize::images::Images;
use super::symbolize::kernel::KernelTable;
use super::unwind::{End, Unwinder, lookup};
use names::Known;
use origins::Origins;
use raw::{NodeId, RawStacks};

/// Turns events, by ascending time, into a profile.
pub struct Converter {
    proc_dir: PathBuf,
    profile: Profile,
    processes: Processes,
    images: Images,
    kernel: KernelTable,
    unwinder: Unwinder,
    stacks: RawStacks,
    samples: Vec<RawSample>,
    origins: Origins,
    known: Known,
    last_event: Monotonic,
    addresses: Vec<u64>,
}

/// A profile, and what a person should know who reads it.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The profile.
    pub profile: Profile,
    /// What is missing from it, why, and what to do about it.
    pub notes: Vec<Note>,
}

struct RawSample {
    time: Monotonic,
    thread: ThreadId,
    stack: Option<NodeId>,
    weight: u64,
}

impl Converter {
    /// A converter for a recording that begins. The duration may be left zero: it is then the time of the last event.
    pub fn new(recording: Recording) -> Self {
        Self::with_proc(recording, PathBuf::from("/proc"))
    }

    /// A converter that looks up processes, their files and the kernel's symbols in another directory than `/proc`:
    /// that of another pid namespace, or one made up for a recorded profile.
    pub fn with_proc(recording: Recording, proc_dir: PathBuf) -> Self {
        Self {
            profile: Profile { recording, ..Profile::default() },
            processes: Processes::new(proc_dir.clone()),
            images: Images::new(proc_dir.clone()),
            kernel: KernelTable::new(&proc_dir),
            proc_dir,
            unwinder: Unwinder::new(),
            stacks: RawStacks::default(),
            samples: Vec::new(),
            origins: Origins::default(),
            known: Known::default(),
            last_event: Monotonic::default(),
            addresses: Vec::new(),
        }
    }

    /// Takes the next event.
    pub fn event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Sample(ref sample) => self.sample(sample),
            Event::Mapped(ref mapped) => {
                self.saw(mapped.time);
                self.processes.mapped(mapped, &mut self.images, &mut self.profile.strings);
            }
            Event::Forked { time, pid, tid, parent_pid } => {
                self.saw(time);
                self.processes.forked(pid, tid, parent_pid);
            }
            Event::Renamed { time, pid, tid, name, exec } => {
                self.saw(time);
                let name = self.profile.strings.intern(&String::from_utf8_lossy(name));
                self.processes.renamed(pid, tid, name, exec);
            }
            Event::Exited { time, pid, tid } => {
                self.saw(time);
                if let Some(map) = self.processes.get(pid).perf_map {
                    self.origins.perf_maps[map].open(&self.proc_dir);
                }
                self.processes.exited(pid, tid);
            }
            Event::Lost { cause, count } => self.profile.losses.add(cause, count),
        }
    }

    /// How many samples were taken so far.
    pub fn sample_count(&self) -> usize {
        self.samples.len()
    }

    /// Leaves out the samples that were taken so far for which `keep`, given the thread and the time, says no.
    pub fn keep(&mut self, keep: impl Fn(u32, Monotonic) -> bool) {
        let threads = &self.profile.threads;
        self.samples.retain(|sample| keep(threads[sample.thread.0 as usize].tid, sample.time));
    }

    /// Gives the recording another title.
    pub fn set_title(&mut self, title: String) {
        self.profile.recording.title = title;
    }

    /// Names everything and gives the profile.
    pub fn finish(mut self) -> Conversion {
        finish::finish(&mut self)
    }

    /// Names everything that was taken so far and gives it as a profile; what comes next belongs to the next one, which begins
    /// as `next` says. Processes, files and names are remembered, so that a program is looked at once and not for each profile.
    pub fn window(&mut self, next: Recording) -> Conversion {
        // The strings so far are those of processes and threads.
        let strings = self.profile.strings.clone();
        let conversion = finish::finish(self);
        self.profile = Profile { recording: next, strings, ..Profile::default() };
        self.processes.forget_rows();
        let ended = self.origins.perf_maps.iter_mut().filter(|map| !self.processes.has(map.pid));
        ended.for_each(|map| map.close());
        conversion
    }

    /// Forgets a process of which no more events will come.
    pub fn forget(&mut self, pid: u32) {
        self.processes.forget(pid);
    }

    /// How much is remembered from one [window](Self::window) to the next, as a number of rows in all tables. It grows with the programs
    /// that come and go; a new converter begins at nothing.
    pub fn remembered(&self) -> usize {
        self.known.addresses() + self.origins.rows.len() + self.profile.strings.iter().len()
    }

    /// How many object files are held open.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    fn saw(&mut self, time: Monotonic) {
        self.last_event = self.last_event.max(time);
    }

    fn sample(&mut self, sample: &Sample<'_>) {
        self.saw(sample.time);
        let Profile { strings, threads, losses, .. } = &mut self.profile;
        let thread = self.processes.thread(sample.pid, sample.tid, strings, threads);
        let process = self.processes.get(sample.pid);

        if !sample.kernel.is_empty() {
            self.kernel.read_ahead();
        }
        self.addresses.clear();
        let kernel = sample.kernel.iter().enumerate();
        self.addresses.extend(kernel.map(|(depth, &address)| lookup(address, depth == 0)));
        let end = self.unwinder.unwind(sample, &process.space, process.epoch, &mut self.addresses);
        losses.truncated_stacks += u64::from(end == End::Truncated);

        let (origins, proc_dir) = (&mut self.origins, &self.proc_dir);
        let epoch = process.epoch;
        let origin = |address| origins.of(address, process, sample.pid, proc_dir);
        let stack = self.stacks.intern(epoch, &self.addresses, origin);
        if stack.is_none() && !self.addresses.is_empty() {
            losses.add(LossCause::Limit, 1);
            return;
        }
        self.samples.push(RawSample { time: sample.time, thread, stack, weight: sample.weight });
    }
}
