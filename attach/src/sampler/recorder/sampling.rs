//! The events that take the samples: which ones this machine and this user may have.
//!
//! Hardware cycles are sampled where there is a counter: they interrupt even code that has interrupts turned off.
//! Otherwise the kernel's CPU clock, whose timer runs while the thread does. On machines with several kinds of cores
//! each kind counts its own cycles, so there the clock is taken, too: it is the same on all of them.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use super::options::{Mode, Notice, RecordOptions};
use super::refusal::{is_permission, refusal, with_more_descriptors};
use super::system;
use crate::Error;
use crate::sampler::rings::record::{SAMPLE_FIELDS, SAMPLE_REGISTERS};
use crate::sys::perf_event;
use crate::sys::perf_event::bindings::{self as perf, perf_event_attr};
use crate::sys::ring::Ring;

/// The highest frequency that makes sense: beyond it, the work for the samples is most of what they would see.
const FREQUENCY_MAX_HZ: u32 = 10_000;

/// At lower frequencies the CPU clock is taken. A counter of cycles has to find the period for a frequency, beginning with the smallest:
/// the samples of that, for each thread, would count more than all that follow.
const CYCLES_FROM_HZ: u32 = 100;

/// The most of a stack that fits into a record, which is at most 64 KiB long, beside everything else.
const STACK_BYTES_MAX: u32 = 60 << 10;

/// When events begin to take samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Now,
    /// When their thread executes a program.
    OnExecute,
}

/// The way in which samples are taken.
pub(crate) struct Sampling {
    attributes: perf_event_attr,
    mode: Mode,
    frequency_hz: u32,
}

impl Sampling {
    /// Finds the best way to sample process `pid` that machine and user allow.
    pub(crate) fn choose(
        options: &RecordOptions,
        pid: u32,
        start: Start,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, Error> {
        let frequency_hz = match options.mode {
            Mode::Cpu => frequency(options.frequency_hz, notices)?,
            Mode::OffCpu => options.frequency_hz,
        };
        let mut attributes = wished_for(options, frequency_hz, start);
        loop {
            let Err(refused) = perf_event::open(&attributes, pid, None) else {
                return Ok(Self { attributes, mode: options.mode, frequency_hz });
            };
            if is_permission(&refused) && attributes.exclude_kernel() == 0 && options.mode == Mode::Cpu {
                attributes.set_exclude_kernel(1);
                notices.push(Notice::KernelLeftOut { paranoid: system::paranoid() });
            } else if refused.raw_os_error() == Some(libc::EINVAL) && attributes.read_format != 0 {
                // Kernels before 6.0 do not count for each event what was lost.
                attributes.read_format = 0;
            } else if !is_permission(&refused) && attributes.type_ == perf::PERF_TYPE_HARDWARE {
                count_cpu_time(&mut attributes);
            } else if options.mode == Mode::OffCpu && may_sample_user_mode(attributes, pid) {
                return Err(Error::KernelNotPermitted { paranoid: system::paranoid(), source: refused });
            } else {
                return Err(refusal(refused, pid, 0));
            }
        }
    }

    /// Samples per second of CPU time.
    pub(crate) fn frequency_hz(&self) -> u32 {
        self.frequency_hz
    }

    /// The most samples that one CPU may take in a second. Switches have no known bound.
    pub(crate) fn samples_per_second_max(&self) -> Option<u32> {
        match self.mode {
            Mode::Cpu => Some(self.frequency_hz),
            Mode::OffCpu => None,
        }
    }

    /// The most bytes that are copied of a stack.
    pub(crate) fn stack_bytes(&self) -> u32 {
        self.attributes.sample_stack_user
    }

    /// Copies less of each stack from now on.
    pub(crate) fn shorten_stacks(&mut self, bytes: u32) {
        self.attributes.sample_stack_user = bytes / 8 * 8;
    }

    /// Stops the events. Gives the number of records that they have lost in all, `None` if the kernel does not count it.
    pub(crate) fn stop(&self, events: &[OwnedFd]) -> Result<Option<u64>, Error> {
        let failed = |source| Error::System { doing: "ending the sampling", source };
        events.iter().try_for_each(|event| perf_event::disable(event.as_fd())).map_err(failed)?;
        if self.attributes.read_format == 0 {
            return Ok(None);
        }
        let mut lost = 0;
        for event in events {
            // { u64 value; u64 lost; }
            let mut counts = [0u64; 2];
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut counts);
            rustix::io::read(event, bytes).map_err(|errno| failed(errno.into()))?;
            lost += counts[1];
        }
        Ok(Some(lost))
    }

