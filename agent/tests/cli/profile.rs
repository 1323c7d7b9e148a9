//! `loopscope profile`: what is recorded, what is written when, and which exit status follows.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, thread};

use rustix::process::Signal;

use super::program::{Running, loopscope, may_sample, run, stderr, stdout, wait_until};

/// A command that uses CPU time until it is ended.
const ENDLESS: [&str; 3] = ["sh", "-c", "echo begun; while :; do :; done"];

/// A directory of a test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let test = thread::current().name().unwrap().replace("::", "-");
        let path = std::env::temp_dir().join(format!("loopscope-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Starts `profile` on an endless command and waits until the command runs.
fn start_on_endless_command(options: &[&str]) -> Running {
    let mut command = loopscope(&["profile"]);
    command.args(options).arg("--").args(ENDLESS).stdout(Stdio::null());
    let running = Running::start(&mut command);
    wait_until("the command runs", || child_of(running.pid()).is_some_and(is_shell));
    running
}

/// Starts the endless command by itself.
fn endless() -> Child {
    Command::new(ENDLESS[0]).args(&ENDLESS[1..]).stdout(Stdio::null()).spawn().unwrap()
}

/// Whether a process holds events of the kernel that sample.
fn is_sampling(pid: u32) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let mut links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.any(|link| link.ends_with("anon_inode:[perf_event]"))
}

fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// Whether the shell has begun: before that, the child is a copy of the profiler.
fn is_shell(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sh")
}

fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}

fn expect_folded(path: &str) {
    let folded = fs::read_to_string(path).unwrap();
    let samples: u64 =
        folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert!(samples > 0, "{folded}");
}

#[test]
fn every_format_is_written_and_told_by_the_name_of_the_file() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let beginnings: [(&str, &[u8]); 5] = [
        ("a.svg", b"<?xml"),
        ("a.folded", b"sh;"),
        ("a.pprof", &[0x1f, 0x8b]),
        ("a.json", b"{"),
        ("a.speedscope.json", b"{"),
    ];
    for (name, beginning) in beginnings {
        let path = directory.path(name);
        let output = run(&[
            "profile",
            "-o",
            &path,
            "--",
            "sh",
            "-c",
            "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let contents = fs::read(&path).unwrap();
        assert!(contents.starts_with(beginning), "{name}: {:?}", String::from_utf8_lossy(&contents[..40]));
        assert!(stderr(&output).contains(" samples, "), "{}", stderr(&output));
        assert!(stderr(&output).trim_end().ends_with(&path), "{}", stderr(&output));
    }
}

#[test]
fn the_commands_own_exit_status_is_passed_on() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        let output = run(&["profile", "-o", &path, "--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(status), "{script}: {}", stderr(&output));
        assert!(fs::exists(&path).unwrap());
    }
}

#[test]
fn a_command_that_is_missing_or_not_executable_is_told_as_shells_do_and_leaves_no_file() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.svg");
    for (command, status) in [("no-such-command-anywhere", 127), ("/etc/passwd", 126), ("/", 126)] {
        let output = run(&["profile", "-o", &path, "--", command]);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(stderr(&output).contains(command), "{}", stderr(&output));
    }
    assert!(directory.names().is_empty());
}

#[test]
fn an_output_that_cannot_be_written_is_found_out_before_the_command_runs() {
    let directory = Directory::new();
    let witness = directory.path("the-command-ran");
    for path in [directory.path("nowhere/a.svg"), directory.path(".")] {
        let output = run(&["profile", "-f", "svg", "-o", &path, "--", "touch", &witness]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains(&path) && stderr(&output).contains("--output"),
            "{}",
            stderr(&output)
        );
    }
    let unknown = run(&["profile", "-o", &directory.path("a.txt"), "--", "touch", &witness]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("--format"), "{}", stderr(&unknown));
    assert!(!Path::new(&witness).exists());
}

#[test]
fn a_process_that_does_not_exist_is_told() {
    let directory = Directory::new();
    let output = run(&["profile", "-o", &directory.path("a.svg"), "--pid", "2147483647"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("2147483647"), "{}", stderr(&output));
    assert!(directory.names().is_empty());
}

#[test]
fn exactly_one_target_has_to_be_given() {
    for arguments in [&["profile"][..], &["profile", "--pid", "1", "--", "true"], &["profile", "--pid", "x"]]
    {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for arguments in [["-F", "0"], ["-F", "99999"], ["-d", "0s"], ["-d", "soon"], ["-f", "png"]] {
        assert_eq!(run(&["profile", arguments[0], arguments[1], "--", "true"]).status.code(), Some(2));
    }
}

#[test]
fn the_time_that_was_asked_for_ends_the_recording_and_the_command() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    let mut running = start_on_endless_command(&["-o", &path, "--duration", "300ms"]);
    let command = child_of(running.pid());
    assert_eq!(running.wait().code(), Some(0));
    expect_folded(&path);
    assert!(command.is_none_or(is_gone));
}

#[test]
fn the_time_that_was_asked_for_leaves_a_process_alone_that_ran_before() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    let mut target = endless();
    let pid = target.id().to_string();
    let output = run(&["profile", "-o", &path, "--duration", "300ms", "--pid", &pid]);
    let still_runs = target.try_wait().unwrap().is_none();
    target.kill().unwrap();
    target.wait().unwrap();
    assert!(output.status.success() && still_runs, "{}", stderr(&output));
    expect_folded(&path);
}

