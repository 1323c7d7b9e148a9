//! On a kernel that lacks something, or refuses it, the message names it, and what needs it not works. strace plays such a kernel: it answers for it.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::process;
use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, node, requirement};

const PROBES: &[&str] = &["loop", "phases", "pool"];

/// How a kernel answers.
struct Kernel {
    /// Calls that fail, and how.
    refuses: &'static [&'static str],
    /// The lines of `inspect` that say no.
    without: &'static [&'static str],
    /// What each of them says.
    message: &'static str,
}

const KERNELS: [Kernel; 6] = [
    Kernel {
        refuses: &["bpf:error=ENOSYS"],
        without: PROBES,
        message: "this kernel has no BPF (CONFIG_BPF_SYSCALL)",
    },
    // The seccomp profiles of containers, where the rights were not added; one right alone.
    Kernel {
        refuses: &["bpf,perf_event_open:error=EPERM"],
        without: &["loop", "phases", "pool", "profile"],
        message: "the seccomp profile must allow",
    },
    Kernel {
        refuses: &["bpf:error=EPERM"],
        without: PROBES,
        message: "CAP_BPF and CAP_PERFMON are there, so something else forbids it",
    },
    Kernel {
        refuses: &["perf_event_open:error=ENOENT"],
        without: &["profile"],
        message: "this kernel has no performance events (CONFIG_PERF_EVENTS)",
    },
    // Memory is read in another way then.
    Kernel { refuses: &["process_vm_readv:error=EPERM"], without: &[], message: "" },
    Kernel {
        refuses: &["process_vm_readv:error=ENOSYS", "bpf:error=ENOSYS"],
        without: PROBES,
        message: "this kernel has no BPF (CONFIG_BPF_SYSCALL)",
    },
];

impl Kernel {
    /// A command that runs our program on it; `None` after saying that the story is skipped.
    #[track_caller]
    fn command(&self) -> Option<Command> {
        let mut command = Command::new(requirement::program("strace")?);
        // The program is the process that is started, and not the tracer: it ends with the test.
        command.args(["-D", "-f", "-qq", "-o", "/dev/null"]);
        for refused in self.refuses {
            command.args(["-e", &format!("inject={refused}")]);
        }
        command.arg(loopscope::program());
        Some(command)
    }
}

#[test]
fn what_a_kernel_lacks_is_named_and_all_else_is_possible() {
    let (true, Some(node)) = (requirement::root(), node::all().into_iter().next()) else { return };
    let program = Truthful::start(Command::new(node.program).arg(fixture::path("node/blocks.js")));
    for kernel in &KERNELS {
        let Some(mut command) = kernel.command() else { return };
        let told = process::run(command.args(["inspect", "--pid", program.pid()]), SOON).stdout;
        for tier in ["observe", "loop", "phases", "pool", "profile"] {
            let line = told.lines().find(|line| line.starts_with(tier)).expect("a line for each");
            let is_without = kernel.without.contains(&tier);
            let says_why = line.contains(" no: ") && line.contains(kernel.message);
            assert_eq!(says_why, is_without, "{:?}: {line}", kernel.refuses);
            assert_eq!(line.contains(" yes: "), !is_without, "{:?}: {line}", kernel.refuses);
        }
    }
}

#[test]
fn an_agent_says_once_what_the_kernel_lacks_and_measures_what_is_left() {
    let (true, Some(node)) = (requirement::root(), node::all().into_iter().next()) else { return };
    let mut program = Truthful::start(Command::new(node.program).arg(fixture::path("node/blocks.js")));
    for kernel in KERNELS.iter().filter(|kernel| kernel.refuses != ["perf_event_open:error=ENOENT"]) {
        let Some(mut command) = kernel.command() else { return };
        let what = kernel.refuses;
        let agent = Agent::start_by(&mut command, &["--tier", "all", "--budget", "90%"]);
        program.wait_until_measured(&agent, "observe");
        let pid = program.pid().to_owned();
        let main = [("pid", pid.as_str()), ("loop", "main")];
        let time = || agent.scrape().value("eventloop_time_seconds_total", &main);
        let before = wait_for("readings", SOON, time);
        wait_for("later readings", SOON, || time().filter(|&later| later > before));
        let has_probes = kernel.without.is_empty();
        program.go();
        if has_probes {
            wait_for("iterations", SOON, || {
                agent.scrape().value("eventloop_lag_seconds_count", &main).filter(|&count| count > 0.0)
            });
        }
        let scraped = agent.scrape();
        for tier in PROBES {
            let active = scraped.value("loopscope_tier_active", &[("pid", &pid), ("tier", tier)]);
            assert_eq!(active, Some(f64::from(u8::from(has_probes))), "{what:?}: {tier}");
        }
        if !has_probes {
            // What nobody measures is absent, and not zero.
            for name in
                ["eventloop_lag_seconds_count", "threadpool_tasks_total", "loopscope_probe_hits_total"]
            {
                assert_eq!(scraped.value(name, &[("pid", &pid)]), None, "{what:?}: {name}");
            }
            assert_eq!(agent.told().matches(kernel.message).count(), 1, "{what:?}: {}", agent.told());
        }
        agent.stop(SOON);
    }
}
