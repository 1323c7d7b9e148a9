//! The rings that the kernel writes samples into: one for each CPU, as large as useful and allowed.
//!
//! A ring belongs to an event of its own that never fires, on our own process: so the rings last as long as the
//! recorder, whichever thread of the target ends first.

use std::io;

use super::options::Notice;
use super::refusal::{refusal, with_more_descriptors};
use super::sampling::{Sampling, clocked};
use super::system;
use crate::Error;
use crate::sys::perf_event::bindings as perf;
use crate::sys::ring::Ring;
use crate::sys::{perf_event, process};

/// A ring holds this much of a CPU's time at the full rate: so long may the recorder have to wait for a CPU.
const HELD_MS: u64 = 250;
/// What a sample takes beside the stack, at most about.
const BESIDE_STACK_BYTES: u64 = 1 << 10;
/// Bounds on a ring's size. The lower one is for what a machine allows, the upper one for its memory.
const RING_BYTES_MIN: u64 = 64 << 10;
const RING_BYTES_MAX: u64 = 8 << 20;
/// Bound on the size of all rings of a machine with many CPUs.
const ALL_RINGS_BYTES_MAX: u64 = 512 << 20;
/// A ring holds so many samples; if the memory does not suffice, they get smaller.
const SAMPLES_MIN: u64 = 16;
/// The recorder is woken up when such a part of a ring has been written.
const WAKE_UP_PART: u64 = 4;

/// Makes the rings, and shortens the stacks to be sampled if only small rings are allowed.
pub(crate) fn make(sampling: &mut Sampling, notices: &mut Vec<Notice>) -> Result<Vec<Ring>, Error> {
    let cpus = process::cpus();
    let stack_bytes = sampling.stack_bytes();
    let sample_bytes = u64::from(stack_bytes) + BESIDE_STACK_BYTES;
    let held = |per_second| u64::from(per_second) * sample_bytes * HELD_MS / 1000;
    let useful = sampling.samples_per_second_max().map_or(RING_BYTES_MAX, held);
    let useful = useful.max(SAMPLES_MIN * sample_bytes).next_power_of_two();
    let share = RING_BYTES_MAX.min(ALL_RINGS_BYTES_MAX / u64::from(cpus));
    let smallest = RING_BYTES_MIN.max(rustix::param::page_size() as u64);
    let mut ring_bytes = useful.min(1 << share.ilog2()).max(smallest);
    let rings = loop {
        match all(cpus, ring_bytes) {
            Err(Error::LockedMemory { .. }) if ring_bytes > smallest => ring_bytes /= 2,
            result => break result?,
        }
    };
    let fitting = (ring_bytes / SAMPLES_MIN) as u32;
    if fitting < stack_bytes {
        sampling.shorten_stacks(fitting);
        notices
            .push(Notice::StacksShortened { asked_bytes: stack_bytes, used_bytes: sampling.stack_bytes() });
    }
    Ok(rings)
}

fn all(cpus: u32, ring_bytes: u64) -> Result<Vec<Ring>, Error> {
    let mut rings = Vec::new();
    for cpu in 0..cpus {
        match one(cpu, ring_bytes) {
            Ok(ring) => rings.push(ring),
            // This CPU is offline.
            Err(Refused::Event(error)) if error.raw_os_error() == Some(libc::ENODEV) => {}
            Err(Refused::Event(error)) => return Err(refusal(error, std::process::id(), rings.len())),
            Err(Refused::Memory(source)) => {
                let mlock_kb = system::mlock_kb();
                return Err(Error::LockedMemory { bytes: ring_bytes, mlock_kb, source });
            }
        }
    }
    Ok(rings)
}

enum Refused {
    Event(io::Error),
    Memory(io::Error),
}

fn one(cpu: u32, ring_bytes: u64) -> Result<Ring, Refused> {
    let mut attributes = clocked();
    attributes.type_ = perf::PERF_TYPE_SOFTWARE;
    attributes.config = perf::PERF_COUNT_SW_DUMMY.into();
    attributes.set_exclude_kernel(1);
    attributes.set_watermark(1);
    attributes.__bindgen_anon_2.wakeup_watermark = (ring_bytes / WAKE_UP_PART) as u32;
    let own = std::process::id();
    let event = with_more_descriptors(|| perf_event::open(&attributes, own, Some(cpu)));
    Ring::map(event.map_err(Refused::Event)?, cpu, ring_bytes as usize).map_err(Refused::Memory)
}