    /// Samples the thread `tid` of process `pid` on every CPU, into the CPU's ring. Adds the events to `events`; none if
    /// the thread has ended.
    pub(crate) fn open(
        &self,
        (pid, tid): (u32, u32),
        rings: &[Ring],
        events: &mut Vec<OwnedFd>,
    ) -> Result<(), Error> {
        for ring in rings {
            let opened = with_more_descriptors(|| perf_event::open(&self.attributes, tid, Some(ring.cpu())));
            match opened {
                Ok(event) => {
                    perf_event::redirect(event.as_fd(), ring.as_fd())
                        .map_err(|source| Error::System { doing: "sharing a ring between events", source })?;
                    events.push(event);
                }
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => break,
                // The CPU went offline.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(refusal(error, pid, events.len())),
            }
        }
        Ok(())
    }
}

/// The event that we would like to have.
fn wished_for(options: &RecordOptions, frequency_hz: u32, start: Start) -> perf_event_attr {
    let mut attributes = clocked();
    attributes.sample_type = SAMPLE_FIELDS;
    attributes.sample_regs_user = SAMPLE_REGISTERS;
    attributes.sample_stack_user = options.stack_bytes.min(STACK_BYTES_MAX).next_multiple_of(8);
    attributes.read_format = perf::PERF_FORMAT_LOST.into();
    attributes.set_mmap(1);
    attributes.set_mmap2(1);
    attributes.set_comm(1);
    attributes.set_comm_exec(1);
    attributes.set_task(1);
    attributes.set_inherit(1);
    attributes.set_inherit_thread((!options.children).into());
    attributes.set_disabled((start == Start::OnExecute).into());
    attributes.set_enable_on_exec((start == Start::OnExecute).into());
    match options.mode {
        Mode::Cpu => {
            attributes.__bindgen_anon_1.sample_freq = frequency_hz.into();
            attributes.set_freq(1);
            if frequency_hz < CYCLES_FROM_HZ || has_several_kinds_of_cores() {
                count_cpu_time(&mut attributes);
            } else {
                count_cycles(&mut attributes);
            }
        }
        Mode::OffCpu => count_switches(&mut attributes),
    }
    attributes
}

/// Attributes of an event whose records are stamped with the clock that all processes share.
pub(crate) fn clocked() -> perf_event_attr {
    let mut attributes = perf_event_attr { clockid: libc::CLOCK_MONOTONIC, ..Default::default() };
    attributes.set_use_clockid(1);
    attributes.set_sample_id_all(1);
    attributes
}

fn frequency(asked_hz: u32, notices: &mut Vec<Notice>) -> Result<u32, Error> {
    if !(1..=FREQUENCY_MAX_HZ).contains(&asked_hz) {
        return Err(Error::Frequency { asked_hz });
    }
    let used_hz = system::max_sample_rate().map_or(asked_hz, |max| asked_hz.min(max));
    if used_hz < asked_hz {
        notices.push(Notice::FrequencyLowered { asked_hz, used_hz });
    }
    Ok(used_hz)
}

fn count_cycles(attributes: &mut perf_event_attr) {
    attributes.type_ = perf::PERF_TYPE_HARDWARE;
    attributes.config = perf::PERF_COUNT_HW_CPU_CYCLES.into();
    // What a virtual machine computes is not on the stack of the process that runs it.
    attributes.set_exclude_guest(1);
}

fn count_cpu_time(attributes: &mut perf_event_attr) {
    attributes.type_ = perf::PERF_TYPE_SOFTWARE;
    attributes.config = perf::PERF_COUNT_SW_CPU_CLOCK.into();
    attributes.set_exclude_guest(0);
}

/// Every switch away from a thread is sampled; that it runs again is told without a sample.
fn count_switches(attributes: &mut perf_event_attr) {
    attributes.type_ = perf::PERF_TYPE_SOFTWARE;
    attributes.config = perf::PERF_COUNT_SW_CONTEXT_SWITCHES.into();
    attributes.__bindgen_anon_1.sample_period = 1;
    attributes.set_context_switch(1);
}

/// Whether only the view of the kernel is what an event on process `pid` was refused for.
fn may_sample_user_mode(mut attributes: perf_event_attr, pid: u32) -> bool {
    attributes.set_exclude_kernel(1);
    perf_event::open(&attributes, pid, None).is_ok()
}

/// Whether there are several event sources that tell which CPUs are theirs: so do only those of unequal cores.
fn has_several_kinds_of_cores() -> bool {
    let Ok(sources) = fs::read_dir("/sys/bus/event_source/devices") else { return false };
    sources.flatten().filter(|source| source.path().join("cpus").exists()).count() > 1
}
