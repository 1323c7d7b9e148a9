//! Tasks of Node.js are told by their C++ classes, and a pool that was not used yet is told, too: on every version of Node.js that there is.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::Agent;
use loopscope_tests::truth::{Truthful, number};
use loopscope_tests::{fixture, node, requirement};

#[test]
fn tasks_are_told_by_their_classes_and_files_are_files_whichever_class_reads_them() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start_with(&["--tier", "observe,pool", "--budget", "50%"]);
    for node in node::all() {
        let mut program = Truthful::start(Command::new(&node.program).arg(fixture::path("node/classes.js")));
        program.wait_until_measured(&agent, "pool");
        let of = node.program.display();
        let before = agent.scrape();
        let told = program.go();
        let after = agent.scrape();
        let run = |class: &str| {
            let labels = program.process(&[("class", class)]);
            after.growth(&before, "threadpool_class_run_seconds_count", &labels)
        };
        for (class, count) in told["classes"].as_object().expect("counts by class") {
            assert_eq!(run(class), count.as_f64().expect("a count"), "{class} of {of}");
        }
        let tasks = |kind: &str| {
            let labels = program.process(&[("kind", kind), ("outcome", "done")]);
            after.growth(&before, "threadpool_tasks_total", &labels)
        };
        assert!(tasks("fs") >= number(&told, "files"), "{of}: {} tasks of files", tasks("fs"));
        assert_eq!(tasks("work"), 0.0, "{of}: tasks of no kind");
        let all = after.growth(&before, "threadpool_class_run_seconds_count", &program.process(&[]));
        let by_class = ["crypto", "zlib", "random"].map(tasks).iter().sum::<f64>();
        assert!((by_class..=by_class + tasks("fs")).contains(&all), "{of}: {all} tasks of classes");
        let seconds = |name: &str| after.growth(&before, name, &program.process(&[]));
        let (by_class, by_kind) =
            (seconds("threadpool_class_run_seconds_sum"), seconds("threadpool_run_seconds_sum"));
        assert!(by_class > 0.0 && by_class <= by_kind * 1.000_001, "{of}: {by_class} s of {by_kind} s");
    }
}

#[test]
fn a_pool_that_nothing_was_given_to_has_no_threads_and_an_empty_queue() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start_with(&["--tier", "observe"]);
    for node in node::all() {
        let mut unused = Command::new(&node.program);
        unused.args(["--eval", "console.log('ready'); setInterval(() => {}, 50)"]);
        let unused = Truthful::start(&mut unused);
        let of = node.program.display();
        let depth = wait_for("the pool to be seen", SOON, || {
            agent.scrape().value("threadpool_queue_depth", &unused.process(&[]))
        });
        assert_eq!(depth, 0.0, "{of}");
        let scraped = agent.scrape();
        for state in ["busy", "idle"] {
            let threads = scraped.value("threadpool_threads", &unused.process(&[("state", state)]));
            assert_eq!(threads, Some(0.0), "{state} of {of}");
        }
    }
}
