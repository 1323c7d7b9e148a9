//! Probes on libuv: every iteration, every phase, every task.
//!
//! A few BPF programs are loaded once and placed on the [points](super::image::Points) of each target. They keep sums and
//! distributions in the kernel, in the buckets of [`model::histogram`]; nothing is sent for each hit. Everything is held
//! by descriptors: when this program ends, however it ends, the kernel takes every probe away.
//!
//! Where the kernel can place many probes in one call (Linux 6.6), that is used: it needs fewer rights, and taking them
//! away takes milliseconds instead of seconds. Before, each is an event of its own.
//!
//! A target's hits, distributions and tasks are told apart by its *slot*, a number that its probes carry; threads by their
//! ids in the outermost pid namespace.

mod abi;
mod attachment;
mod begun;
mod error;
mod measured;
mod object;
mod wanted;

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use bytemuck::Zeroable;
use model::histogram;
use model::label::{Phase, ProbeLoss, Tier};
use model::time::Monotonic;

use super::locate::Located;
use super::tiers::Tiers;
use crate::sys::bpf::{self, Map, Placement, Ring};
use crate::target::Pid;
pub use attachment::{Attachment, Refusal};
pub(super) use begun::Begun;
pub use error::ProbeError;
pub use measured::{KnownLoop, LoopMeasured, Measured, PoolMeasured};
use object::Loaded;
use wanted::Wanted;

/// What a hit costs its process, in nanoseconds: an estimate, for the mean of all programs and for machines like the one that the
/// benchmark `attach` chose it on. Some 0.9 µs of it are the kernel's, for the trap and the instruction that it emulates.
pub const HIT_NS: u64 = 1300;

/// How probes are placed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProbeOptions {
    /// Place each probe as an event of its own, even where the kernel can do better.
    pub single: bool,
}

/// The programs and maps that all targets share.
pub struct Probes {
    loaded: Loaded,
    placing: Placing,
    ring: Ring,
    /// Which slots are taken.
    slots: Vec<bool>,
}

#[derive(Clone, Copy, Debug)]
enum Placing {
    /// Many in one call.
    Multi,
    /// Each as an event: the kernel's number of such events, and the bit that asks for returns.
    Single { kind: u32, return_bit: u32 },
}

/// An iteration that was away from the poll for longer than the threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowIteration {
    /// The [slot](Attachment::slot) of its process.
    pub slot: u32,
    /// The loop's thread.
    pub tid: u32,
    /// Where the loop lies in the process's memory.
    pub loop_address: u64,
    /// When the poll before it returned.
    pub started: Monotonic,
    /// When it came to the next poll.
    pub ended: Monotonic,
    /// Time in each phase, in nanoseconds, longest first; empty without the tier `phases`.
    pub phases: Vec<(Phase, u64)>,
}

/// Everything that the maps hold, read at once.
pub struct Readings {
    histograms: HashMap<u32, Vec<(abi::HistogramKey, Box<abi::Histogram>)>>,
    threads: HashMap<u32, Vec<(u32, abi::Thread)>>,
}

impl Probes {
    /// Makes the maps and loads the programs.
    ///
    /// # Errors
    /// [`ProbeError`] names the right or the feature of the kernel that is missing.
    pub fn load(options: &ProbeOptions) -> Result<Self, ProbeError> {
        let (loaded, placing) = match options.single {
            true => Self::load_single()?,
            false => {
                let loaded = Loaded::load(true).map_err(ProbeError::load)?;
                // Before 6.6 the kernel does not know the way of placing.
                match bpf::can_link_uprobes(loaded.any_program().as_fd()) {
                    true => (loaded, Placing::Multi),
                    false => Self::load_single()?,
                }
            }
        };
        let failed = |doing| move |source| ProbeError::System { doing, source };
        fill_tables(loaded.map("tables")).map_err(failed("cannot fill a BPF map"))?;
        let ring = Ring::map(loaded.map("slow_iterations"), abi::RING_BYTES)
            .map_err(failed("cannot map the ring of slow iterations"))?;
        Ok(Self { loaded, placing, ring, slots: vec![false; abi::TARGETS_MAX] })
    }

