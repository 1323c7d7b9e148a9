//! What code was mapped from: a file, the kernel, or nothing but the program's own making.

use std::path::Path;

use model::profile::StringId;
use rustc_hash::FxHashMap;

use super::raw::OriginId;
use crate::sampler::process::{Backing, Process, Region};
use crate::sampler::symbolize::kernel::KERNEL_START;
use crate::sampler::symbolize::perf_map::PerfMap;

/// The kernel, as a region.
const KERNEL: Region = Region {
    start: KERNEL_START,
    end: u64::MAX,
    file_offset: 0,
    path: StringId(0),
    backing: Backing::Kernel,
};

/// Where code was mapped from, in all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) region: Region,
    /// The position of the map that names the code, where the program made it.
    pub(super) perf_map: Option<usize>,
}

/// Origins, each held once, and the maps that some of them have.
#[derive(Default)]
pub(super) struct Origins {
    pub(super) rows: Vec<Origin>,
    by_row: FxHashMap<Origin, OriginId>,
    pub(super) perf_maps: Vec<PerfMap>,
}

impl Origins {
    /// Where an address of the kernel or of the process was mapped from; `None` where nothing was.
    pub(super) fn of(
        &mut self,
        address: u64,
        process: &mut Process,
        pid: u32,
        proc_dir: &Path,
    ) -> Option<OriginId> {
        if address >= KERNEL_START {
            return Some(self.intern(Origin { region: KERNEL, perf_map: None }));
        }
        let region = *process.space.find(address)?;
        let perf_map = (region.backing == Backing::Made).then(|| {
            let map = *process.perf_map.get_or_insert_with(|| {
                self.perf_maps.push(PerfMap::new(pid, process.program));
                self.perf_maps.len() - 1
            });
            self.perf_maps[map].open_sometimes(proc_dir);
            map
        });
        Some(self.intern(Origin { region, perf_map }))
    }

    fn intern(&mut self, origin: Origin) -> OriginId {
        *self.by_row.entry(origin).or_insert_with(|| {
            self.rows.push(origin);
            OriginId(self.rows.len() as u32 - 1)
        })
    }
}
