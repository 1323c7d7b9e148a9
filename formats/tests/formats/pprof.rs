//! pprof.

use std::collections::HashMap;
use std::fmt::Write;
use std::io::Read;

use flate2::read::GzDecoder;
use loopscope_formats::pprof;
use model::profile::{Profile, Weight};
use proptest::prelude::*;
use prost::Message;

use crate::synthetic::{self, Builder};
use crate::{golden, outside};

#[path = "../../src/pprof/wire.rs"]
mod wire;

fn encoded(profile: &Profile) -> Vec<u8> {
    let mut file = Vec::new();
    pprof::encode(profile, &mut file).unwrap();
    file
}

fn decoded(profile: &Profile) -> wire::Profile {
    let mut message = Vec::new();
    GzDecoder::new(&*encoded(profile)).read_to_end(&mut message).unwrap();
    wire::Profile::decode(&*message).unwrap()
}

/// The profile as `tests/outside/read_pprof.js` prints it.
fn printed(profile: &wire::Profile) -> String {
    let text = |id: i64| profile.string_table[id as usize].as_str();
    let kind = |value: &wire::ValueType| format!("{}/{}", text(value.kind), text(value.unit));
    let locations: HashMap<_, _> = profile.location.iter().map(|location| (location.id, location)).collect();
    let functions: HashMap<_, _> = profile.function.iter().map(|function| (function.id, function)).collect();
    let mut out = String::new();
    let mut line = |line: String| writeln!(out, "{line}").unwrap();

    profile.sample_type.iter().for_each(|value| line(format!("sample_type {}", kind(value))));
    line(format!("default_sample_type {}", text(profile.default_sample_type)));
    line(format!("time {} duration {}", profile.time_nanos, profile.duration_nanos));
    profile.period_type.iter().for_each(|value| line(format!("period {} {}", profile.period, kind(value))));
    profile.comment.iter().for_each(|comment| line(format!("comment {}", text(*comment))));
    for mapping in &profile.mapping {
        let wire::Mapping { id, memory_start, memory_limit, file_offset, .. } = mapping;
        let (file, build_id) = (text(mapping.filename), text(mapping.build_id));
        line(format!(
            "mapping {id} {memory_start:#x}-{memory_limit:#x} at {file_offset:#x} {file} {build_id}"
        ));
    }
    for sample in &profile.sample {
        let values: Vec<_> = sample.value.iter().map(i64::to_string).collect();
        let labels: Vec<_> = sample
            .label
            .iter()
            .map(|label| match label.str {
                0 => format!("{}={}", text(label.key), label.num),
                str => format!("{}={}", text(label.key), text(str)),
            })
            .collect();
        line(format!("sample {} {}", values.join(" "), labels.join(" ")));
        for id in &sample.location_id {
            let location = locations[id];
            line(format!("  {:#x} mapping {}", location.address, location.mapping_id));
            for called in &location.line {
                let function = functions[&called.function_id];
                line(format!("    {} {}:{}", text(function.name), text(function.filename), called.line));
            }
        }
    }
    out
}

#[test]
fn the_small_profile_is_as_blessed() {
    golden::expect("small.pprof.txt", &printed(&decoded(&synthetic::small_profile())));
}

#[test]
fn another_decoder_reads_the_same() {
    let Some(mut script) = outside::node_script("read_pprof.js") else { return };
    let profile = synthetic::small_profile();
    assert_eq!(outside::output_of(&mut script, &encoded(&profile)), printed(&decoded(&profile)));
}

#[test]
fn units_are_those_of_the_recording() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    builder.sample(thread, &["f"], 5);
    builder.sample(thread, &["f"], 2);
    let cases = [
        (Weight::CpuSamples { period_ns: 10 }, "cpu/nanoseconds", [7, 70]),
        (Weight::OffCpuNs, "off_cpu/nanoseconds", [2, 7]),
        (Weight::AllocatedBytes, "alloc_space/bytes", [2, 7]),
    ];
    for (weight, unit, values) in cases {
        builder.profile.recording.weight = weight;
        let profile = decoded(&builder.profile);
        assert!(printed(&profile).starts_with(&format!("sample_type samples/count\nsample_type {unit}\n")));
        assert_eq!(profile.sample[0].value, values);
    }
}

#[test]
fn a_profile_without_samples_is_well_formed() {
    let profile = decoded(&Profile::default());
    assert_eq!((profile.sample.len(), profile.sample_type.len()), (0, 2));
    assert_eq!(profile.string_table[0], "");
}

proptest! {
    #[test]
    fn every_sample_comes_back_with_its_names(profile in synthetic::any_profile()) {
        let read = decoded(&profile);
        let names: HashMap<_, _> =
            read.function.iter().map(|function| (function.id, &read.string_table[function.name as usize])).collect();
        let lines: HashMap<_, _> = read.location.iter().map(|location| (location.id, &location.line)).collect();
        let mut stacks: Vec<(Vec<&str>, u64)> = Vec::new();
        for sample in &read.sample {
            let functions = sample.location_id.iter().rev().flat_map(|id| lines[id].iter().rev());
            stacks.push((functions.map(|line| names[&line.function_id].as_str()).collect(), sample.value[0] as u64));
        }
        for sample in &profile.samples {
            let stack: Vec<_> = profile.frames_of(sample.stack).iter().map(|&frame| profile.frame_name(frame)).collect();
            prop_assert!(stacks.iter().any(|(read, _)| *read == stack));
        }
        prop_assert_eq!(stacks.iter().map(|(_, weight)| weight).sum::<u64>(), profile.total_weight());
    }
}
