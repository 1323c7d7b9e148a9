//! An agent that is not the host's: in a pid namespace or a user namespace of its own, or root without the rights of one.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::process::Guarded;
use loopscope_tests::{node, requirement};

/// Ticks 200 times a second, and is slow once a second.
const TICKING: &str = "setInterval(() => {}, 5); \
                       setInterval(() => { const end = Date.now() + 80; while (Date.now() < end); }, 1000)";

/// Within as many iterations the agent has looked more than once for threads that have ended, as it does every ten seconds.
const ITERATIONS: f64 = 4500.0;

#[test]
fn an_agent_in_the_pid_namespace_of_its_target_measures_it_on_and_on() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let Some(unshare) = requirement::program("unshare") else { return };
    let mut command = Command::new(unshare);
    command.args(["--fork", "--pid", "--mount-proc", "--kill-child", "sh", "-c"]);
    command.arg("OTEL_SERVICE_NAME=nested \"$0\" -e \"$1\" >/dev/null & shift; exec \"$@\"");
    command.arg(node.program).arg(TICKING).arg(loopscope::program());
    let agent = Agent::start_by(&mut command, &["--tier", "all", "--budget", "90%", "--slow", "50ms"]);
    let own = [("service", "nested"), ("loop", "main")];
    let counted = || agent.scrape().value("eventloop_lag_seconds_count", &own).filter(|&count| count >= 2.0);
    wait_for("iterations to be counted", SOON, counted);
    let before = agent.scrape();
    let after = wait_for("many iterations", 4 * SOON, || {
        let after = agent.scrape();
        (after.growth(&before, "eventloop_iterations_total", &own) >= ITERATIONS).then_some(after)
    });
    let iterations = after.growth(&before, "eventloop_iterations_total", &own);
    let lags = after.growth(&before, "eventloop_lag_seconds_count", &own);
    // One may be under way at either scrape.
    assert!((lags - iterations).abs() <= 2.0, "{lags} counted of {iterations}: {}", agent.told());
    let slow = agent.get("/slow", ("accept", "application/json"));
    let slow: serde_json::Value = serde_json::from_str(slow.text()).expect("JSON");
    let slow = slow["slow_iterations"].as_array().expect("a list");
    let of_nested: Vec<_> = slow.iter().filter(|entry| entry["service"] == "nested").collect();
    assert!(!of_nested.is_empty());
    for entry in of_nested {
        assert_eq!(entry["loop"], "main", "Node.js has loops of its own, which are left out: {entry}");
        assert_eq!(
            entry["thread"], entry["pid"],
            "the main thread, by the number that it has there: {entry}"
        );
    }
}

/// An agent that may look at nobody, and what it says of that.
#[track_caller]
fn told_by(command: &mut Command) -> String {
    let agent = Agent::start_by(command, &[]);
    wait_for("the agent to have looked", SOON, || {
        agent.told().contains("may not be looked at").then_some(())
    });
    let told = agent.told();
    assert_eq!(told.matches("may not be looked at").count(), 1, "{told}");
    assert!(!told.contains("run as root"), "{told}");
    agent.stop(SOON);
    told
}

#[test]
fn root_is_not_told_to_become_root() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let (Some(setpriv), Some(unshare)) = (requirement::program("setpriv"), requirement::program("unshare"))
    else {
        return;
    };
    // Somebody who may not be looked at.
    let _target = Guarded::start(Command::new(node.program).args(["-e", TICKING]));
    let mut without = Command::new(setpriv);
    without.args(["--inh-caps=-sys_ptrace", "--bounding-set=-sys_ptrace"]).arg(loopscope::program());
    assert!(told_by(&mut without).contains("--cap-add SYS_PTRACE"));
    let mut apart = Command::new(unshare);
    apart.args(["--user", "--map-root-user"]).arg(loopscope::program());
    assert!(told_by(&mut apart).contains("within this user namespace only"));
}
