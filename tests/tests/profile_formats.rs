//! Every output format of `loopscope profile`, of a real program: well-formed, and nothing is missing.

use std::fs;
use std::time::Duration;

use loopscope_tests::fixture::Program;
use loopscope_tests::folder::Folder;
use loopscope_tests::formats::{firefox, folded, pprof, speedscope, svg};
use loopscope_tests::loopscope;
use loopscope_tests::process::run;
use loopscope_tests::recording::Recording;
use loopscope_tests::requirement;

/// Nanoseconds between two samples at the frequency that the harness asks for.
const PERIOD_NS: u64 = 1_000_000_000 / 999;

#[test]
fn folded_stacks_hold_every_sample() {
    let Some((file, samples)) = record("folded") else { return };
    expect_samples(&folded::read(std::str::from_utf8(&file).unwrap()), samples);
}

#[test]
fn pprof_holds_every_sample() {
    let Some((file, samples)) = record("pprof") else { return };
    expect_samples(&pprof::read(&file), samples);
}

#[test]
fn the_firefox_profile_holds_every_sample() {
    let Some((file, samples)) = record("firefox") else { return };
    expect_samples(&firefox::read(&file), samples);
}

#[test]
fn speedscope_holds_every_sample_as_time() {
    let Some((file, samples)) = record("speedscope") else { return };
    let mut recording = speedscope::read(&file);
    for sample in &mut recording.samples {
        assert_eq!(sample.weight % PERIOD_NS, 0, "a weight of whole samples");
        sample.weight /= PERIOD_NS;
    }
    expect_samples(&recording, samples);
}

#[test]
fn the_flamegraph_holds_every_sample() {
    let Some((file, samples)) = record("svg") else { return };
    assert_eq!(svg::total(std::str::from_utf8(&file).unwrap()), samples);
}

/// Records a program from its start to its end. Gives the file, and how many samples the program says there are; `None`
/// after saying that the story is skipped.
#[track_caller]
fn record(format: &str) -> Option<(Vec<u8>, u64)> {
    let program = Program::Service.build()?;
    if !requirement::root() {
        return None;
    }
    let folder = Folder::new(format);
    let output = folder.file("profile");
    let mut command = loopscope::command();
    command.args(["profile", "--frequency", "999", "--format", format, "--output"]).arg(&output);
    let ended = run(command.arg("--").arg(program).arg("2"), Duration::from_secs(60));
    let summary =
        ended.stderr.lines().find_map(|line| line.strip_prefix("loopscope: ")?.split_once(" samples, "));
    let (samples, _) = summary.unwrap_or_else(|| panic!("no summary: {}", ended.stderr));
    Some((fs::read(output).expect("the profile was written"), samples.parse().expect("a number")))
}

#[track_caller]
fn expect_samples(recording: &Recording, samples: u64) {
    assert!(samples > 100, "only {samples} samples of two seconds");
    assert_eq!(recording.total(), samples);
    let whole =
        recording.weight_where(|sample| sample.has("service::main") && sample.has("service::run_jobs"));
    assert!(whole as f64 > 0.9 * samples as f64, "{whole} of {samples} stacks reach main");
}
