//! The code that a process has mapped, and how to unwind through it.

use std::ops::Range;

use framehop::{MayAllocateDuringUnwind, Module, Unwinder as _, UnwinderNative};
use model::profile::StringId;

use crate::sampler::symbolize::image::Section;
use crate::sampler::symbolize::images::{ImageId, Images};

/// The unwinder of one address space.
pub(crate) type SpaceUnwinder = UnwinderNative<Section, MayAllocateDuringUnwind>;

/// What lies behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Backing {
    /// An object file. Subtract the bias from an address of the process to get the file's.
    Image {
        /// Which.
        image: ImageId,
        /// The difference.
        bias: u64,
    },
    /// Code that the program made.
    Made,
    /// A file that could not be opened.
    Unreadable,
    /// The kernel.
    Kernel,
}

/// A mapping of code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Region {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) file_offset: u64,
    pub(crate) path: StringId,
    pub(crate) backing: Backing,
}

/// An address space.
#[derive(Clone)]
pub(crate) struct Space {
    /// By ascending address, without overlap.
    regions: Vec<Region>,
    unwinder: SpaceUnwinder,
}

impl Space {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self { regions: Vec::new(), unwinder: SpaceUnwinder::new() }
    }

    pub(crate) fn unwinder(&self) -> &SpaceUnwinder {
        &self.unwinder
    }

    /// The region that holds an address.
    pub(crate) fn find(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= address);
        self.regions[..after].last().filter(|region| address < region.end)
    }

    pub(crate) fn len(&self) -> usize {
        self.regions.len()
    }

    /// Whether some code was made by the program.
    pub(crate) fn has_made_code(&self) -> bool {
        self.regions.iter().any(|region| region.backing == Backing::Made)
    }

    /// Whether this very region is mapped.
    pub(crate) fn contains(&self, region: &Region) -> bool {
        self.find(region.start) == Some(region)
    }

    /// Maps a region over whatever was there.
    pub(crate) fn map(&mut self, region: Region, images: &Images) {
        let first = self.regions.partition_point(|it| it.end <= region.start);
        let last = self.regions.partition_point(|it| it.start < region.end);
        let mut replacement = Vec::with_capacity(3);
        for old in &self.regions[first..last.max(first)] {
            self.unwinder.remove_module(old.start);
            let before = Region { end: region.start, ..*old };
            let after = Region {
                start: region.end,
                file_offset: old.file_offset.wrapping_add(region.end.wrapping_sub(old.start)),
                ..*old
            };
            replacement.extend([before, after].into_iter().filter(|rest| rest.start < rest.end));
        }
        replacement.push(region);
        replacement.sort_unstable_by_key(|it| it.start);
        for region in &replacement {
            if let Some(module) = module(region, images) {
                self.unwinder.add_module(module);
            }
        }
        self.regions.splice(first..last.max(first), replacement);
    }
}

fn module(region: &Region, images: &Images) -> Option<Module<Section>> {
    let Backing::Image { image, bias } = region.backing else { return None };
    let image = images.get(image);
    let range: Range<u64> = region.start..region.end;
    // The name is for debugging only.
    Some(Module::new(String::new(), range, bias.wrapping_add(image.base()), image.unwind_sections()))
}
