//! `loopscope profile --slow` shows the code behind lag spikes, and nothing else.

use std::fs;
use std::process::Command;
use std::time::Duration;

use loopscope_tests::deadline::SOON;
use loopscope_tests::folder::Folder;
use loopscope_tests::formats::folded;
use loopscope_tests::node;
use loopscope_tests::process::{Guarded, run};
use loopscope_tests::recording::{Recording, Sample};
use loopscope_tests::{fixture, loopscope, requirement};

/// Node.js tells the names of compiled code; so everything is to be compiled, also what runs seldom.
const NAMED: [&str; 2] = ["--perf-basic-prof", "--always-sparkplug"];

/// A recording of some seconds, and what reading the binaries takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Profiles a process with more options.
fn profile(folder: &Folder, pid: u32, options: &[&str]) -> (Recording, String) {
    let output = folder.file("spikes.folded");
    let mut command = loopscope::command();
    command
        .args(["profile", "--duration", "3s", "--pid", &pid.to_string(), "--output"])
        .arg(&output)
        .args(options);
    let told = run(&mut command, LIMIT).stderr;
    (folded::read(&fs::read_to_string(output).expect("the profile was written")), told)
}

/// The share of a recording that a function is on the stack of.
fn share(recording: &Recording, function: &str) -> f64 {
    // V8 marks the compiler before the name, by one or two characters.
    let is_it = |name: &str| name.strip_suffix(function).is_some_and(|mark| mark.len() <= 2);
    let weight = |sample: &&Sample| sample.frames.iter().any(|frame| is_it(&frame.function));
    let total: u64 = recording.samples.iter().map(|sample| sample.weight).sum();
    assert!(total > 0, "nothing was recorded");
    let of_function: u64 = recording.samples.iter().filter(weight).map(|sample| sample.weight).sum();
    of_function as f64 / total as f64
}

#[test]
fn the_function_that_blocks_the_loop_is_nearly_all_of_a_profile_of_slow_iterations() {
    if !requirement::root() {
        return;
    }
    for node in node::all() {
        // V8 writes logs into the folder that it runs in.
        let folder = Folder::new("spikes");
        let mut command = Command::new(&node.program);
        command.args(NAMED).arg(fixture::path("node/spikes.js")).current_dir(folder.path());
        let mut program = Guarded::start(&mut command);
        program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
        let (all, _) = profile(&folder, program.pid(), &[]);
        let (slow, told) = profile(&folder, program.pid(), &["--slow", "250ms"]);
        let _ = fs::remove_file(format!("/tmp/perf-{}.map", program.pid()));
        let shares = (share(&all, "blockTheLoop"), share(&slow, "blockTheLoop"));
        assert!(shares.0 < 0.75 && shares.1 > 0.8, "{}: {shares:?}\n{told}", node.program.display());
        assert!(told.contains("iterations were longer than 250ms"), "{told}");
        let of_loop = format!("after the beginning, loop main (thread {})", program.pid());
        let is_one = |line: &&str| line.contains(&of_loop) && line.ends_with("% of its samples in timers");
        assert!(told.lines().any(|line| is_one(&line)), "{told}");
    }
}

#[test]
fn where_no_iteration_was_slow_nobody_is_told_that_nothing_ran() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let folder = Folder::new("none-slow");
    let mut command = Command::new(&node.program);
    let mut program = Guarded::start(command.arg(fixture::path("node/spikes.js")).current_dir(folder.path()));
    program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    let (slow, told) = profile(&folder, program.pid(), &["--slow", "1h"]);
    assert!(slow.samples.is_empty(), "{told}");
    assert!(told.contains("none was taken in an iteration longer than 1h"), "{told}");
    assert!(!told.contains("used no CPU time"), "{told}");
}

#[test]
fn an_iteration_that_does_not_end_is_shown_though_it_began_before() {
    if !requirement::root() {
        return;
    }
    for node in node::all() {
        let folder = Folder::new("endless");
        let script = "setTimeout(function spinForever() { console.log('ready'); for (;;); }, 100)";
        let mut command = Command::new(&node.program);
        let mut program = Guarded::start(command.args(NAMED).args(["-e", script]).current_dir(folder.path()));
        program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
        let (slow, told) = profile(&folder, program.pid(), &["--slow", "50ms"]);
        let _ = fs::remove_file(format!("/tmp/perf-{}.map", program.pid()));
        let share = share(&slow, "spinForever");
        assert!(share > 0.9, "{}: {share}\n{told}", node.program.display());
        assert!(told.contains("had not ended when the recording did"), "{told}");
    }
}

#[test]
fn the_processes_that_a_command_starts_are_watched_too() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let folder = Folder::new("children");
    let output = folder.file("spikes.folded");
    let line = format!(
        "{} {} {}",
        node.program.display(),
        NAMED.join(" "),
        fixture::path("node/spikes.js").display()
    );
    let mut command = loopscope::command();
    command.args(["profile", "--duration", "5s", "--slow", "250ms", "--output"]).arg(&output);
    // A shell that waits, so that the program is its child; it ends when its standard input does.
    command.args(["--", "sh", "-c", &format!("sleep 8 | {line}; true")]).current_dir(folder.path());
    let told = run(&mut command, LIMIT).stderr;
    let slow = folded::read(&fs::read_to_string(output).expect("the profile was written"));
    let share = share(&slow, "blockTheLoop");
    assert!(share > 0.8, "{share}\n{told}");
}

#[test]
fn a_process_without_libuv_is_a_failure_that_writes_nothing() {
    if !requirement::root() {
        return;
    }
    let folder = Folder::new("spikes-none");
    let output = folder.file("none.folded");
    let sleeper = Guarded::start(Command::new("sleep").arg("60"));
    let mut command = loopscope::command();
    command.args(["profile", "--slow", "50ms", "--pid", &sleeper.pid().to_string(), "--output"]).arg(&output);
    let ended = Guarded::start(&mut command).wait(LIMIT);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("libuv") && !output.exists(), "{}", ended.stderr);
}
