//! Work that goes around libuv's pool is told, where it does and only there.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::process;
use loopscope_tests::truth::{Truthful, number};
use loopscope_tests::{fixture, node, requirement};

const TOLD: &str = "bypass the pool";

#[test]
fn file_operations_by_io_uring_are_told_of_exactly_where_the_pool_does_not_get_them() {
    if !requirement::root() {
        return;
    }
    for node in node::all() {
        let mut command = Command::new(&node.program);
        let mut program =
            Truthful::start(command.arg(fixture::path("node/bypass.js")).env("UV_USE_IO_URING", "1"));
        let agent = Agent::start_with(&["--tier", "observe,pool", "--budget", "50%"]);
        program.wait_until_measured(&agent, "pool");
        program.go();
        let before = agent.scrape();
        let told = program.go();
        let after = agent.scrape();
        let tasks = |kind| {
            let labels = program.process(&[("kind", kind), ("outcome", "done")]);
            after.growth(&before, "threadpool_tasks_total", &labels)
        };
        let what = node.program.display();
        assert_eq!(tasks("crypto"), number(&told, "hashes"), "{what}");

        let bypassed = tasks("fs") < number(&told, "stats");
        if bypassed {
            assert_eq!(tasks("fs"), 0.0, "{what}");
            wait_for("the agent to tell of it", SOON, || agent.told().contains(TOLD).then_some(()));
        }
        let mut inspect = loopscope::command();
        let inspected = process::run(inspect.args(["inspect", "--pid", program.pid()]), SOON);
        assert_eq!(inspected.stdout.contains(TOLD), bypassed, "{what}: {}", inspected.stdout);
        assert_eq!(agent.stop(SOON).stderr.matches(TOLD).count(), usize::from(bypassed), "{what}");
    }
}
