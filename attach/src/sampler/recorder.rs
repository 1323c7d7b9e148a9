//! Recording: a process and what it starts, sampled by the kernel, told as [`Event`]s by ascending time.
//!
//! The kernel samples each thread at the frequency that is asked for, counted in the thread's own CPU time, and writes the
//! samples, with the stack, into a ring for each CPU; it also writes down what is mapped, forked, renamed and ended.
//! The recorder sleeps until a good part of a ring is written. It makes no system call per sample, stops nothing
//! and leaves nothing behind in its target.
//!
//! Needs Linux 5.8, and for processes of the same user `kernel.perf_event_paranoid` of at most 2 (1 to see the kernel's
//! part of stacks), else CAP_PERFMON, and CAP_SYS_PTRACE for processes of other users.
//!
//! ```no_run
//! use loopscope_attach::sampler::event::Event;
//! use loopscope_attach::sampler::recorder::{RecordOptions, Recorder, Target};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), loopscope_attach::Error> {
//! let mut recorder = Recorder::launch("ls".as_ref(), &["-l".into()], &RecordOptions::default())?;
//! let mut samples = 0;
//! let mut count = |event: Event<'_>| samples += u64::from(matches!(event, Event::Sample(_)));
//! while recorder.poll(Duration::from_millis(100), &mut count)? == Target::Runs {}
//! let finished = recorder.finish(&mut count)?;
//! let status = finished.launched.unwrap().wait()?.exit.shell_status();
//! # Ok(())
//! # }
//! ```

mod buffers;
mod command;
mod existing;
mod fleet;
mod inheritance;
mod options;
mod outlet;
mod refusal;
mod sampling;
mod system;
mod threads;
mod waits;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use model::time::Monotonic;

pub use command::{Ended, Exit, Launched};
pub use fleet::Fleet;
pub use options::{Mode, Notice, RecordOptions};

use crate::Error;
use crate::sampler::event::Event;
use crate::sampler::rings::Rings;
use crate::sys::process;
use crate::sys::ring::Ring;
use existing::Existing;
use outlet::Outlet;
use sampling::{Sampling, Start};
use threads::Threads;

/// Whether the process that is recorded still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It runs.
    Runs,
    /// It has ended. Processes that it started may still run, and are still recorded.
    Ended,
}

/// A recording under way. Dropping it ends the recording, never the target.
pub struct Recorder {
    rings: Rings<Ring>,
    sampling: Sampling,
    events: Vec<OwnedFd>,
    pid: u32,
    /// Becomes readable when the target ends.
    target: OwnedFd,
    state: Target,
    launched: Option<Launched>,
    /// What was there before; told first.
    existing: Option<Existing>,
    started: Monotonic,
    outlet: Outlet,
    notices: Vec<Notice>,
}

/// A recording that has ended.
#[derive(Debug)]
pub struct Finished {
    /// When the recording began.
    pub started: Monotonic,
    /// When it ended.
    pub ended: Monotonic,
    /// The command, if one was launched. It may still run.
    pub launched: Option<Launched>,
}

impl Recorder {
    /// Starts `program`, found as a shell would find it, and records it from its first instruction on.
    ///
    /// The command has this process's standard streams, environment, directory and process group; so an interrupt from
    /// the terminal reaches both, and whoever records must not die of it if the recording is to be finished.
    ///
    /// # Errors
    /// [`Error::CommandNotFound`] and [`Error::CommandNotExecutable`] of the command; of sampling
    /// [`Error::NotPermitted`], [`Error::NoPerfEvents`], [`Error::TooManyDescriptors`], [`Error::LockedMemory`],
    /// [`Error::Frequency`]. No command was run then.
    pub fn launch(program: &OsStr, arguments: &[OsString], options: &RecordOptions) -> Result<Self, Error> {
        let waiting = command::fork(program, arguments)?;
        let (mut recorder, _) = Self::begin(waiting.pid(), options, Start::OnExecute)?;
        recorder.started = process::now();
        recorder.launched = Some(command::execute(waiting, program)?);
        Ok(recorder)
    }

