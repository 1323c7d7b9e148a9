//! `loopscope profile` beside `perf record`, both on the same process at the same time: the same functions are as hot.
//!
//! Both sample on the software clock, a thousand times a second of CPU time; what difference is allowed, and why, stands in
//! [`comparison`].

use std::process::Command;
use std::time::Duration;

use loopscope_tests::aliases::Aliases;
use loopscope_tests::comparison::{self, SelfTime, expect_same};
use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::fixture::{self, Program};
use loopscope_tests::folder::Folder;
use loopscope_tests::formats::pprof;
use loopscope_tests::http::{Load, loopback};
use loopscope_tests::loopscope::{self, Demo};
use loopscope_tests::perf::Perf;
use loopscope_tests::process::Guarded;
use loopscope_tests::recording::{Recording, Sample};
use loopscope_tests::requirement;

/// Perf's; ours is 999.
const PERF_FREQUENCY_HZ: u32 = 997;

/// How long the shortest story records: some thousand samples.
const SECONDS: u32 = 6;

/// Programs end by themselves after this long, should a story fail to end them.
const PROGRAM_SECONDS: &str = "60";

#[test]
fn a_c_program_without_frame_pointers() {
    let Some((ours, perf)) = record_program(Program::Leaves) else { return };
    let (own, _) = expect_same_self_time(&ours, &perf);

    // What the program says of itself. The rest of its time is spent on the way to the leaves.
    let leaves = [("leaf_in_chain", 0.6), ("leaf_in_recursion", 0.3), ("leaf_direct", 0.1)];
    let all: f64 = leaves.iter().map(|(leaf, _)| own.share(leaf)).sum();
    assert!(all > 0.9, "the leaves have {all} of all samples");
    for (leaf, expected) in leaves {
        let share = own.share(leaf) / all;
        let error = comparison::SIGMAS * (expected * (1.0 - expected) / own.total() as f64).sqrt();
        // Leaving and entering a leaf takes time, too; the direct one is entered most for its time.
        assert!((share - expected).abs() < error + 0.02, "{leaf}: {share}, expected {expected} ± {error}");
    }

    let chain: Vec<_> = (1..=8).rev().map(|number| format!("chain_{number}")).collect();
    let below_chain: Vec<_> = chain.iter().map(String::as_str).chain(["work", "main"]).collect();
    expect_callers(&ours, "leaf_in_chain", &below_chain);
    expect_callers(&ours, "leaf_direct", &["work", "main"]);
    expect_callers(&ours, "leaf_in_recursion", &["recurse"]);
    for sample in samples_in(&ours, "leaf_in_recursion") {
        let depth = sample.functions().filter(|function| *function == "recurse").count();
        assert!((21..=40).contains(&depth), "{depth} calls of recurse");
        assert!(sample.has("main"), "{sample:?}");
    }
}

#[test]
fn a_cpp_program_with_templates() {
    let Some((ours, perf)) = record_program(Program::Templates) else { return };
    expect_same_self_time(&ours, &perf);
    // Demanglers spell the number of rounds differently.
    let is_mix = |name: &str| name.starts_with("shop::Mixer<unsigned int, ") && name.ends_with(">::mix");
    let is_run = |name: &str| name.starts_with("shop::Mixing<") && name.ends_with(">::run");
    let mixing = |sample: &&Sample| sample.functions().next().is_some_and(is_mix);
    assert!(ours.samples.iter().any(|sample| mixing(&sample)), "no samples in the mixers");
    for sample in ours.samples.iter().filter(mixing) {
        assert!(sample.functions().nth(1).is_some_and(is_run) && sample.has("main"), "{sample:?}");
    }
}

#[test]
fn a_rust_release_binary() {
    let Some((ours, perf)) = record_program(Program::Service) else { return };
    expect_same_self_time(&ours, &perf);
    let in_main = |sample: &Sample| sample.has("service::run_jobs") && sample.has("service::main");
    for leaf in ["service::digest", "service::sum", "service::grow"] {
        assert!(samples_in(&ours, leaf).count() > 0, "no samples in {leaf}");
        for sample in samples_in(&ours, leaf) {
            assert!(in_main(sample), "{sample:?}");
        }
    }
    // The step was put into the loop, and the line tables tell, though not of which module it is.
    let inlined =
        |sample: &Sample| sample.frames.iter().any(|frame| frame.inlined && frame.function.ends_with("step"));
    assert!(ours.weight_where(inlined) > 0, "no inlined frames");
}

#[test]
fn a_program_with_threads() {
    let Some((ours, perf)) = record_program(Program::Threads) else { return };
    let (own, _) = expect_same_self_time(&ours, &perf);
    for leaf in ["spin_0", "spin_1", "half_0", "half_1"] {
        assert!(own.share(leaf) > 0.02, "{leaf}: {}", own.share(leaf));
        expect_callers(&ours, leaf, &[&format!("run_{leaf}")]);
    }
}

#[test]
fn a_program_that_forks_and_executes() {
    let Some((ours, perf)) = record_program(Program::Forks) else { return };
    let (own, _) = expect_same_self_time(&ours, &perf);
    for leaf in ["parent_work", "child_work", "executed_work"] {
        assert!(own.share(leaf) > 0.1, "{leaf}: {}", own.share(leaf));
        expect_callers(&ours, leaf, &["main"]);
    }
}

