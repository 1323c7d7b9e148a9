//! The frames of each location: one for each function there, or one that says where a nameless address lies.

use model::profile::{Frame, FrameId, FrameKind, Mapping, MappingId, Profile, StringId};
use rustc_hash::FxHashMap;

use super::names::Names;
use super::origins::{Origin, Origins};
use super::raw::{Location, OriginId};
use crate::sampler::process::Backing;
use crate::sampler::symbolize::images::Images;

/// The frames of all locations.
pub(super) struct LocationFrames {
    frames: Vec<FrameId>,
    ends: Vec<u32>,
}

impl LocationFrames {
    /// The frames of a location, from the outermost to the innermost; empty where nothing was mapped.
    pub(super) fn of(&self, location: u32) -> &[FrameId] {
        let start = location.checked_sub(1).map_or(0, |before| self.ends[before as usize]);
        &self.frames[start as usize..self.ends[location as usize] as usize]
    }

    /// Adds the frames of all locations to the profile.
    pub(super) fn build(
        locations: &[Location],
        names: &Names<'_>,
        origins: &Origins,
        images: &Images,
        profile: &mut Profile,
    ) -> Self {
        let mut mappings = Mappings { origins, images, rows: vec![None; origins.rows.len()] };
        let mut strings: FxHashMap<(usize, StringId), StringId> = FxHashMap::default();
        let mut built = Self { frames: Vec::new(), ends: Vec::with_capacity(locations.len()) };
        for (index, location) in locations.iter().enumerate() {
            if let Some(origin) = location.origin {
                let backing = origins.rows[origin.0 as usize].region.backing;
                let mapping = mappings.row(origin, profile);
                let nameless = Frame {
                    kind: FrameKind::Unknown,
                    function: StringId::default(),
                    file: StringId::default(),
                    line: 0,
                    mapping: Some(mapping),
                    address: location.address,
                    inlined: false,
                };
                match names.of(index as u32) {
                    Some((answer, symbols, places)) if !places.is_empty() => {
                        for place in places {
                            let mut text = |id| {
                                let intern = || profile.strings.intern(symbols.strings.get(id));
                                *strings.entry((answer, id)).or_insert_with(intern)
                            };
                            let (function, file) = (text(place.function), text(place.file));
                            let (kind, line, inlined) = (kind(backing), place.line, place.inlined);
                            let frame = Frame { kind, function, file, line, inlined, ..nameless };
                            built.frames.push(profile.frames.intern(frame));
                        }
                    }
                    _ => {
                        let kind = match kind(backing) {
                            FrameKind::Native => FrameKind::Unknown,
                            known => known,
                        };
                        let name = name_of_nameless(profile.text(profile.mappings.get(mapping).path));
                        let function = profile.strings.intern(&name);
                        built.frames.push(profile.frames.intern(Frame { kind, function, ..nameless }));
                    }
                }
            }
            built.ends.push(built.frames.len() as u32);
        }
        built
    }
}

/// The profile's mappings, by origin.
struct Mappings<'a> {
    origins: &'a Origins,
    images: &'a Images,
    rows: Vec<Option<MappingId>>,
}

impl Mappings<'_> {
    fn row(&mut self, origin: OriginId, profile: &mut Profile) -> MappingId {
        let index = origin.0 as usize;
        let Origin { region, .. } = self.origins.rows[index];
        *self.rows[index].get_or_insert_with(|| {
            let build_id = match region.backing {
                Backing::Image { image, .. } => profile.strings.intern(&self.images.get(image).build_id),
                Backing::Made | Backing::Unreadable | Backing::Kernel => StringId::default(),
            };
            let path = match region.backing {
                Backing::Kernel => profile.strings.intern("[kernel]"),
                Backing::Made => profile.strings.intern("[jit]"),
                Backing::Image { .. } | Backing::Unreadable => region.path,
            };
            profile.mappings.intern(Mapping {
                path,
                build_id,
                start: region.start,
                end: region.end,
                file_offset: region.file_offset,
            })
        })
    }
}

fn kind(backing: Backing) -> FrameKind {
    match backing {
        Backing::Image { .. } => FrameKind::Native,
        Backing::Kernel => FrameKind::Kernel,
        Backing::Made => FrameKind::Jit,
        Backing::Unreadable => FrameKind::Unknown,
    }
}

/// The mapping's file in brackets, for want of a better name.
fn name_of_nameless(path: &str) -> String {
    let file = path.strip_suffix(" (deleted)").unwrap_or(path);
    let file = file.rsplit('/').next().unwrap_or(file);
    match file {
        "" => "[unknown]".to_owned(),
        _ if file.starts_with('[') => file.to_owned(),
        _ => format!("[{file}]"),
    }
}
