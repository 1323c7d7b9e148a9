//! What is seen on a terminal.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::program::{loopscope, may_sample, wait_until};

/// A terminal: the side that a person would see, and the side that a program writes to.
pub(crate) fn terminal() -> (File, OwnedFd) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let path = ptsname(&screen, Vec::new()).unwrap();
    let program_side = File::options().read(true).write(true).open(path.to_str().unwrap()).unwrap();
    (screen.into(), program_side.into())
}

/// Reads the screen until a text has appeared on it; gives everything since the last time.
fn expect_on(screen: &mut File, text: &str) -> String {
    let mut seen = String::new();
    wait_until(&format!("{text:?} is on the screen"), || {
        let mut bytes = [0; 4096];
        let count = screen.read(&mut bytes).expect("the program keeps the terminal open");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        seen.contains(text)
    });
    seen
}

fn profile(arguments: &[&str], stdout: Stdio, stderr: OwnedFd) -> Child {
    let mut command = loopscope(&["profile", "-o", "/dev/null", "-f", "folded"]);
    command.args(arguments).stdout(stdout).stderr(stderr).spawn().unwrap()
}

#[test]
fn a_line_tells_the_progress_and_gives_way_to_the_summary() {
    if !may_sample() {
        return;
    }
    let (mut screen, program_side) = terminal();
    let endless = ["--", "sh", "-c", "while :; do :; done"];
    let mut child = profile(&endless, Stdio::null(), program_side);
    expect_on(&mut screen, "recording sh -c");
    let line = expect_on(&mut screen, " samples, 0 lost");
    assert!(line.contains("\r\x1b[Kloopscope: "), "{line:?}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let end = expect_on(&mut screen, "/dev/null\r\n");
    assert!(end.contains("writing /dev/null\r\x1b[K"), "{end:?}");
    child.wait().unwrap();
}

#[test]
fn a_command_that_shares_the_terminal_is_not_written_into() {
    if !may_sample() {
        return;
    }
    let (mut screen, program_side) = terminal();
    let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo from-the-command";
    let stdout = program_side.try_clone().unwrap();
    let mut child = profile(&["--", "sh", "-c", script], stdout.into(), program_side);
    let seen = expect_on(&mut screen, "from-the-command");
    assert!(!seen.contains(" samples, "), "{seen:?}");
    expect_on(&mut screen, " samples, ");
    child.wait().unwrap();
}
