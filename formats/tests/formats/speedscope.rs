//! speedscope.

use loopscope_formats::speedscope;
use model::profile::{Profile, Weight};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::synthetic::{self, Builder};
use crate::{golden, outside};

fn encoded(profile: &Profile) -> Value {
    let mut file = Vec::new();
    speedscope::encode(profile, &mut file).unwrap();
    serde_json::from_slice(&file).unwrap()
}

#[test]
fn the_small_profile_is_as_blessed() {
    let file = encoded(&synthetic::small_profile());
    golden::expect("small.speedscope.json", &format!("{file:#}\n"));
}

#[test]
fn files_obey_the_schema_that_speedscope_ships() {
    let Some(mut script) = outside::node_script("check_speedscope.js") else { return };
    let any_profile = synthetic::any_profile();
    let mut runner = TestRunner::deterministic();
    let any = (0..50).map(|_| any_profile.new_tree(&mut runner).unwrap().current());
    let profiles = [Profile::default(), synthetic::small_profile()].into_iter().chain(any);
    let files: String = profiles.map(|profile| format!("{}\n", encoded(&profile))).collect();
    outside::output_of(&mut script, files.as_bytes());
}

#[test]
fn equal_samples_in_a_row_are_one_and_others_keep_their_order() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    for function in ["a", "a", "b", "a"] {
        builder.sample(thread, &[function], 2);
    }
    builder.profile.recording.weight = Weight::OffCpuNs;
    let file = encoded(&builder.profile);
    assert_eq!(file["profiles"][0]["samples"], json!([[0], [1], [0]]));
    assert_eq!(file["profiles"][0]["weights"], json!([4, 2, 2]));
    assert_eq!(file["profiles"][0]["endValue"], 8);
}

#[test]
fn units_are_those_of_the_recording() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    builder.sample(thread, &["f"], 5);
    let cases = [
        (Weight::CpuSamples { period_ns: 10 }, "nanoseconds", 50),
        (Weight::OffCpuNs, "nanoseconds", 5),
        (Weight::AllocatedBytes, "bytes", 5),
    ];
    for (weight, unit, value) in cases {
        builder.profile.recording.weight = weight;
        let file = encoded(&builder.profile);
        assert_eq!(
            (&file["profiles"][0]["unit"], &file["profiles"][0]["weights"]),
            (&json!(unit), &json!([value]))
        );
    }
}

#[test]
fn the_busiest_thread_is_shown_first() {
    let mut builder = Builder::default();
    for (tid, weight) in [(1, 1), (2, 9), (3, 2)] {
        let thread = builder.thread(1, tid, "t");
        builder.sample(thread, &["f"], weight);
    }
    assert_eq!(encoded(&builder.profile)["activeProfileIndex"], 1);
}

proptest! {
    #[test]
    fn every_stack_comes_back_with_its_names(profile in synthetic::any_profile()) {
        let file = encoded(&profile);
        let name = |frame: &Value| file["shared"]["frames"][frame.as_u64().unwrap() as usize]["name"].as_str().unwrap();
        let mut stacks: Vec<Vec<&str>> = Vec::new();
        for thread in file["profiles"].as_array().unwrap() {
            let samples = thread["samples"].as_array().unwrap();
            prop_assert_eq!(samples.len(), thread["weights"].as_array().unwrap().len());
            stacks.extend(samples.iter().map(|stack| stack.as_array().unwrap().iter().map(name).collect()));
        }
        for sample in &profile.samples {
            let stack: Vec<_> = profile.frames_of(sample.stack).iter().map(|&frame| profile.frame_name(frame)).collect();
            prop_assert!(stacks.contains(&stack));
        }
    }
}