    fn load_single() -> Result<(Loaded, Placing), ProbeError> {
        let loaded = Loaded::load(false).map_err(ProbeError::load)?;
        let read = |name: &str| fs::read_to_string(format!("/sys/bus/event_source/devices/uprobe/{name}"));
        let number = |text: io::Result<String>| text.ok()?.trim().rsplit(':').next()?.parse().ok();
        let (kind, return_bit) = (number(read("type")), number(read("format/retprobe")));
        let placing = Placing::Single {
            kind: kind.ok_or(ProbeError::NoUprobes)?,
            return_bit: return_bit.ok_or(ProbeError::NoUprobes)?,
        };
        Ok((loaded, placing))
    }

    /// Places the probes of some tiers on a process. `slow_ns` is the time away from the poll from which on an iteration is
    /// reported. A tier that the binary has no points for is left out, and [`Attachment::refused`] says so. The tier
    /// `phases` brings the tier `loop` with it.
    ///
    /// # Errors
    /// [`ProbeError`] where nothing could be placed: a right is missing, or the process has ended.
    pub fn attach(
        &mut self,
        pid: Pid,
        located: &Located,
        tiers: Tiers,
        slow_ns: u64,
    ) -> Result<Attachment, ProbeError> {
        let slot = self.slots.iter().position(|taken| !taken).ok_or(ProbeError::TooManyTargets)?;
        self.set_up(slot as u32, |cell| {
            *cell = abi::Target { placement: cell.placement, ..target(located, slow_ns) };
        })?;
        self.slots[slot] = true;
        let classes = attachment::Classes::new(located.classes());
        let mut attachment = Attachment::new(pid, slot as u32, classes);
        for tier in tiers.with_needed().probes().iter() {
            if let Err(error) = self.attach_tier(&mut attachment, located, tier) {
                self.detach(attachment);
                return Err(error);
            }
        }
        Ok(attachment)
    }

    /// Places the probes of one more tier.
    ///
    /// # Errors
    /// As [`Probes::attach`].
    pub fn attach_tier(
        &mut self,
        attachment: &mut Attachment,
        located: &Located,
        tier: Tier,
    ) -> Result<(), ProbeError> {
        let wanted = match Wanted::of(located, tier) {
            Ok(wanted) => wanted,
            Err(refusal) => {
                attachment.refuse(tier, refusal);
                return Ok(());
            }
        };
        if tier == Tier::Pool {
            // Tasks from before are no longer of interest: others may lie at the same addresses.
            self.set_up(attachment.slot(), |target| target.placement = target.placement.wrapping_add(1))?;
        }
        let mut links = Vec::new();
        for point in wanted {
            self.place(attachment, &point, &mut links)?;
        }
        attachment.hold(tier, links);
        Ok(())
    }

    fn place(
        &self,
        attachment: &Attachment,
        wanted: &Wanted<'_>,
        links: &mut Vec<OwnedFd>,
    ) -> Result<(), ProbeError> {
        let pid = attachment.pid();
        let failed = |source: io::Error| ProbeError::place(pid, wanted.program, self.is_multi(), source);
        // A path below /proc/PID would lead to another program's code, if the process has executed one meanwhile.
        let file = wanted.part.open().map_err(failed)?;
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("it has no zeros");
        let program = self.loaded.program(wanted.program).as_fd();
        let placements: Vec<Placement> = wanted
            .sites
            .iter()
            .map(|&(offset, upper)| Placement { offset, cookie: u64::from(attachment.slot()) | upper })
            .collect();
        match self.placing {
            Placing::Multi => {
                let link = bpf::link_uprobes(program, &path, &placements, pid.get(), wanted.at_return);
                links.push(link.map_err(failed)?);
            }
            Placing::Single { kind, return_bit } => {
                let return_bit = wanted.at_return.then_some(return_bit);
                for placement in placements {
                    let event = bpf::open_uprobe(kind, return_bit, &path, placement.offset, pid.get());
                    let event = event.map_err(failed)?;
                    links.push(bpf::link_event(program, event.as_fd(), placement.cookie).map_err(failed)?);
                    links.push(event);
                }
            }
        }
        Ok(())
    }

    /// Whether many probes are placed in one call.
    pub fn is_multi(&self) -> bool {
        matches!(self.placing, Placing::Multi)
    }

    /// Takes the probes of one tier away. What they measured stays, and what they have begun to measure is forgotten: when they are placed
    /// again, a loop is in another iteration, and another task may lie at the same address.
    pub fn detach_tier(&mut self, attachment: &mut Attachment, tier: Tier) {
        attachment.release(tier);
        if tier == Tier::Loop {
            self.forget_iterations(attachment.slot());
        }
    }

