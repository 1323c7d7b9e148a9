//! The end of a conversion: each address gets its names, each stack its frames and its phase.

use std::collections::BTreeSet;

use model::profile::{Profile, Sample};

use super::frames::LocationFrames;
use super::locations::Locations;
use super::names::{Names, Source};
use super::origins::Origins;
use super::raw::Location;
use super::stacks::StackBuilder;
use super::{Conversion, Converter, Note, RawSample};
use crate::sampler::process::Backing;
use crate::sampler::symbolize::images::Images;

/// Converts what was taken so far. Images, origins and names stay, for whatever is recorded next.
pub(super) fn finish(converter: &mut Converter) -> Conversion {
    let Converter { proc_dir, profile, images, kernel, stacks, samples, origins, known, last_event, .. } =
        converter;
    let mut profile = std::mem::take(profile);
    let nodes = std::mem::take(stacks).into_nodes();
    let locations = Locations::of(&nodes);
    origins.perf_maps.iter_mut().for_each(|map| map.open(proc_dir));

    let names = known.look_up(&locations.rows, origins, images, kernel, proc_dir);
    let notes = notes(&locations.rows, &names, origins, images, &profile);
    let frames = LocationFrames::build(&locations.rows, &names, origins, images, &mut profile);

    let mut builder = StackBuilder::new(&locations, &nodes, &frames, &profile);
    let convert = |sample: RawSample| Sample {
        time: sample.time,
        thread: sample.thread,
        stack: sample.stack.and_then(|innermost| builder.stack(innermost, &mut profile)),
        weight: sample.weight,
    };
    let mut samples: Vec<Sample> = std::mem::take(samples).into_iter().map(convert).collect();
    if !samples.is_sorted_by_key(|sample| sample.time) {
        samples.sort_by_key(|sample| sample.time);
    }
    profile.samples = samples;
    let recording = &mut profile.recording;
    if recording.duration_ns == 0 {
        recording.duration_ns = last_event.since_ns(recording.started);
    }
    Conversion { profile, notes }
}

fn notes(
    locations: &[Location],
    names: &Names<'_>,
    origins: &Origins,
    images: &Images,
    profile: &Profile,
) -> Vec<Note> {
    let mut notes = Vec::new();
    for (source, answer) in names.answers() {
        if let Some(kptr_restrict) = answer.kernel_hidden.clone() {
            notes.push(Note::KernelSymbolsHidden { kptr_restrict });
        }
        if let Source::Image(id) = source
            && answer.symbols.stripped
        {
            let image = images.get(id);
            let path = image.path.as_ref().map_or_else(String::new, |path| path.display().to_string());
            notes.push(Note::Stripped { path, build_id: image.build_id.clone() });
        }
        let Source::PerfMap(map) = source else { continue };
        let map = &origins.perf_maps[map];
        let path = profile.text(map.program);
        let program = path.rsplit('/').next().unwrap_or(path).to_owned();
        if !map.is_open() {
            notes.push(Note::JitWithoutNames { pid: map.pid, program });
        } else if answer.cut {
            notes.push(Note::PerfMapCut { pid: map.pid });
        }
    }
    let sampled = locations.iter().filter_map(|location| location.origin);
    let regions = sampled.map(|origin| origins.rows[origin.0 as usize].region);
    let unreadable: BTreeSet<&str> = regions
        .filter(|region| region.backing == Backing::Unreadable)
        .map(|region| profile.text(region.path))
        .collect();
    notes.extend(unreadable.into_iter().map(|path| Note::FileUnreadable { path: path.to_owned() }));
    notes
}