#[test]
fn a_process_that_ends_while_it_is_recorded_ends_the_recording() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    wait_until("a target ends while it is recorded, and not before", || {
        let mut target = endless();
        let pid = target.id().to_string();
        let mut running = Running::start(&mut loopscope(&["profile", "-o", &path, "--pid", &pid]));
        wait_until("the target is sampled", || is_sampling(running.pid()));
        target.kill().unwrap();
        target.wait().unwrap();
        let (status, told) = (running.wait().code(), running.told());
        let too_early = told.contains("ended before it could be measured");
        assert!(status == Some(0) || too_early && status == Some(1), "{told}");
        status == Some(0)
    });
    assert!(fs::exists(&path).unwrap());
}

#[test]
fn an_interrupt_ends_the_recording_and_the_file_is_written() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    let mut running = start_on_endless_command(&["-o", &path]);
    let command = child_of(running.pid()).unwrap();
    // As the terminal does it: both get the signal.
    running.signal(Signal::INT);
    rustix::process::kill_process(rustix::process::Pid::from_raw(command as i32).unwrap(), Signal::INT)
        .unwrap();
    assert_eq!(running.wait().code(), Some(130), "the command's own status");
    assert!(fs::exists(&path).unwrap());
    assert!(is_gone(command));
}

#[test]
fn an_interrupt_that_the_command_does_not_get_still_ends_it() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    let mut running = start_on_endless_command(&["-o", &path]);
    let command = child_of(running.pid()).unwrap();
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(143));
    assert!(fs::exists(&path).unwrap() && is_gone(command));
}

#[test]
fn a_second_interrupt_aborts_and_leaves_the_old_file_whole() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    fs::write(&path, "old").unwrap();
    // A command that nothing but the end of its terminal's patience would end.
    let mut command =
        loopscope(&["profile", "-o", &path, "--", "sh", "-c", "trap '' INT TERM; while :; do :; done"]);
    let mut running = Running::start(&mut command);
    wait_until("the command runs", || child_of(running.pid()).is_some_and(is_shell));
    let child = child_of(running.pid()).unwrap();
    running.signal(Signal::INT);
    // Signals that are pending at the same time become one: send until the second has come.
    wait_until("the program aborts", || {
        running.signal(Signal::INT);
        is_gone(running.pid())
    });
    let status = running.wait().code();
    rustix::process::kill_process(rustix::process::Pid::from_raw(child as i32).unwrap(), Signal::KILL)
        .unwrap();
    assert_eq!(status, Some(130));
    // It may have come after the file was complete; half a file it is in no case.
    let contents = fs::read_to_string(&path).unwrap();
    assert!(contents == "old" || contents.lines().all(|line| line.rsplit_once(' ').is_some()), "{contents}");
    assert_eq!(directory.names(), ["a.folded"]);
}

#[test]
fn a_profile_on_the_standard_output_does_not_mix_with_what_the_command_prints() {
    if !may_sample() {
        return;
    }
    let script = "echo from-the-command; i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done";
    let output = run(&["profile", "-f", "folded", "-o", "-", "--", "sh", "-c", script]);
    assert!(output.status.success());
    assert!(stdout(&output).starts_with("sh;") && !stdout(&output).contains("from-the-command"));
    assert!(stderr(&output).contains("from-the-command"));
}

#[test]
fn a_recording_without_samples_is_written_and_said_to_be_empty() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.svg");
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    wait_until("it sleeps", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.id())).unwrap();
        stat.contains("(sleep) S")
    });
    let output = run(&["profile", "-o", &path, "-d", "100ms", "--pid", &sleeper.id().to_string()]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    assert!(output.status.success());
    assert!(stderr(&output).contains("no samples"), "{}", stderr(&output));
    assert!(fs::read_to_string(&path).unwrap().contains("</svg>"));
}

#[test]
fn off_cpu_mode_records_how_long_a_program_waited() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let path = directory.path("a.folded");
    let output = run(&["profile", "--mode", "off-cpu", "-o", &path, "--", "sleep", "0.2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let folded = fs::read_to_string(&path).unwrap();
    let waited_ns: u64 =
        folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    assert!(waited_ns >= 200_000_000, "{folded}");
    let senseless = run(&["profile", "--mode", "off-cpu", "-F", "99", "-o", &path, "--", "true"]);
    assert_eq!(senseless.status.code(), Some(2), "{}", stderr(&senseless));
}

#[test]
fn in_a_pipe_nothing_is_told_but_the_end() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let output = run(&["profile", "-o", &directory.path("a.folded"), "--", "true"]);
    let told = stderr(&output);
    assert!(!told.contains('\r') && !told.contains('\x1b'), "{told:?}");
    assert!(told.lines().all(|line| line.starts_with("loopscope: ")), "{told}");
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
fn a_full_disk_leaves_the_old_file_whole() {
    if !may_sample() {
        return;
    }
    let directory = Directory::new();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16k", "loopscope-test"])
        .arg(&directory.0)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("SKIPPED: a_full_disk_leaves_the_old_file_whole needs root, to mount a small file system");
        return;
    }
    let path = directory.path("a.svg");
    fs::write(&path, "old").unwrap();
    let output =
        run(&["profile", "-o", &path, "--", "sh", "-c", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done"]);
    let (contents, names) = (fs::read(&path), directory.names());
    assert!(Command::new("umount").arg(&directory.0).status().unwrap().success());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("untouched"), "{}", stderr(&output));
    assert_eq!((contents.unwrap(), names), (b"old".to_vec(), vec!["a.svg".to_owned()]));
}
