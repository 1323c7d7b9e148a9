//! `loopscope profile` where something is missing, ends or refuses: what can be told is told, the rest is an error that
//! says what to do, and no file is ever spoilt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loopscope_tests::comparison::{self, SelfTime};
use loopscope_tests::deadline::SOON;
use loopscope_tests::fixture::Program;
use loopscope_tests::folder::Folder;
use loopscope_tests::formats::pprof;
use loopscope_tests::loopscope;
use loopscope_tests::process::{Guarded, run};
use loopscope_tests::recording::Recording;
use loopscope_tests::requirement;

#[test]
fn functions_of_a_stripped_program_are_told_apart() {
    let Some((folder, program)) = copy_of(Program::Leaves) else { return };
    let Some(strip) = requirement::program("strip") else { return };
    run(Command::new(strip).arg("--strip-all").arg(&program), SOON);
    if !requirement::root() {
        return;
    }
    let target = Guarded::start(Command::new(&program).arg("60"));
    let recording = profile(target.pid(), 4, &folder);

    let own = SelfTime::of(&recording, |frame| frame.function.clone());
    let mut shares: Vec<_> = own.functions().map(|function| own.share(function)).collect();
    shares.sort_by(|a, b| b.total_cmp(a));
    for (share, expected) in shares.iter().zip([0.6, 0.3, 0.1]) {
        let error = comparison::SIGMAS * (expected * (1.0_f64 - expected) / own.total() as f64).sqrt();
        assert!((share - expected).abs() < error + 0.03, "{shares:?}, expected {expected} ± {error}");
    }
    // Unwinding needs no symbols.
    let deepest = recording.samples.iter().map(|sample| sample.frames.len()).max();
    assert!(deepest > Some(20), "the recursion is {deepest:?} frames deep");
}

#[test]
fn a_program_that_was_deleted_keeps_its_names() {
    let Some((folder, program)) = copy_of(Program::Leaves) else { return };
    if !requirement::root() {
        return;
    }
    let target = Guarded::start(Command::new(&program).arg("60"));
    fs::remove_file(&program).unwrap();
    let recording = profile(target.pid(), 2, &folder);
    let own = SelfTime::of(&recording, comparison::our_name);
    let named: f64 =
        ["leaf_in_chain", "leaf_in_recursion", "leaf_direct"].map(|leaf| own.share(leaf)).iter().sum();
    assert!(named > 0.9, "{named} of the samples have a name");
}

#[test]
fn a_process_of_another_user_is_refused_with_a_reason() {
    let Some((folder, program)) = copy_of(Program::Leaves) else { return };
    let Some(nobody) = as_nobody() else { return };
    let target = Guarded::start(Command::new(program).arg("60"));
    let output = folder.file("refused.svg");
    let mut command = nobody(&public_copy(&folder, loopscope::program()));
    command.args(["profile", "--duration", "1s", "--output"]).arg(&output);
    let ended = Guarded::start(command.args(["--pid", &target.pid().to_string()])).wait(SOON);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let reason = ended.stderr.to_lowercase();
    assert!(reason.contains("another user") || reason.contains("cap_"), "{}", ended.stderr);
    assert!(!output.exists(), "nothing was recorded");
}

#[test]
fn a_user_without_privileges_can_profile_a_program_of_their_own() {
    let Some((folder, program)) = copy_of(Program::Leaves) else { return };
    let Some(nobody) = as_nobody() else { return };
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    if paranoid.trim().parse::<i32>().is_ok_and(|level| level > 2) {
        return requirement::skip("kernel.perf_event_paranoid keeps users from sampling their own programs");
    }
    let output = folder.file("profile.pb.gz");
    let mut command = nobody(&public_copy(&folder, loopscope::program()));
    command.args(["profile", "--frequency", "999", "--format", "pprof", "--output"]).arg(&output).arg("--");
    run(command.arg(program).arg("2"), Duration::from_secs(60));
    let recording = pprof::read(&fs::read(output).unwrap());
    let own = SelfTime::of(&recording, comparison::our_name);
    assert!(own.share("leaf_in_chain") > 0.4, "{}", own.share("leaf_in_chain"));
}

#[track_caller]
fn profile(pid: u32, seconds: u32, folder: &Folder) -> Recording {
    let output = folder.file("profile.pb.gz");
    loopscope::profile(pid, seconds, "pprof", &output);
    pprof::read(&fs::read(output).expect("the profile was written"))
}

/// A copy of a fixture that every user may run, in a folder that every user may write to.
#[track_caller]
fn copy_of(program: Program) -> Option<(Folder, PathBuf)> {
    let original = program.build()?;
    let folder = Folder::public("copy");
    let copy = public_copy(&folder, &original);
    Some((folder, copy))
}

fn public_copy(folder: &Folder, original: &Path) -> PathBuf {
    let copy = folder.file(&original.file_name().expect("a program has a name").to_string_lossy());
    // By another process: a file that ours had open for writing could still be open in a child that another story
    // has just forked, and then it cannot be executed.
    run(Command::new("install").arg("--mode=755").arg(original).arg(&copy), SOON);
    copy
}

/// What makes a command that runs as the user `nobody`; `None` after saying that the story is skipped.
#[track_caller]
fn as_nobody() -> Option<impl Fn(&Path) -> Command> {
    let setpriv = requirement::program("setpriv")?;
    if !requirement::root() {
        return None;
    }
    Some(move |program: &Path| {
        let mut command = Command::new(&setpriv);
        // 65534 is nobody everywhere.
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command
    })
}
