//! What goes wrong around a process that is measured from outside: it ends, becomes another, lies, or the agent does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::fixture::Program;
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{Agent, as_nobody};
use loopscope_tests::metrics::Metrics;
use loopscope_tests::node;
use loopscope_tests::process::Guarded;
use loopscope_tests::requirement;
use loopscope_tests::truth::{Truthful, number};

const ALL: &[&str] = &["--tier", "all", "--budget", "50%"];

/// A loop that comes to its poll fifty times a second.
const TICKING: &str =
    "setInterval(() => {}, 20); console.log('ready'); process.stdin.on('end', () => process.exit()).resume()";

/// How many processes come and go, and how many at the same time: far more than 200 a minute.
const SHORT_LIVED: usize = 200;
const AT_A_TIME: usize = 4;

/// The newest Node.js that there is.
fn newest() -> Option<std::path::PathBuf> {
    node::all().pop().map(|node| node.program)
}

fn started(command: &mut Command) -> Guarded {
    let mut program = Guarded::start(command);
    program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    program
}

fn ticking(program: &Path) -> Guarded {
    started(Command::new(program).args(["-e", TICKING]))
}

/// Waits until the agent has counted iterations of the process by its probes.
#[track_caller]
fn wait_until_probed(agent: &Agent, pid: u32) {
    let pid = pid.to_string();
    wait_for("iterations to be counted", SOON, || {
        agent.scrape().value("eventloop_lag_seconds_count", &[("pid", &pid)]).filter(|&count| count >= 2.0)
    });
}

/// Expects that the agent counts each iteration once: as often as libuv itself.
#[track_caller]
fn expect_counted_once(agent: &Agent, pid: u32) {
    let pid = pid.to_string();
    let labels = [("pid", pid.as_str()), ("loop", "main")];
    let before = agent.scrape();
    let enough = || {
        let after = agent.scrape();
        let grown = after.growth(&before, "eventloop_iterations_total", &labels);
        (grown >= 50.0).then_some((grown, after))
    };
    let (iterations, after) = wait_for("fifty iterations", SOON, enough);
    let counted = after.growth(&before, "eventloop_lag_seconds_count", &labels);
    // One may be under way at either scrape.
    assert!((counted - iterations).abs() <= 2.0, "{counted} counted of {iterations}");
}

#[test]
fn a_target_that_is_killed_is_forgotten_and_the_next_is_found() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let agent = Agent::start_with(ALL);
    for _ in 0..2 {
        let target = ticking(&program);
        let pid = target.pid();
        wait_until_probed(&agent, pid);
        target.kill();
        wait_for("its series to end", SOON, || {
            agent.scrape().value("process_threads", &[("pid", &pid.to_string())]).is_none().then_some(())
        });
        let said = format!("process {pid}: no longer measured");
        wait_for("the agent to say so", SOON, || agent.told().contains(&said).then_some(()));
    }
}

#[test]
fn a_target_that_executes_another_program_is_no_target_any_more() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let probe = Command::new(&program).args(["-p", "typeof process.execve"]).output().expect("node runs");
    if probe.stdout.trim_ascii() != b"function" {
        requirement::skip("Node.js 24 or newer is missing, which can execute another program");
        return;
    }
    let agent = Agent::start_with(ALL);
    let sleep = format!(
        "{TICKING}; process.stdin.on('data', () => process.execve('/bin/sleep', ['sleep', '60'], process.env))"
    );
    let mut target = started(Command::new(&program).args(["-e", &sleep]));
    wait_until_probed(&agent, target.pid());
    target.tell("go");
    let pid = target.pid().to_string();
    wait_for("its series to end", SOON, || {
        agent.scrape().value("eventloop_iterations_total", &[("pid", &pid)]).is_none().then_some(())
    });
}