#[test]
fn the_demo_under_its_own_load() {
    let demo = Demo::start(&["--duration", "60s"]);
    // By then it has all threads of its pool. Perf misses those that start while it attaches.
    wait_for("the demo's pool", SOON, || (demo.truth()["requests"]["hash"].as_u64()? >= 20).then_some(()));
    let Some((ours, perf)) = record_both(demo.pid(), false) else { return };
    expect_same_self_time(&ours, &perf);
}

#[test]
fn a_node_server_without_a_perf_map() {
    let Some((ours, perf)) = record_node(&[]) else { return };
    expect_same_self_time(&ours, &perf);
}

#[test]
fn a_node_server_with_a_perf_map() {
    let Some((ours, perf)) = record_node(&["--perf-basic-prof"]) else { return };
    let (own, _) = expect_same_self_time(&ours, &perf);
    for function in ["*fibonacci", "*countPrimes"] {
        assert!(own.share(function) > 0.02, "{function}: {}", own.share(function));
    }
    // From the script to the beginning of the program, through code that V8 made.
    let complete = |sample: &Sample| sample.has("_start") && sample.has("uv_run");
    let scripts = ours.weight_where(|sample| sample.has("*fibonacci"));
    let complete = ours.weight_where(|sample| sample.has("*fibonacci") && complete(sample));
    assert!(complete as f64 > 0.99 * scripts as f64, "{complete} of {scripts} stacks are complete");
}

/// Records a fixture with both profilers; `None` after saying that the story is skipped.
#[track_caller]
fn record_program(program: Program) -> Option<(Recording, Recording)> {
    let mut command = Command::new(program.build()?);
    let target = Guarded::start(command.arg(PROGRAM_SECONDS));
    record_both(target.pid(), true)
}

/// Records a Node.js server under load with both profilers; `None` after saying that the story is skipped.
#[track_caller]
fn record_node(options: &[&str]) -> Option<(Recording, Recording)> {
    let node = requirement::program("node")?;
    let folder = Folder::new("node");
    let mut command = Command::new(node);
    command.args(options).arg(fixture::path("node/server.js")).current_dir(folder.path());
    let mut server = Guarded::start(&mut command);
    let port = server.line("its port", Duration::from_secs(30), |line| {
        line.trim().strip_prefix("listening ")?.parse().ok()
    });
    let load = Load::start(loopback(port), &["/fibonacci", "/primes", "/order"], 4, Duration::ZERO);
    // By then V8 has made what it wants to make of the hot functions.
    load.wait_for_answers(3000);
    let recordings = record_both(server.pid(), false);
    load.stop();
    let _ = std::fs::remove_file(format!("/tmp/perf-{}.map", server.pid()));
    recordings
}

/// Records a process with both profilers at the same time; `None` after saying that the story is skipped.
#[track_caller]
fn record_both(pid: u32, stacks: bool) -> Option<(Recording, Recording)> {
    if !requirement::root() {
        return None;
    }
    let folder = Folder::new("beside-perf");
    let perf = Perf::attach(pid, PERF_FREQUENCY_HZ, stacks, folder.file("perf.data"))?;
    let output = folder.file("profile.pb.gz");
    loopscope::profile(pid, SECONDS, "pprof", &output);
    let profile = std::fs::read(output).expect("the profile was written");
    let perf = perf.finish(pprof::window_unix_ns(&profile));
    let ours = pprof::read(&profile);
    Some((ours, perf))
}

#[track_caller]
fn expect_same_self_time(ours: &Recording, perf: &Recording) -> (SelfTime, SelfTime) {
    // A thread that is sampled twice, or not at all, does not show in shares. Losses of a busy machine do not matter.
    let ratio = ours.total() as f64 / perf.total() as f64;
    assert!((0.8..1.25).contains(&ratio), "ours: {} samples, perf's: {}", ours.total(), perf.total());
    let mut aliases = Aliases::default();
    let own = SelfTime::of(ours, |frame| aliases.first(&frame.module, &comparison::our_name(frame)));
    let theirs = SelfTime::of(perf, |frame| aliases.first(&frame.module, &comparison::perf_name(frame)));
    expect_same(&own, &theirs);
    (own, theirs)
}

/// Expects that every sample in a function has these callers right above it.
#[track_caller]
fn expect_callers(recording: &Recording, leaf: &str, callers: &[&str]) {
    assert!(samples_in(recording, leaf).count() > 0, "no samples in {leaf}");
    for sample in samples_in(recording, leaf) {
        let found: Vec<_> = sample.functions().skip(1).take(callers.len()).collect();
        assert_eq!(found, callers, "the callers of {leaf} in {sample:?}");
    }
}

fn samples_in<'a>(recording: &'a Recording, leaf: &str) -> impl Iterator<Item = &'a Sample> {
    let is_leaf = move |sample: &&Sample| sample.leaf().is_some_and(|frame| frame.function == leaf);
    recording.samples.iter().filter(is_leaf)
}
