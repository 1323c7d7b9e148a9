//! The Firefox Profiler's processed profile format: structure, as its types ask for it.

use loopscope_formats::firefox;
use model::profile::{Profile, Weight};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::golden;
use crate::synthetic::{self, Builder};

fn encoded(profile: &Profile) -> Value {
    let mut file = Vec::new();
    firefox::encode(profile, &mut file).unwrap();
    serde_json::from_slice(&file).unwrap()
}

/// A table's columns, which must all have the length that the table states.
fn columns(table: &Value) -> usize {
    let length = table["length"].as_u64().unwrap() as usize;
    for (name, column) in table.as_object().unwrap() {
        if let Some(column) = column.as_array() {
            assert_eq!(column.len(), length, "{name}");
        }
    }
    length
}

/// Every position in this column is one of the other table, or the value that stands for none.
fn expect_positions(column: &Value, length: usize, none: &Value) {
    for position in column.as_array().unwrap() {
        assert!(position == none || position.as_u64().is_some_and(|at| at < length as u64), "{position}");
    }
}

fn expect_well_formed(file: &Value) {
    let shared = &file["shared"];
    let lengths = |name: &str| columns(&shared[name]);
    let [stacks, frames, functions, resources, sources] =
        ["stackTable", "frameTable", "funcTable", "resourceTable", "sources"].map(lengths);
    let strings = shared["stringArray"].as_array().unwrap().len();
    let never = json!("no value");

    expect_positions(&shared["stackTable"]["frame"], frames, &never);
    for (at, offset) in shared["stackTable"]["prefixOffset"].as_array().unwrap().iter().enumerate() {
        assert!(offset.as_u64().unwrap() <= at as u64);
    }
    expect_positions(&shared["frameTable"]["func"], functions, &never);
    expect_positions(&shared["funcTable"]["name"], strings, &never);
    expect_positions(&shared["funcTable"]["resource"], resources, &json!(-1));
    expect_positions(&shared["funcTable"]["source"], sources, &Value::Null);
    expect_positions(&shared["resourceTable"]["name"], strings, &never);
    expect_positions(&shared["sources"]["filename"], strings, &never);

    let categories = file["meta"]["categories"].as_array().unwrap();
    assert!(categories.iter().any(|category| category["color"] == "grey"));
    let frame_categories = shared["frameTable"]["category"].as_array().unwrap();
    for (category, subcategory) in
        frame_categories.iter().zip(shared["frameTable"]["subcategory"].as_array().unwrap())
    {
        let category = &categories[category.as_u64().unwrap() as usize];
        assert!(category["subcategories"][subcategory.as_u64().unwrap() as usize].is_string());
    }
    for thread in file["threads"].as_array().unwrap() {
        columns(&thread["samples"]);
        columns(&thread["markers"]);
        expect_positions(&thread["samples"]["stack"], stacks, &Value::Null);
        assert!(
            thread["samples"]["time"].as_array().unwrap().is_sorted_by_key(|time| time.as_f64().unwrap())
        );
    }
}

/// The functions of a stack, outermost first.
fn functions(file: &Value, stack: &Value) -> Vec<String> {
    let shared = &file["shared"];
    let at = |table: &str, column: &str, row: u64| shared[table][column][row as usize].as_u64().unwrap();
    let mut names = Vec::new();
    let mut next = stack.as_u64();
    while let Some(stack) = next {
        let function = at("frameTable", "func", at("stackTable", "frame", stack));
        let name = at("funcTable", "name", function);
        names.push(shared["stringArray"][name as usize].as_str().unwrap().to_owned());
        next = Some(at("stackTable", "prefixOffset", stack))
            .filter(|&offset| offset > 0)
            .map(|offset| stack - offset);
    }
    names.reverse();
    names
}

#[test]
fn the_small_profile_is_as_blessed() {
    let file = encoded(&synthetic::small_profile());
    expect_well_formed(&file);
    golden::expect("small.firefox.json", &format!("{file:#}\n"));
}

#[test]
fn a_profile_without_samples_is_well_formed() {
    expect_well_formed(&encoded(&Profile::default()));
}

#[test]
fn weights_are_in_the_unit_of_the_recording() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    builder.sample(thread, &["f"], 5_000_000);
    let cases = [
        (Weight::CpuSamples { period_ns: 10 }, "samples", json!(5_000_000)),
        (Weight::OffCpuNs, "tracing-ms", json!(5)),
        (Weight::AllocatedBytes, "bytes", json!(5_000_000)),
    ];
    for (weight, kind, value) in cases {
        builder.profile.recording.weight = weight;
        let samples = &encoded(&builder.profile)["threads"][0]["samples"];
        assert_eq!((&samples["weightType"], &samples["weight"][0]), (&json!(kind), &value));
    }
}

#[test]
fn times_are_milliseconds_since_the_beginning() {
    let mut builder = Builder::default();
    let thread = builder.thread(1, 1, "t");
    builder.sample(thread, &["f"], 1);
    builder.sample(thread, &["f"], 1);
    assert_eq!(encoded(&builder.profile)["threads"][0]["samples"]["time"], json!([1, 2]));
}

#[test]
fn a_process_that_changed_its_name_has_one_main_thread() {
    let mut builder = Builder::default();
    for name in ["sh", "node"] {
        let thread = builder.thread(7, 7, name);
        builder.sample(thread, &["f"], 1);
    }
    let file = encoded(&builder.profile);
    let main = |at: usize| file["threads"][at]["isMainThread"].as_bool().unwrap();
    assert_eq!((main(0), main(1)), (false, true));
}

proptest! {
    #[test]
    fn every_sample_comes_back_with_its_names(profile in synthetic::any_profile()) {
        let file = encoded(&profile);
        expect_well_formed(&file);
        let mut read = Vec::new();
        for thread in file["threads"].as_array().unwrap() {
            let stacks = thread["samples"]["stack"].as_array().unwrap();
            read.extend(stacks.iter().map(|stack| (thread["tid"].as_u64().unwrap(), functions(&file, stack))));
        }
        let expected = profile.samples.iter().map(|sample| {
            let names = profile.frames_of(sample.stack).iter().map(|&frame| profile.frame_name(frame).to_owned()).collect();
            (u64::from(profile.threads[sample.thread.0 as usize].tid), names)
        });
        let mut expected: Vec<(u64, Vec<String>)> = expected.collect();
        expected.sort_by_key(|(tid, _)| *tid);
        prop_assert_eq!(read, expected);
    }
}