#[test]
fn a_target_that_forks_and_its_child_are_told_apart() {
    if !requirement::root() {
        return;
    }
    let Some(program) = Program::Ticks.build() else { return };
    let mut parent = Truthful::start(&mut Command::new(program));
    let agent = Agent::start_with(ALL);
    parent.wait_until_measured(&agent, "phases");
    let child = parent.go()["child"].as_u64().expect("it has forked").to_string();
    let counted = |scraped: &Metrics, pid: &str| {
        scraped.value("eventloop_lag_seconds_count", &[("pid", pid)]).filter(|&count| count >= 2.0)
    };
    wait_for("the child to be measured", SOON, || counted(&agent.scrape(), &child));
    // A scrape between two looks at the ticks: whatever the machine does meanwhile, there were no fewer and no more.
    let mut look = || {
        let earliest = number(&parent.go(), "ticks");
        (earliest, agent.scrape(), number(&parent.go(), "ticks"))
    };
    let before = look();
    let grown =
        |after: &Metrics, pid: &str| after.growth(&before.1, "eventloop_lag_seconds_count", &[("pid", pid)]);
    let after = wait_for("a hundred ticks of the child", SOON, || {
        Some(look()).filter(|after| grown(&after.1, &child) >= 100.0)
    });
    let (fewest, most) = (after.0 - before.2, after.2 - before.0);
    for pid in [parent.pid(), &child] {
        let grown = grown(&after.1, pid);
        // Each tick is an iteration.
        assert!((0.7 * fewest..1.4 * most).contains(&grown), "{grown} iterations, {fewest} to {most} ticks");
    }
}

#[test]
fn an_agent_that_was_killed_leaves_no_probe_and_two_count_each_for_themselves() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let target = ticking(&program);
    let killed = Agent::start_with(ALL);
    wait_until_probed(&killed, target.pid());
    killed.kill();
    let agents = [Agent::start_with(ALL), Agent::start_with(ALL)];
    for agent in &agents {
        wait_until_probed(agent, target.pid());
    }
    for agent in &agents {
        expect_counted_once(agent, target.pid());
    }
}

#[test]
fn a_target_whose_file_was_replaced_is_measured_by_the_file_that_it_runs() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let folder = Folder::new("replaced");
    let copy = folder.file("node");
    fs::copy(&program, &copy).expect("a copy of node");
    let target = ticking(&copy);
    let other = folder.file("other");
    fs::write(&other, "#!/bin/sh\n").expect("a scratch file");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o755)).expect("our own file");
    fs::rename(&other, &copy).expect("our own files");
    let agent = Agent::start_with(ALL);
    wait_until_probed(&agent, target.pid());
    expect_counted_once(&agent, target.pid());
}

#[test]
fn a_target_in_a_container_is_measured_from_the_host() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let Some(unshare) = requirement::program("unshare") else { return };
    let mut command = Command::new(unshare);
    command
        .args(["--fork", "--pid", "--mount", "--mount-proc", "--kill-child"])
        .arg(&program)
        .args(["-e", TICKING]);
    let container = started(&mut command);
    let children = format!("/proc/{0}/task/{0}/children", container.pid());
    let pid = fs::read_to_string(children).expect("the container runs").trim().parse().expect("one child");
    let agent = Agent::start_with(ALL);
    wait_until_probed(&agent, pid);
    expect_counted_once(&agent, pid);
}

#[test]
fn two_hundred_processes_that_come_and_go_leave_nothing_behind() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let agent = Agent::start_with(ALL);
    let target = ticking(&program);
    wait_until_probed(&agent, target.pid());
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", agent.pid())).expect("the agent runs").count();
    let before = descriptors();
    // Some end before they are found, some while probes are placed, some later.
    let (mut running, mut pids) = (Vec::new(), Vec::new());
    for number in 0..SHORT_LIVED {
        let script = format!("setTimeout(() => {{}}, {})", number % 8 * 50);
        let process = Guarded::start(Command::new(&program).args(["-e", &script]));
        pids.push(format!("pid=\"{}\"", process.pid()));
        running.push(process);
        if running.len() == AT_A_TIME {
            running.drain(..).for_each(|process| drop(process.succeed(SOON)));
        }
    }
    wait_for("the agent to let go of them", SOON, || {
        let metrics = agent.metrics();
        let is_gone = !pids.iter().any(|pid| metrics.contains(pid));
        (is_gone && descriptors() <= before + 4).then_some(())
    });
    let scraped = agent.scrape();
    for cause in ["threads_full", "tasks_full", "histograms_full", "events_full"] {
        assert_eq!(scraped.value("loopscope_probe_losses_total", &[("cause", cause)]), Some(0.0), "{cause}");
    }
    expect_counted_once(&agent, target.pid());
}

