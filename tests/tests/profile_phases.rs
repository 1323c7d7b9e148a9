//! `loopscope profile` puts stacks under the phase of the loop that they fell in: of programs on our runtime, and of
//! Node.js as it comes.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use loopscope_tests::deadline::SOON;
use loopscope_tests::fixture::Program;
use loopscope_tests::folder::Folder;
use loopscope_tests::formats::pprof;
use loopscope_tests::http::Load;
use loopscope_tests::loopscope::{self, Demo};
use loopscope_tests::process::Guarded;
use loopscope_tests::recording::{Recording, Sample};
use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, requirement};

/// How long a story records.
const SECONDS: u32 = 4;

#[test]
fn the_demo_blocks_its_loop_in_poll_callbacks_and_hashes_outside_of_the_loop() {
    if !requirement::root() {
        return;
    }
    let demo = Demo::start(&["--rate", "0", "--block", "20ms"]);
    let load = Load::start(demo.address(), &["/block", "/hash", "/fast", "/file"], 3, Duration::ZERO);
    load.wait_for_answers(10);
    let recording = record(demo.pid());
    load.stop();

    expect_phase(&recording, "block_the_loop", Some("[poll callbacks]"));
    expect_phase(&recording, "stretch", None);
}

#[test]
fn node_runs_each_callback_in_its_phase() {
    if !requirement::root() {
        return;
    }
    let Some(node) = requirement::program("node") else { return };
    // With this option V8 writes a log into the folder that it runs in.
    let folder = Folder::new("node");
    let mut command = Command::new(node);
    command.arg("--perf-basic-prof").arg(fixture::path("node/phases.js")).current_dir(folder.path());
    let mut program = Guarded::start(&mut command);
    program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    let recording = record(program.pid());
    let _ = fs::remove_file(format!("/tmp/perf-{}.map", program.pid()));

    for (function, phase) in [
        ("inTimer", "[timers]"),
        ("inImmediate", "[check]"),
        ("inPollCallback", "[poll callbacks]"),
        ("inTick", "[ticks]"),
        ("inMicrotask", "[microtasks]"),
    ] {
        expect_phase(&recording, function, Some(phase));
    }
}

#[test]
fn a_library_that_names_only_its_public_functions_runs_each_callback_in_its_phase() {
    if !requirement::root() {
        return;
    }
    let Some(program) = Program::Phases.build() else { return };
    let mut program = Truthful::start(&mut Command::new(program));
    let pid = program.pid().parse().expect("a number");
    let recording = thread::scope(|scope| {
        let recording = scope.spawn(|| record(pid));
        while !recording.is_finished() {
            program.go();
        }
        recording.join().expect("it is recorded")
    });

    for (function, phase, of_libuv) in [
        ("step", Some("[timers]"), "uv__run_timers"),
        ("run_check", Some("[check]"), "uv__run_check"),
        ("after_stat", Some("[poll callbacks]"), "uv__io_poll"),
        ("do_work", None, "worker"),
    ] {
        expect_phase(&recording, function, phase);
        let within = |sample: &&Sample| runs(sample, function) && runs(sample, of_libuv);
        assert!(recording.samples.iter().any(|sample| within(&sample)), "{function} is not in {of_libuv}");
    }
}

#[track_caller]
fn record(pid: u32) -> Recording {
    let folder = Folder::new("phases");
    let output = folder.file("profile.pb.gz");
    loopscope::profile(pid, SECONDS, "pprof", &output);
    pprof::read(&fs::read(output).expect("the profile was written"))
}

/// Expects that a function was seen, and always under this phase.
#[track_caller]
fn expect_phase(recording: &Recording, function: &str, phase: Option<&str>) {
    let samples: Vec<_> = recording.samples.iter().filter(|sample| runs(sample, function)).collect();
    let seen: u64 = samples.iter().map(|sample| sample.weight).sum();
    assert!(seen > 50, "{seen} samples in {function}");
    for sample in samples {
        assert_eq!(phase_of(sample), phase, "{function} in {sample:#?}");
    }
}

/// Whether a function is on the stack, by its name without module and parameters, and without V8's mark of the compiler.
fn runs(sample: &Sample, function: &str) -> bool {
    sample.functions().any(|name| {
        let name = name.trim_start_matches(['*', '+', '^', '~']);
        name == function || name.ends_with(&format!("::{function}"))
    })
}

/// The phase that a stack stands under: its outermost frame.
fn phase_of(sample: &Sample) -> Option<&str> {
    let outermost = sample.frames.last()?.function.as_str();
    (outermost.starts_with('[') && outermost.ends_with(']')).then_some(outermost)
}
