//! A profile: what threads were doing, as samples of their stacks.
//!
//! Everything that repeats is interned, once a profile: [`strings`](Strings), [`frames`](Frames), [`stacks`](Stacks).
//! Samples are small and keep their time, so that formats which draw a time line can; others add up equal stacks.
//!
//! A profile is filled by a recorder and then only read. It may hold several processes and threads.

mod frames;
mod part;
mod seeded;
mod stacks;
mod strings;
mod table;

pub use frames::{Frame, FrameId, FrameKind, Frames, Mapping, MappingId, Mappings};
pub use seeded::Seeded;
pub use stacks::{StackId, Stacks};
pub use strings::{StringId, Strings};
pub use table::{Table, TableId};

use crate::label::{LossCause, Phase};
use crate::time::Monotonic;

/// A recorded profile.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// How and when it was recorded.
    pub recording: Recording,
    /// All text, interned.
    pub strings: Strings,
    /// The files and regions that code was mapped from.
    pub mappings: Mappings,
    /// Places in code.
    pub frames: Frames,
    /// Chains of frames.
    pub stacks: Stacks,
    /// The threads that samples were taken of, by [`ThreadId`].
    pub threads: Vec<Thread>,
    /// The samples, by ascending time.
    pub samples: Vec<Sample>,
    /// What could not be recorded.
    pub losses: Losses,
}

/// How and when a profile was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What was profiled, as a person would say it: a command line, or `pid 4711`.
    pub title: String,
    /// When the recording began: nanoseconds since the UNIX epoch.
    pub started_unix_ns: u64,
    /// When the recording began, on the clock of [`Sample::time`].
    pub started: Monotonic,
    /// How long it lasted.
    pub duration_ns: u64,
    /// What a sample's weight counts.
    pub weight: Weight,
}

/// What the weight of a sample counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Samples of threads that ran on a CPU, one a period.
    CpuSamples {
        /// CPU time between two samples of a thread, in nanoseconds.
        period_ns: u64,
    },
    /// Nanoseconds that a thread waited off the CPU.
    OffCpuNs,
    /// Bytes allocated.
    AllocatedBytes,
}

impl Default for Weight {
    /// The weight of a CPU profile at 999 Hz.
    fn default() -> Self {
        Weight::CpuSamples { period_ns: 1_000_000_000 / 999 }
    }
}

/// A thread's position in [`Profile::threads`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub u32);

/// A thread that samples were taken of. A thread that changes its name, or a process that executes another program,
/// counts as another thread from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thread {
    /// The process's id.
    pub pid: u32,
    /// The thread's id in the kernel.
    pub tid: u32,
    /// The name of the process: that of its main thread.
    pub process_name: StringId,
    /// The name of the thread.
    pub name: StringId,
}

/// What a thread was doing at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub time: Monotonic,
    /// Which thread.
    pub thread: ThreadId,
    /// The stack, or `None` where not even the kernel could tell where the thread was.
    pub stack: Option<StackId>,
    /// How much: see [`Recording::weight`].
    pub weight: u64,
}

/// What could not be recorded, so that a reader can judge the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Samples lost, by cause.
    pub samples: Vec<(LossCause, u64)>,
    /// Stacks whose outer frames are missing because the stack was deeper than what was copied of it.
    pub truncated_stacks: u64,
}

impl Losses {
    /// Counts `n` lost samples.
    pub fn add(&mut self, cause: LossCause, n: u64) {
        match self.samples.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, count)) => *count += n,
            None => self.samples.push((cause, n)),
        }
    }

    /// Samples lost, for whatever cause.
    pub fn total(&self) -> u64 {
        self.samples.iter().map(|(_, count)| count).sum()
    }
}

impl Profile {
    /// The text of an interned string.
    pub fn text(&self, id: StringId) -> &str {
        self.strings.get(id)
    }

    /// The name of a frame's function, as it should be shown: phases stand in brackets.
    pub fn frame_name(&self, id: FrameId) -> &str {
        self.text(self.frames.get(id).function)
    }

    /// The frames of a stack, from the outermost to the innermost.
    pub fn frames_of(&self, stack: Option<StackId>) -> Vec<FrameId> {
        self.stacks.frames(stack)
    }

    /// Whether the compiler put `frame` into `caller`, at the same place.
    pub fn is_inside(&self, frame: FrameId, caller: FrameId) -> bool {
        let (frame, caller) = (self.frames.get(frame), self.frames.get(caller));
        frame.inlined && frame.address == caller.address && frame.mapping == caller.mapping
    }

    /// The phase of the event loop that a stack fell in, if it is a loop's.
    pub fn phase_of(&self, stack: Option<StackId>) -> Option<Phase> {
        let phase = |id: &FrameId| match self.frames.get(*id).kind {
            FrameKind::Phase(phase) => Some(phase),
            _ => None,
        };
        self.frames_of(stack).iter().find_map(phase)
    }

    /// The sum of all weights; saturates.
    pub fn total_weight(&self) -> u64 {
        self.samples.iter().fold(0, |sum, sample| sum.saturating_add(sample.weight))
    }
}