    /// Sets another time away from the poll from which on an iteration is reported. What was measured stays.
    ///
    /// # Errors
    /// [`ProbeError::System`] where the kernel refuses, which it does not while it works.
    pub fn set_slow(&mut self, attachment: &Attachment, slow_ns: u64) -> Result<(), ProbeError> {
        self.set_up(attachment.slot(), |target| target.slow_ns = slow_ns)
    }

    /// Changes what the programs know of a target.
    fn set_up(&self, slot: u32, change: impl FnOnce(&mut abi::Target)) -> Result<(), ProbeError> {
        let failed = |source| ProbeError::System { doing: "cannot set up a target", source };
        let (targets, key) = (self.loaded.map("targets"), slot.to_ne_bytes());
        let mut target = abi::Target::default();
        targets.lookup(&key, bytemuck::bytes_of_mut(&mut target)).map_err(failed)?;
        change(&mut target);
        targets.update(&key, bytemuck::bytes_of(&target)).map_err(failed)
    }

    /// Takes all probes of a process away, and forgets what they measured.
    pub fn detach(&mut self, attachment: Attachment) {
        let slot = attachment.slot();
        drop(attachment);
        self.forget(slot, &|_| false);
        for key in Tier::ALL.iter().flat_map(|&tier| abi::hits_keys(slot, tier)) {
            // An array's cells are set, not deleted; a failure would only leave numbers that nobody reads.
            let _ = self.loaded.map("hits").update(&key, &0u64.to_ne_bytes());
        }
        self.slots[slot as usize] = false;
    }

    /// Forgets what was measured of threads that have ended. `is_alive` is asked with a thread's id.
    pub fn forget_ended_threads(&mut self, attachment: &Attachment, is_alive: &dyn Fn(u32) -> bool) {
        self.forget(attachment.slot(), &|thread| thread.is_none_or(is_alive));
    }

    /// Forgets what is not to be kept of a target's threads, or, with none, of its pool.
    fn forget(&self, slot: u32, is_kept: &dyn Fn(Option<u32>) -> bool) {
        let histograms = self.loaded.map("histograms");
        for bytes in histograms.keys().unwrap_or_default() {
            let key: abi::HistogramKey = bytemuck::pod_read_unaligned(&bytes);
            if key.slot == slot && !is_kept(key.thread()) {
                let _ = histograms.delete(&bytes);
            }
        }
        let threads = self.loaded.map("threads");
        for bytes in threads.keys().unwrap_or_default() {
            let (of, tid) = thread_key(&bytes);
            if of == slot && !is_kept(Some(tid)) {
                let _ = threads.delete(&bytes);
            }
        }
    }

    /// Forgets where threads are in their iterations.
    fn forget_iterations(&self, slot: u32) {
        let threads = self.loaded.map("threads");
        let of_slot = |bytes: &Vec<u8>| thread_key(bytes).0 == slot;
        for bytes in threads.keys().unwrap_or_default().into_iter().filter(of_slot) {
            let mut thread = abi::Thread::zeroed();
            if threads.lookup(&bytes, bytemuck::bytes_of_mut(&mut thread)).is_ok_and(|is_there| is_there) {
                thread.begin_anew();
                let _ = threads.update(&bytes, bytemuck::bytes_of(&thread));
            }
        }
    }

    /// Reads everything that was measured, of all targets.
    ///
    /// # Errors
    /// [`ProbeError::System`] where the kernel refuses, which it does not while it works.
    pub fn collect(&self) -> Result<Readings, ProbeError> {
        let failed = |source| ProbeError::System { doing: "cannot read a BPF map", source };
        let mut readings = Readings { histograms: HashMap::new(), threads: HashMap::new() };
        let map = self.loaded.map("histograms");
        for bytes in map.keys().map_err(failed)? {
            let key: abi::HistogramKey = bytemuck::pod_read_unaligned(&bytes);
            let mut histogram = Box::new(abi::Histogram::zeroed());
            if map.lookup(&bytes, bytemuck::bytes_of_mut(&mut *histogram)).map_err(failed)? {
                readings.histograms.entry(key.slot).or_default().push((key, histogram));
            }
        }
        let map = self.loaded.map("threads");
        for bytes in map.keys().map_err(failed)? {
            let (slot, tid) = thread_key(&bytes);
            let mut thread = abi::Thread::zeroed();
            if map.lookup(&bytes, bytemuck::bytes_of_mut(&mut thread)).map_err(failed)? {
                readings.threads.entry(slot).or_default().push((tid, thread));
            }
        }
        Ok(readings)
    }

