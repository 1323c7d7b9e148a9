//! `loopscope inspect`: what can be measured on a process.

use super::program::{run, stderr, stdout};
use super::publisher::{Command, Publisher};

fn inspect(pid: u32) -> String {
    let output = run(&["inspect", "--pid", &pid.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_process_that_publishes_is_told_from_one_that_does_not_and_one_that_lies() {
    let mut publisher = Publisher::start("inspected");
    assert!(inspect(publisher.pid()).contains("no: it publishes no telemetry"));
    publisher.tell(Command::Publish);
    let told = inspect(publisher.pid());
    assert!(told.contains("yes: service inspected, loops: 1, series: 3"), "{told}");
    let liar = Publisher::that_does(Command::PublishUnsealed, "liar");
    assert!(inspect(liar.pid()).contains("not sealed"));
}

#[test]
fn whether_stacks_can_be_sampled_is_told() {
    let told = inspect(std::process::id());
    let line = told.lines().find(|line| line.starts_with("profile")).unwrap();
    assert!(line.contains("yes: up to") || line.contains("no: "), "{line}");
}

#[test]
fn a_process_that_does_not_exist_is_a_failure() {
    let output = run(&["inspect", "--pid", "2147483647"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("2147483647"), "{}", stderr(&output));
}
