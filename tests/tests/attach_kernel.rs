//! On a kernel that lacks something, the message names it, and what needs it not works. strace plays such a kernel: it answers for it.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::process;
use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, node, requirement};

/// A call into the kernel that fails, how, what is said of it, and the lines of `inspect` that say it.
const LACKING: [(&str, &str, &[&str]); 3] = [
    ("bpf:error=ENOSYS", "this kernel has no BPF (CONFIG_BPF_SYSCALL)", &["loop", "phases", "pool"]),
    ("bpf:error=EPERM", "run as root, or with CAP_BPF and CAP_PERFMON", &["loop", "phases", "pool"]),
    (
        "perf_event_open:error=ENOENT",
        "this kernel has no performance events (CONFIG_PERF_EVENTS)",
        &["profile"],
    ),
];

#[test]
fn what_a_kernel_lacks_is_named_and_all_else_is_possible() {
    let (true, Some(strace)) = (requirement::root(), requirement::program("strace")) else { return };
    let on_kernel = |lacking: &str| {
        let mut command = Command::new(&strace);
        // The program is the process that is started, and not the tracer: it ends with the test.
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={lacking}")]);
        command.arg(loopscope::program());
        command
    };
    for node in node::all().into_iter().take(1) {
        let program = Truthful::start(Command::new(&node.program).arg(fixture::path("node/blocks.js")));
        for (lacking, message, without) in LACKING {
            let told =
                process::run(on_kernel(lacking).args(["inspect", "--pid", program.pid()]), SOON).stdout;
            for tier in ["observe", "loop", "phases", "pool", "profile"] {
                let line = told.lines().find(|line| line.starts_with(tier)).expect("a line for each");
                let is_without = without.contains(&tier);
                assert_eq!(line.contains(" no: ") && line.contains(message), is_without, "{lacking}: {line}");
                assert_eq!(line.contains(" yes: "), !is_without, "{lacking}: {line}");
            }
        }
        // The agent says it once, and measures what is left.
        let (lacking, message, _) = LACKING[0];
        let agent = Agent::start_by(&mut on_kernel(lacking), &["--tier", "observe,loop,phases"]);
        program.wait_until_measured(&agent, "observe");
        wait_for("readings", SOON, || {
            agent.scrape().value("eventloop_time_seconds_total", &program.main(&[]))
        });
        assert_eq!(agent.scrape().value("eventloop_lag_seconds_count", &program.main(&[])), None);
        assert_eq!(agent.told().matches(message).count(), 1, "{}", agent.told());
    }
}