    /// How often the process ran into probes since they were placed, by tier.
    pub fn hits(&self, attachment: &Attachment) -> [u64; Tier::ALL.len()] {
        let mut hits = [0; Tier::ALL.len()];
        for (hits, &tier) in hits.iter_mut().zip(Tier::ALL) {
            for key in abi::hits_keys(attachment.slot(), tier) {
                let mut count = [0; 8];
                if self.loaded.map("hits").lookup(&key, &mut count).is_ok() {
                    *hits += u64::from_ne_bytes(count);
                }
            }
        }
        hits
    }

    /// Gives the slow iterations since the last time, of all targets.
    pub fn slow_iterations(&mut self, mut each: impl FnMut(SlowIteration)) {
        self.ring.drain(|record| {
            let Some(record) = record.get(..size_of::<abi::SlowIteration>()) else { return };
            let event: abi::SlowIteration = bytemuck::pod_read_unaligned(record);
            let phases = Phase::ALL.iter().copied().zip(event.phase_ns).filter(|&(_, ns)| ns > 0);
            let mut phases: Vec<(Phase, u64)> = phases.collect();
            phases.sort_by_key(|&(_, ns)| std::cmp::Reverse(ns));
            each(SlowIteration {
                slot: event.slot,
                tid: event.thread,
                loop_address: event.loop_address,
                started: Monotonic::from_ns(event.began_ns),
                ended: Monotonic::from_ns(event.ended_ns),
                phases,
            });
        });
    }

    /// Measurements that were lost since the programs were loaded, by [`ProbeLoss`].
    pub fn losses(&self) -> [u64; ProbeLoss::ALL.len()] {
        let mut losses = [0; ProbeLoss::ALL.len()];
        for (position, lost) in losses.iter_mut().enumerate() {
            let mut count = [0; 8];
            if self.loaded.map("losses").lookup(&(position as u32).to_ne_bytes(), &mut count).is_ok() {
                *lost = u64::from_ne_bytes(count);
            }
        }
        losses
    }
}

fn target(located: &Located, slow_ns: u64) -> abi::Target {
    let part = &located.libuv;
    let (layout, functions) = (&part.image.layout, &part.image.points.work_functions);
    let node = located.classes();
    let classes = &node.image.points.classes;
    let address = |function: Option<u64>| function.map_or(0, |function| part.address(function));
    abi::Target {
        slow_ns,
        work_fs: address(functions.fs),
        work_getaddrinfo: address(functions.getaddrinfo),
        work_getnameinfo: address(functions.getnameinfo),
        work_random: address(functions.random),
        work_queued: address(functions.queue_work),
        classes_start: classes.first().map_or(0, |class| node.address(class.start)),
        classes_end: classes.last().map_or(0, |class| node.address(class.end)),
        internal_fields: layout.loop_internal_fields,
        idle_time: layout.metrics_idle_time.unwrap_or(0),
        events: layout.metrics_events.unwrap_or(0),
        prepare: layout.loop_prepare_handles,
        check: layout.loop_check_handles,
        idle: layout.loop_idle_handles,
        timer_heap: layout.loop_timer_heap,
        due: layout.timer_node_due,
        request_task: layout.work_request_work,
        task_node: layout.work_queue_node,
        ..abi::Target::default()
    }
}

fn thread_key(bytes: &[u8]) -> (u32, u32) {
    let key = u64::from_ne_bytes(bytes.try_into().expect("keys of threads have eight bytes"));
    ((key >> 32) as u32, key as u32)
}

/// The tables by which a duration's bucket is found, as the programs read them.
fn fill_tables(map: &Map) -> io::Result<()> {
    let (first_slots, first_bounds) = histogram::lookup_tables();
    let entries = first_bounds.iter().zip(first_slots).map(|(&bound, &slot)| [bound, u64::from(slot)]);
    let bytes: Vec<u8> = entries.flatten().flat_map(u64::to_ne_bytes).collect();
    map.update(&0u32.to_ne_bytes(), &bytes)
}
