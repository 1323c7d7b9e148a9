//! Who counts where: one shard of the segment's allocation cells for each thread that allocates.
//!
//! **Threads.** A shard has one writer at a time: the thread that has [claimed](Claims) it. It does so when it first
//! counts, and gives it back when it ends, after its thread-locals were destroyed. Whoever has no shard adds atomically
//! to the last one, which nobody owns: threads beyond [`SHARDS`], threads that have given their shard back, and a thread
//! while it gets its shard, which is also what ends any recursion.
//!
//! **Before the segment is there**, which is while the first counting thread makes it, everybody adds to [`EARLY`];
//! whoever claims a shard later moves that into the segment.
//!
//! Refused: giving shards back from the destructor of a Rust thread-local, which other destructors outlive.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use model::segment::AllocationCells;

use super::claims::Claims;
use crate::publish;
use crate::sys::threads::AtThreadExit;

/// Shards, and so threads that can count at a time without disturbing each other: 64 KiB of the segment, of which only
/// what is used takes memory. The last one is shared by all who found none.
const SHARDS: u16 = 1024;

type ShardClaims = Claims<{ SHARDS as usize / 64 }>;

/// Bytes allocated, bytes freed, allocations, releases.
type Cells = [AtomicU64; 4];

static EARLY: Cells = [const { AtomicU64::new(0) }; 4];

static CLAIMS: ShardClaims = ShardClaims::new();

static HEAP: OnceLock<Heap> = OnceLock::new();

thread_local! {
    /// Without a destructor, so that it can be used for as long as the thread runs anything at all.
    static OWN: Cell<Option<&'static Cells>> = const { Cell::new(None) };
    static MAY_CLAIM: Cell<bool> = const { Cell::new(true) };
}

struct Heap {
    cells: AllocationCells,
    /// `None` when the process has used up its hooks: then all threads share.
    at_exit: Option<AtThreadExit>,
}

/// What was counted in this process since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes allocated.
    pub allocated_bytes: u64,
    /// Bytes freed.
    pub freed_bytes: u64,
    /// Allocations; a reallocation counts as one allocation and one release.
    pub allocations: u64,
    /// Releases.
    pub releases: u64,
}

/// What was counted so far. All zero where [`super::CountingAllocator`] is not the program's global allocator.
///
/// Never allocates. While other threads allocate, the numbers need not be of one moment.
pub fn counts() -> Counts {
    let shards = HEAP.get().into_iter().flat_map(|heap| heap.cells.shards());
    let mut sums = [0u64; 4];
    for cells in shards.chain([&EARLY]) {
        for (sum, cell) in sums.iter_mut().zip(cells) {
            *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
        }
    }
    let [allocated_bytes, freed_bytes, allocations, releases] = sums;
    Counts { allocated_bytes, freed_bytes, allocations, releases }
}

/// Counts an allocation. Who `waits` leaves it to others to make the segment.
#[inline]
pub(super) fn count_allocation(size: usize, waits: bool) {
    count::<0>(size, waits);
}

/// Counts a release; see [`count_allocation`].
#[inline]
pub(super) fn count_release(size: usize, waits: bool) {
    count::<1>(size, waits);
}

/// Adds to the bytes in cell `SIDE` and to the count two cells on.
#[inline]
fn count<const SIDE: usize>(size: usize, waits: bool) {
    match OWN.get() {
        Some(own) => {
            add_alone(&own[SIDE], size as u64);
            add_alone(&own[SIDE + 2], 1);
        }
        None => count_without_shard(SIDE, size, waits),
    }
}

/// The one writer's addition.
#[inline]
fn add_alone(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

#[cold]
#[inline(never)]
fn count_without_shard(side: usize, size: usize, waits: bool) {
    let cells = claim_once(waits).or_else(shared).unwrap_or(&EARLY);
    cells[side].fetch_add(size as u64, Ordering::Relaxed);
    cells[side + 2].fetch_add(1, Ordering::Relaxed);
}

fn shared() -> Option<&'static Cells> {
    HEAP.get()?.cells.shards().nth(ShardClaims::SHARED)
}

/// A shard for the calling thread, if it has not asked before.
fn claim_once(waits: bool) -> Option<&'static Cells> {
    if !MAY_CLAIM.replace(false) {
        return None;
    }
    let scope = if waits { publish::existing_process_scope() } else { publish::try_process_scope() };
    let Some(scope) = scope else {
        MAY_CLAIM.set(true);
        return None;
    };
    let heap = HEAP.get_or_init(|| Heap {
        cells: scope.allocation_cells(SHARDS),
        at_exit: AtThreadExit::new(give_back).ok(),
    });
    move_early_counts();
    let at_exit = heap.at_exit?;
    let number = CLAIMS.claim()?;
    // The hook's number zero means that there is none.
    if at_exit.leave(number + 1).is_err() {
        CLAIMS.release(number);
        return None;
    }
    OWN.set(heap.cells.shards().nth(number));
    OWN.get()
}

fn move_early_counts() {
    let Some(shared) = shared() else { return };
    for (from, to) in EARLY.iter().zip(shared) {
        // Most threads find nothing, and need not write.
        if from.load(Ordering::Relaxed) != 0 {
            to.fetch_add(from.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// Called when a thread ends that owns a shard. What it still allocates goes to the shared one.
extern "C" fn give_back(hook_number: *mut c_void) {
    OWN.set(None);
    CLAIMS.release(hook_number.addr() - 1);
}
