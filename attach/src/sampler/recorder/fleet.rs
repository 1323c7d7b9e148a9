//! Recording many processes that come and go, into one set of rings.
//!
//! Each process has events of its own; a ring for each CPU serves them all, so memory does not grow with the processes. Children are
//! not followed: one that is of interest is added by itself.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use model::time::Monotonic;

use super::existing::Existing;
use super::inheritance::Inheritance;
use super::options::{Notice, RecordOptions};
use super::outlet::Outlet;
use super::sampling::{Sampling, Start};
use super::threads::Threads;
use super::{buffers, refusal};
use crate::Error;
use crate::sampler::event::Event;
use crate::sampler::rings::Rings;
use crate::sys::process;
use crate::sys::ring::Ring;

/// Processes that are recorded until they are removed. Dropping it ends the recording, never the processes.
///
/// Needs what [`Recorder`](super::Recorder) needs; a frequency that is low enough to go on for ever is for the caller to choose.
pub struct Fleet {
    rings: Rings<Ring>,
    options: RecordOptions,
    members: BTreeMap<u32, Member>,
    outlet: Outlet,
    started: Monotonic,
    notices: Vec<Notice>,
}

struct Member {
    _events: Vec<OwnedFd>,
    threads: Vec<u32>,
}

impl Fleet {
    /// Makes the rings; no process is recorded yet.
    ///
    /// # Errors
    /// [`Error::NotPermitted`], [`Error::NoPerfEvents`], [`Error::TooManyDescriptors`], [`Error::LockedMemory`],
    /// [`Error::Frequency`].
    pub fn new(options: &RecordOptions) -> Result<Self, Error> {
        let mut options = RecordOptions { children: false, ..options.clone() };
        let mut notices = Vec::new();
        let mut sampling = Sampling::choose(&options, std::process::id(), Start::Now, &mut notices)?;
        let rings = Rings::new(buffers::make(&mut sampling, &mut notices)?);
        options.stack_bytes = sampling.stack_bytes();
        options.frequency_hz = sampling.frequency_hz();
        let outlet = Outlet::new(options.mode, Inheritance::default());
        Ok(Self { rings, options, members: BTreeMap::new(), outlet, started: process::now(), notices })
    }

    /// Samples per second of CPU time: what was asked for, or less with a [`Notice`].
    pub fn frequency_hz(&self) -> u32 {
        self.options.frequency_hz
    }

    /// When the recording began.
    pub fn started(&self) -> Monotonic {
        self.started
    }

    /// How the recording falls short of what was asked for.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// The processes that are recorded.
    pub fn members(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.keys().copied()
    }

    /// Begins to record a process, all of its threads; what it has mapped already is handed out at once.
    ///
    /// # Errors
    /// [`Error::ProcessEnded`], [`Error::OtherUser`], and those of sampling as in [`Fleet::new`].
    pub fn add(&mut self, pid: u32, sink: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let mut told_before = Vec::new();
        let sampling = Sampling::choose(&self.options, pid, Start::Now, &mut told_before)?;
        let threads = Threads::open(pid, &sampling, self.rings.sources())?;
        let existing = Existing::read(pid, threads.found.iter().copied());
        let existing = existing.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => refusal::not_permitted(source, pid),
            _ => Error::ProcessEnded { pid },
        })?;
        existing.tell(process::now(), sink);
        self.outlet.join(threads.inheritance);
        let found = threads.found.into_iter().collect();
        self.members.insert(pid, Member { _events: threads.events, threads: found });
        Ok(())
    }

    /// Hands out anew what a process has mapped, for a converter that knows nothing yet.
    ///
    /// # Errors
    /// [`Error::ProcessEnded`], or whatever keeps from looking.
    pub fn tell(&self, pid: u32, sink: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let ended = |_| Error::ProcessEnded { pid };
        let threads = super::system::threads(pid);
        Existing::read(pid, threads).map_err(ended)?.tell(process::now(), sink);
        Ok(())
    }

    /// Ends the recording of a process. What it has left in the rings is handed out by the next [`Fleet::poll`].
    pub fn remove(&mut self, pid: u32) {
        if let Some(member) = self.members.remove(&pid) {
            self.outlet.part(|tid| member.threads.contains(&tid));
        }
    }

    /// Waits until there is a good number of records, or `timeout` is over; then hands out all events that are old enough to be in
    /// order. Records wait in a buffer that holds a second at least, where the machine allows it.
    ///
    /// # Errors
    /// [`Error::System`] if waiting fails.
    pub fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let rings = self.rings.sources().iter().map(AsFd::as_fd);
        process::wait_readable(rings, timeout)
            .map_err(|source| Error::System { doing: "waiting for samples", source })?;
        let outlet = &mut self.outlet;
        self.rings.drain_settled(process::now(), &mut |record| outlet.take(record, sink));
        Ok(())
    }
}
