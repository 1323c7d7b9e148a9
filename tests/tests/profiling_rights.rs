//! An agent that profiles and lacks a right says so once, with what to do, and measures on; what it may see, it profiles.

use std::fs;
use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{Agent, Demo, as_nobody, program};
use loopscope_tests::otlp::{Protocol, Receiver};
use loopscope_tests::spikes::{OFTEN, Spikes};
use loopscope_tests::{fixture, requirement};

/// Reads and finds the processes of other users.
const OBSERVING: &str = "+sys_ptrace,+dac_read_search";

/// `kernel.perf_event_paranoid`, or another setting of the kernel.
fn setting(name: &str) -> i32 {
    let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).expect("the kernel tells it");
    text.trim().parse().expect("a number")
}

/// An agent that profiles this one program and sends what it has to a receiver, run by a command.
#[track_caller]
fn agent(command: &mut Command, receiver: &Receiver, config: &str) -> Agent {
    command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf").env("OTEL_METRIC_EXPORT_INTERVAL", "300");
    receiver.agent_by(command, &[&OFTEN[..], &["--config", config]].concat())
}

/// Expects that the metrics of a process go on.
#[track_caller]
fn expect_metrics_go_on(agent: &Agent, pid: u32) {
    let pid = pid.to_string();
    let iterations = || agent.scrape().value("eventloop_iterations_total", &[("pid", &pid)]);
    let before = wait_for("metrics", SOON, iterations);
    wait_for("more iterations", SOON, || iterations().filter(|&count| count > before));
}

#[track_caller]
fn expect_told_once(agent: &Agent, what: &str) {
    let told = agent.told();
    assert_eq!(told.matches(what).count(), 1, "{what}: {told}");
}

/// Whether any sample of a process has this function.
fn names_function(receiver: &Receiver, pid: u32, function: &str) -> bool {
    receiver.samples().iter().any(|sample| sample.pid() == Some(pid.into()) && sample.has(function))
}

#[test]
fn an_agent_that_may_not_sample_at_all_says_so_once_and_measures_on() {
    let (true, Some(python)) = (requirement::root(), requirement::program("python3")) else { return };
    let Some(receiver) = Receiver::start(Protocol::Http) else { return };
    let Some(spikes) = Spikes::start("no-perf-events") else { return };
    let mut command = Command::new(python);
    command.arg(fixture::path("python/without_perf_events.py")).arg(program());
    let agent = agent(&mut command, &receiver, &spikes.config());
    wait_for("what is missing", SOON, || agent.told().contains("profiling: ").then_some(()));
    expect_metrics_go_on(&agent, spikes.pid());
    expect_told_once(&agent, "profiling: ");
    let told = agent.told();
    for advice in ["the kernel refuses to sample", "run with CAP_PERFMON", "seccomp"] {
        assert!(told.contains(advice), "{advice}: {told}");
    }
    let profiled = agent.scrape().value("loopscope_profiled_processes", &[]);
    assert_eq!(profiled.unwrap_or(0.0), 0.0);
    assert!(receiver.samples().is_empty());
    // Metrics are exported, too.
    receiver.wait_for_requests(2);
}

#[test]
fn an_agent_without_cap_perfmon_profiles_what_it_may_see_and_says_once_what_it_may_not() {
    if !requirement::root() {
        return;
    }
    let Some(receiver) = Receiver::start(Protocol::Http) else { return };
    let Some(spikes) = Spikes::start("no-perfmon") else { return };
    let Some(mut command) = as_nobody(OBSERVING) else { return };
    let agent = agent(&mut command, &receiver, &spikes.config());
    expect_metrics_go_on(&agent, spikes.pid());
    // What the kernel allows to those without the right.
    let paranoid = setting("perf_event_paranoid");
    if paranoid > 2 {
        wait_for("what is missing", SOON, || agent.told().contains("profiling: ").then_some(()));
        expect_told_once(&agent, "sampling needs CAP_PERFMON");
        return;
    }
    let named = || names_function(&receiver, spikes.pid(), "blockTheLoop").then_some(());
    wait_for("samples", 3 * SOON, named);
    if paranoid == 2 {
        expect_told_once(&agent, "time in the kernel is left out: seeing it needs CAP_PERFMON");
        let of_kernel =
            |it: &loopscope_tests::otlp::Sample| it.has("entry_SYSCALL_64") || it.has("el0t_64_sync");
        assert!(!receiver.samples().iter().any(of_kernel));
    }
    expect_metrics_go_on(&agent, spikes.pid());
}

#[test]
fn an_agent_from_which_the_kernel_hides_its_names_says_so_once_and_one_with_cap_syslog_has_them() {
    if !requirement::root() {
        return;
    }
    // What serves and is asked all the time is in the kernel most of it.
    let demo = Demo::start(&["--rate", "200"]);
    let folder = Folder::new("profiling");
    let config = folder.file("agent.toml");
    let rules = "[[rule]]\nname = 'loopscope'\nprofile = true\n[[rule]]\ninclude = false\n";
    fs::write(&config, rules).expect("a scratch file");
    let config = config.to_str().expect("a path in UTF-8");
    let (paranoid, restrict) = (setting("perf_event_paranoid"), setting("kptr_restrict"));
    for (rights, is_hidden) in
        [("+perfmon", restrict > 0 || paranoid > 1), ("+perfmon,+syslog", restrict > 1)]
    {
        let Some(receiver) = Receiver::start(Protocol::Http) else { return };
        let Some(mut command) = as_nobody(&format!("{OBSERVING},{rights}")) else { return };
        let agent = agent(&mut command, &receiver, config);
        if is_hidden {
            wait_for("what is missing", 3 * SOON, || {
                agent.told().contains("kernel functions have no names").then_some(())
            });
            let before = receiver.samples().len();
            wait_for("more profiles", 3 * SOON, || (receiver.samples().len() > before + 20).then_some(()));
            expect_told_once(&agent, "kernel functions have no names");
            assert!(agent.told().contains("CAP_SYSLOG"), "{}", agent.told());
        } else {
            // A function by which everybody enters the kernel, or one that everybody calls there.
            wait_for("names of the kernel", 3 * SOON, || {
                ["do_syscall_64", "el0_svc"]
                    .iter()
                    .any(|name| names_function(&receiver, demo.pid(), name))
                    .then_some(())
            });
            assert!(!agent.told().contains("kernel functions have no names"), "{}", agent.told());
        }
    }
}
