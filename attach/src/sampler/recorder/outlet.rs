//! Where records become events.

use model::label::LossCause;
use model::time::Monotonic;

use super::inheritance::Inheritance;
use super::options::Mode;
use super::waits::Waits;
use crate::sampler::event::Event;
use crate::sampler::rings::record::Record;

/// What must be remembered between records.
pub(crate) struct Outlet {
    /// For off-CPU time only.
    waits: Option<Waits>,
    inheritance: Inheritance,
    /// Records that the kernel has told to be lost.
    reported_lost: u64,
}

impl Outlet {
    pub(crate) fn new(mode: Mode, inheritance: Inheritance) -> Self {
        Self { waits: (mode == Mode::OffCpu).then(Waits::default), inheritance, reported_lost: 0 }
    }

    /// A process joins those that are recorded.
    pub(crate) fn join(&mut self, inheritance: Inheritance) {
        self.inheritance.join(inheritance);
    }

    /// Processes with these threads are no longer recorded.
    pub(crate) fn part(&mut self, is_closed: impl Fn(u32) -> bool) {
        self.inheritance.forget(is_closed);
    }

    /// Takes a record, and hands out what it leads to.
    pub(crate) fn take(&mut self, record: Record<'_>, sink: &mut dyn FnMut(Event<'_>)) {
        match record {
            Record::Sampled { event, sample } => {
                if self.inheritance.counts(sample.tid, event) {
                    match &mut self.waits {
                        Some(waits) => waits.leave(&sample, sink),
                        None => sink(Event::Sample(sample)),
                    }
                }
            }
            Record::Forked { time, pid, tid, parent_pid, parent_tid } => {
                self.inheritance.forked(parent_tid, tid);
                sink(Event::Forked { time, pid, tid, parent_pid });
            }
            Record::Resumed { time, tid } => {
                if let Some(waits) = &mut self.waits {
                    waits.resume(time, tid, sink);
                }
            }
            Record::Event(event) => {
                match event {
                    Event::Lost { cause: LossCause::BufferFull, count } => {
                        self.reported_lost = self.reported_lost.saturating_add(count);
                    }
                    Event::Exited { tid, .. } => {
                        self.inheritance.exited(tid);
                        if let Some(waits) = &mut self.waits {
                            waits.forget(tid);
                        }
                    }
                    _ => {}
                }
                sink(event);
            }
        }
    }

    /// Hands out what is left at the end, given how many records were lost in all, if that is known.
    pub(crate) fn end(&mut self, time: Monotonic, lost: Option<u64>, sink: &mut dyn FnMut(Event<'_>)) {
        if let Some(waits) = &mut self.waits {
            waits.end(time, sink);
        }
        // The kernel reports a loss when there is room again. For the last ones there never was.
        let unreported = lost.unwrap_or(0).saturating_sub(self.reported_lost);
        if unreported > 0 {
            sink(Event::Lost { cause: LossCause::BufferFull, count: unreported });
        }
    }
}
