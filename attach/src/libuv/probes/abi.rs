//! The structures that the BPF programs share with us; see `attach/bpf/libuv.bpf.c`.

use bytemuck::{Pod, Zeroable};
use model::histogram::SLOTS;
use model::label::Tier;

use super::Begun;

/// Targets that can be probed at the same time.
pub(super) const TARGETS_MAX: usize = 1024;

/// How many times over hits are counted, each time for other processors.
const LANES: u32 = 4;

/// Phases that the programs tell apart: the first of the catalogue's.
pub(super) const PHASES: usize = 8;

/// Bytes of the ring of slow iterations.
pub(super) const RING_BYTES: usize = 256 * 1024;

/// The kinds of garbage collections that V8 tells apart.
pub(super) const GC_KINDS: u32 = 3;

pub(super) const LAG: u32 = 0;
pub(super) const LATENESS: u32 = 1;
pub(super) const PHASE_0: u32 = 2;
pub(super) const GC_0: u32 = PHASE_0 + PHASES as u32;
pub(super) const WAIT: u32 = GC_0 + GC_KINDS;
pub(super) const RUN: u32 = WAIT + 1;
pub(super) const COMPLETION: u32 = WAIT + 2;
pub(super) const CANCELLED: u32 = WAIT + 3;

/// The phase of a thread that is in none that is known.
const UNKNOWN: u32 = 255;

pub(super) const CLASS_FS: u64 = 1;
pub(super) const CLASS_DNS: u64 = 2;
pub(super) const CLASS_RANDOM: u64 = 3;

/// `struct target`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Target {
    pub(super) slow_ns: u64,
    pub(super) work_fs: u64,
    pub(super) work_getaddrinfo: u64,
    pub(super) work_getnameinfo: u64,
    pub(super) work_random: u64,
    pub(super) work_queued: u64,
    pub(super) classes_start: u64,
    pub(super) classes_end: u64,
    pub(super) internal_fields: u32,
    pub(super) idle_time: u32,
    pub(super) events: u32,
    pub(super) prepare: u32,
    pub(super) check: u32,
    pub(super) idle: u32,
    pub(super) timer_heap: u32,
    pub(super) due: u32,
    pub(super) request_task: u32,
    pub(super) task_node: u32,
    pub(super) placement: u32,
    pub(super) unused: u32,
}

/// `struct thread`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Thread {
    pub(super) loop_address: u64,
    pub(super) stack: u64,
    pub(super) internal: u64,
    pub(super) entered_ns: u64,
    pub(super) idle_before_ns: u64,
    pub(super) events_before: u64,
    pub(super) waited_ns: u64,
    pub(super) active_ns: u64,
    pub(super) idle_ns: u64,
    pub(super) iterations: u64,
    pub(super) slow: u64,
    pub(super) mark_ns: u64,
    pub(super) phase_ns: [u64; PHASES],
    pub(super) gc_began_ns: u64,
    pub(super) gc_stack: u64,
    pub(super) cancelling: u64,
    pub(super) slot: u32,
    pub(super) tid: u32,
    pub(super) phase: u32,
    pub(super) ran: u32,
    pub(super) keeps_idle: u32,
    pub(super) gc_kind: u32,
    pub(super) gc_depth: u32,
    pub(super) nested: u32,
    pub(super) idle_ran: u32,
    pub(super) prepare_ran: u32,
}

/// Where on its stack a thread's loop runs, before it came by a probe.
const ANYWHERE: u64 = u64::MAX;

impl Thread {
    /// A thread with a loop that has not come by a probe yet.
    pub(super) fn told(slot: u32, begun: &Begun) -> Self {
        let mut thread = Self { slot, tid: begun.tid, ..Self::zeroed() };
        thread.tell_loop(begun);
        thread
    }

    /// Has another loop from now on, which has not come by a probe yet.
    pub(super) fn tell_loop(&mut self, begun: &Begun) {
        (self.loop_address, self.stack, self.internal) = (begun.loop_address, ANYWHERE, begun.internal);
        (self.active_ns, self.idle_ns, self.iterations, self.slow) = (0, 0, 0, 0);
        self.keeps_idle = u32::from(begun.keeps_idle);
        self.begin_anew();
        self.tell_iteration(begun);
    }

    /// Is in an iteration that began before probes were placed.
    pub(super) fn tell_iteration(&mut self, begun: &Begun) {
        self.entered_ns = begun.entered_ns.unwrap_or(0);
        (self.idle_before_ns, self.events_before) = (begun.idle_ns, begun.events);
    }

    /// Forgets the iteration, and what it was in.
    pub(super) fn begin_anew(&mut self) {
        (self.entered_ns, self.waited_ns, self.mark_ns, self.gc_began_ns) = (0, 0, 0, 0);
        (self.phase, self.ran, self.gc_depth) = (UNKNOWN, 0, 0);
        self.phase_ns = [0; PHASES];
    }
}

/// `struct histogram`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Histogram {
    pub(super) sum_ns: u64,
    pub(super) zeros: u64,
    pub(super) slots: [u64; SLOTS],
}

/// `struct histogram_key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct HistogramKey {
    pub(super) slot: u32,
    pub(super) thread: u32,
    pub(super) which: u32,
    pub(super) unused: u32,
    pub(super) class: u64,
}

impl HistogramKey {
    /// The thread whose figures these are; none for those of the pool.
    pub(super) fn thread(&self) -> Option<u32> {
        (!matches!(self.which, WAIT | RUN | CANCELLED)).then_some(self.thread)
    }
}

/// `struct slow_iteration`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct SlowIteration {
    pub(super) loop_address: u64,
    pub(super) began_ns: u64,
    pub(super) ended_ns: u64,
    pub(super) phase_ns: [u64; PHASES],
    pub(super) slot: u32,
    pub(super) thread: u32,
}

/// The positions of a target's counters of hits.
pub(super) fn hits_keys(slot: u32, tier: Tier) -> impl Iterator<Item = [u8; 4]> {
    let tiers = Tier::ALL.len() as u32;
    (0..LANES).map(move |lane| ((lane * TARGETS_MAX as u32 + slot) * tiers + tier as u32).to_ne_bytes())
}
