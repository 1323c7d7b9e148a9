//! What an agent may do once it runs: what measuring needs, and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{Agent, as_root_without};
use loopscope_tests::process::Guarded;
use loopscope_tests::{node, requirement};

const NOBODY: u32 = 65534;

/// Numbers of capabilities, as `linux/capability.h` has them.
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const PERFMON: u32 = 38;
const BPF: u32 = 39;
const CHECKPOINT_RESTORE: u32 = 40;

const OBSERVING: &[u32] = &[DAC_READ_SEARCH, SYS_PTRACE, CHECKPOINT_RESTORE];

const TICKING: &str = "setInterval(() => require('fs').stat('/', () => {}), 20); console.log('ready'); \
                       process.stdin.on('end', () => process.exit()).resume()";

/// Expects that every thread of a process has these capabilities and no others, in all sets that count.
#[track_caller]
fn expect_rights(pid: u32, capabilities: &[u32]) {
    let expected: u64 = capabilities.iter().map(|number| 1 << number).sum();
    let threads: Vec<_> = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").collect();
    assert!(threads.len() >= 2, "the thread that measures is there");
    for thread in threads {
        let status = thread.expect("it runs").path().join("status");
        let status = fs::read_to_string(status).expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
            line.expect("the kernel tells it").trim().to_owned()
        };
        for (set, wanted) in
            [("CapEff", expected), ("CapPrm", expected), ("CapBnd", expected), ("CapInh", 0), ("CapAmb", 0)]
        {
            let has = u64::from_str_radix(&field(set), 16).expect("a number");
            assert_eq!(has, wanted, "{set} is {has:#x}, not {wanted:#x}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
    }
}

fn is_before_6_6() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel tells it");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (6, 6)
}

/// A Node.js of another user, from a folder that nobody else may enter.
fn of_nobody(node: &Path, folder: &Folder) -> Guarded {
    let private = folder.file("private");
    fs::create_dir(&private).expect("our own folder");
    let program = private.join("node");
    fs::copy(node, &program).expect("a copy of node");
    for path in [&program, &private] {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("we are root");
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("we are root");
    }
    let mut command = Command::new(program);
    command
        .args(["-e", TICKING])
        .env("OTEL_SERVICE_NAME", "private")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY);
    let mut target = Guarded::start(&mut command);
    target.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    target
}

#[test]
fn an_agent_of_root_keeps_what_measuring_needs_and_measures_whoever_comes_later() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let folder = Folder::public("privileges");
    let agent = Agent::start_with(&["--tier", "all", "--budget", "90%"]);
    let mut rights = [OBSERVING, &[PERFMON, BPF]].concat();
    if is_before_6_6() {
        rights.push(SYS_ADMIN);
    }
    expect_rights(agent.pid(), &rights);

    let target = of_nobody(&node.program, &folder);
    let pid = target.pid().to_string();
    let own = [("pid", pid.as_str()), ("service", "private")];
    for name in ["eventloop_iterations_total", "eventloop_lag_seconds_count", "threadpool_tasks_total"] {
        wait_for(name, SOON, || agent.scrape().value(name, &own).filter(|&value| value >= 2.0));
    }
    let phases = [("pid", pid.as_str()), ("phase", "timers")];
    wait_for("phases", SOON, || agent.scrape().value("eventloop_phase_duration_seconds_count", &phases));
    for tier in ["observe", "loop", "phases", "pool"] {
        let active = agent.scrape().value("loopscope_tier_active", &[("pid", &pid), ("tier", tier)]);
        assert_eq!(active, Some(1.0), "{tier}: {}", agent.told());
    }
    assert!(agent.scrape().value("process_open_fds", &own).is_some_and(|count| count >= 3.0));
    expect_rights(agent.pid(), &rights);
}

#[test]
fn an_agent_that_places_no_probes_keeps_no_right_to_place_them() {
    if !requirement::root() {
        return;
    }
    let agent = Agent::start();
    expect_rights(agent.pid(), OBSERVING);
}

#[test]
fn root_that_lacks_one_right_is_told_which_and_how_a_container_gets_it() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let folder = Folder::public("one-right-fewer");
    let target = of_nobody(&node.program, &folder);
    let pid = target.pid().to_string();
    for (without, told, untold) in [
        ("-bpf,-sys_admin", "CAP_BPF is missing, which root has not in a container", "--cap-add PERFMON"),
        ("-perfmon,-sys_admin", "CAP_PERFMON is missing, which root has not in a container", "--cap-add BPF"),
        ("-bpf,-perfmon,-sys_admin", "(--cap-add BPF --cap-add PERFMON)", "run with"),
    ] {
        let Some(mut command) = as_root_without(without) else { return };
        let agent = Agent::start_by(&mut command, &["--tier", "all", "--budget", "90%"]);
        wait_for("the process to be observed", SOON, || {
            agent.scrape().value("eventloop_away_seconds", &[("pid", &pid)])
        });
        let said = wait_for("the right to be named", SOON, || {
            Some(agent.told()).filter(|said| said.contains("the kernel refuses BPF programs"))
        });
        let told = if is_before_6_6() { "CAP_SYS_ADMIN is missing, which root has not" } else { told };
        assert!(said.contains(told) && !said.contains(untold), "{without}: {said}");
        assert!(!said.contains("as root"), "{without}: {said}");
    }
}