    /// Records a process that runs: all its threads, and what they start from now on. Processes that it started before
    /// are not recorded.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`], [`Error::ProcessEnded`], [`Error::OtherUser`], and those of sampling as in
    /// [`Recorder::launch`].
    pub fn attach(pid: u32, options: &RecordOptions) -> Result<Self, Error> {
        let (mut recorder, threads) = Self::begin(pid, options, Start::Now)?;
        // Read after the events are open: what is mapped later is in the rings, so nothing is missed.
        let existing = Existing::read(pid, threads).map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => refusal::not_permitted(source, pid),
            _ => Error::ProcessEnded { pid },
        })?;
        recorder.existing = Some(existing);
        Ok(recorder)
    }

    /// Opens all events; gives the threads that they are on, too.
    fn begin(pid: u32, options: &RecordOptions, start: Start) -> Result<(Self, HashSet<u32>), Error> {
        let target = open_target(pid)?;
        let mut notices = Vec::new();
        let mut sampling = Sampling::choose(options, pid, start, &mut notices)?;
        let rings = buffers::make(&mut sampling, &mut notices)?;
        let started = process::now();
        let threads = Threads::open(pid, &sampling, &rings)?;
        let recorder = Self {
            rings: Rings::new(rings),
            sampling,
            events: threads.events,
            pid,
            target,
            state: Target::Runs,
            launched: None,
            existing: None,
            started,
            outlet: Outlet::new(options.mode, threads.inheritance),
            notices,
        };
        Ok((recorder, threads.found))
    }

    /// The process that is recorded.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Samples per second of CPU time: what was asked for, or less with a [`Notice`].
    pub fn frequency_hz(&self) -> u32 {
        self.sampling.frequency_hz()
    }

    /// When the recording began. No event is earlier.
    pub fn started(&self) -> Monotonic {
        self.started
    }

    /// How the recording falls short of what was asked for.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// A descriptor that becomes readable when the target ends, for who waits in a loop of their own.
    pub fn target_fd(&self) -> BorrowedFd<'_> {
        self.target.as_fd()
    }

    /// Waits until there is a good number of records, the target ends, a signal is handled by this thread, or
    /// `timeout` is over; then hands out all events that are old enough to be in order.
    ///
    /// Call it again and again: records wait in a buffer that holds about a quarter of a second at the full rate, and
    /// what does not fit is lost (and counted, see [`Event::Lost`]). After the target has ended it no longer waits.
    ///
    /// # Errors
    /// [`Error::System`] if waiting fails.
    pub fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) -> Result<Target, Error> {
        self.tell_existing(sink);
        if self.state == Target::Runs {
            let rings = self.rings.sources().iter().map(AsFd::as_fd);
            let descriptors = std::iter::once(self.target.as_fd()).chain(rings);
            let ended = process::wait_readable(descriptors, timeout)
                .map_err(|source| Error::System { doing: "waiting for samples", source })?;
            if ended {
                self.state = Target::Ended;
            }
        }
        let outlet = &mut self.outlet;
        self.rings.drain_settled(process::now(), &mut |record| outlet.take(record, sink));
        Ok(self.state)
    }

    /// Ends the recording and hands out all events that are left.
    ///
    /// # Errors
    /// [`Error::System`] if the kernel's events cannot be stopped.
    pub fn finish(mut self, sink: &mut dyn FnMut(Event<'_>)) -> Result<Finished, Error> {
        let lost = self.sampling.stop(&self.events)?;
        let ended = process::now();
        self.tell_existing(sink);
        let outlet = &mut self.outlet;
        self.rings.drain_all(&mut |record| outlet.take(record, sink));
        outlet.end(ended, lost, sink);
        Ok(Finished { started: self.started, ended, launched: self.launched.take() })
    }

    fn tell_existing(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(existing) = self.existing.take() {
            existing.tell(self.started, sink);
        }
    }
}

fn open_target(pid: u32) -> Result<OwnedFd, Error> {
    process::open_pid(pid).map_err(|source| match source.raw_os_error() {
        // No such process; not a number that processes have; the number of a thread that is not its process's first.
        Some(libc::ESRCH | libc::EINVAL | libc::ENOENT) => Error::NoSuchProcess { pid },
        _ => Error::System { doing: "opening the process", source },
    })
}