#[test]
fn a_target_that_lies_about_its_memory_costs_nobody_anything() {
    if !requirement::root() {
        return;
    }
    let Some(liar) = Program::Lies.build() else { return };
    let liar = started(&mut Command::new(liar));
    let agent = Agent::start_with(ALL);
    let pid = liar.pid().to_string();
    wait_for("the liar to be looked at", SOON, || {
        agent.scrape().value("process_threads", &[("pid", &pid)]).filter(|&threads| threads == 1.0)
    });
    let scraped = agent.scrape();
    let busy = scraped.value("threadpool_threads", &[("pid", &pid), ("state", "busy")]);
    assert!(busy.is_none_or(|busy| busy <= 1024.0), "{busy:?}");
    assert!(scraped.value("eventloop_time_seconds_total", &[("pid", &pid)]).is_none_or(|time| time < 60.0));
}

#[test]
fn a_target_whose_symbols_lie_goes_on_and_the_others_are_measured_right() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let Some(liar) = Program::Symbols.build() else { return };
    let mut liar = started(&mut Command::new(liar));
    let honest = ticking(&program);
    let agent = Agent::start_with(ALL);
    wait_until_probed(&agent, honest.pid());
    let pid = liar.pid().to_string();
    let hits = || agent.scrape().value("loopscope_probe_hits_total", &[("pid", &pid)]);
    wait_for("the liar to run into probes", SOON, || hits().filter(|&hits| hits >= 2000.0));
    expect_counted_once(&agent, honest.pid());
    assert!(liar.is_running(), "it does what it did before");
    let tasks = agent.scrape().value("threadpool_tasks_total", &[("pid", &honest.pid().to_string())]);
    assert!(tasks.is_none_or(|tasks| tasks < 100.0), "another's tasks are not its own: {tasks:?}");
    agent.stop(SOON);
}

#[test]
fn each_tier_works_with_the_rights_that_it_needs_and_names_the_one_that_is_missing() {
    let (true, Some(program)) = (requirement::root(), newest()) else { return };
    let target = ticking(&program);
    let pid = target.pid().to_string();

    let Some(mut command) = as_nobody("+bpf,+perfmon,+sys_ptrace") else { return };
    let agent = Agent::start_by(&mut command, ALL);
    wait_until_probed(&agent, target.pid());
    for tier in ["observe", "loop", "phases", "pool"] {
        let active = agent.scrape().value("loopscope_tier_active", &[("pid", &pid), ("tier", tier)]);
        assert_eq!(active, Some(1.0), "{tier}: {}", agent.told());
    }

    for (capabilities, missing, present) in [
        ("+perfmon,+sys_ptrace", "CAP_BPF is missing: run with it, or as root", "CAP_PERFMON"),
        ("+bpf,+sys_ptrace", "CAP_PERFMON is missing: run with it, or as root", "CAP_BPF"),
        ("+sys_ptrace", "CAP_BPF and CAP_PERFMON are missing: run with them, or as root", "is missing: run"),
    ] {
        let Some(mut command) = as_nobody(capabilities) else { return };
        let agent = Agent::start_by(&mut command, ALL);
        wait_for("the process to be observed", SOON, || {
            agent.scrape().value("eventloop_away_seconds", &[("pid", &pid)])
        });
        let active = |tier| agent.scrape().value("loopscope_tier_active", &[("pid", &pid), ("tier", tier)]);
        assert_eq!((active("observe"), active("loop")), (Some(1.0), Some(0.0)), "{capabilities}");
        let told = agent.told();
        assert!(told.contains(missing) && !told.contains(present), "{capabilities}: {told}");
    }

    let Some(mut command) = as_nobody("+bpf,+perfmon") else { return };
    let agent = Agent::start_by(&mut command, ALL);
    wait_for("the agent to have looked", SOON, || agent.told().contains("CAP_SYS_PTRACE").then_some(()));
    assert_eq!(agent.scrape().value("eventloop_away_seconds", &[("pid", &pid)]), None);
}
