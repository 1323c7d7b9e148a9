//! `SIGHUP`: other settings for an agent that runs, without losing what it has measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::process::Guarded;
use loopscope_tests::{node, requirement};

/// A loop that comes to its poll fifty times a second, and gives the pool work.
const TICKING: &str = "setInterval(() => require('fs').stat('/', () => {}), 20); console.log('ready'); \
                       process.stdin.on('end', () => process.exit()).resume()";

fn ticking(program: &Path) -> Guarded {
    let mut target = Guarded::start(Command::new(program).args(["-e", TICKING]));
    target.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    target
}

/// Sends the signal, and waits until the agent says that it has read the configuration, with this word.
fn reload(agent: &Agent, config: &Path, text: &str, word: &str) {
    fs::write(config, text).expect("our own file");
    let before = agent.told().matches(word).count();
    agent.signal("HUP");
    wait_for("the agent to have read it", SOON, || {
        (agent.told().matches(word).count() > before).then_some(())
    });
}

#[test]
fn settings_change_while_targets_stay_attached_and_their_counters_go_on() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let folder = Folder::new("reload");
    let config = folder.file("agent.toml");
    let rest = "budget = '90%'\n";
    fs::write(&config, format!("tier = 'loop'\n{rest}")).expect("our own file");
    let (kept, other) = (ticking(&node.program), ticking(&node.program));
    let (pid, other_pid) = (kept.pid().to_string(), other.pid().to_string());
    let path = config.to_str().expect("our own name");
    let agent = Agent::start_by(&mut loopscope::command(), &["--config", path]);
    let value = |name: &str, labels: &[(&str, &str)]| agent.scrape().value(name, labels);
    let lag = |pid: &str| value("eventloop_lag_seconds_count", &[("pid", pid)]).unwrap_or(0.0);
    wait_for("both to be probed", SOON, || (lag(&pid) >= 20.0 && lag(&other_pid) >= 20.0).then_some(()));
    let active = |tier: &str| value("loopscope_tier_active", &[("pid", &pid), ("tier", tier)]);
    assert_eq!((active("loop"), active("pool")), (Some(1.0), None));

    // One more tier, another name, another threshold.
    let before = agent.scrape();
    let rules = format!(
        "tier = 'loop,pool'\nslow = '1us'\n{rest}[[rule]]\ncommand = '*nothing-has-this*'\ninclude = false\n\
         [[rule]]\nname = 'node'\nrename = 'renamed'\n"
    );
    reload(&agent, &config, &rules, "configuration read again");
    wait_for("the pool to be probed", SOON, || {
        value("threadpool_tasks_total", &[("pid", &pid), ("service", "renamed")])
            .filter(|&tasks| tasks >= 5.0)
    });
    wait_for("iterations to count as slow", SOON, || {
        value("eventloop_slow_iterations_total", &[("pid", &pid)]).filter(|&slow| slow >= 5.0)
    });
    let after = agent.scrape();
    for name in ["eventloop_lag_seconds_count", "eventloop_iterations_total"] {
        let labels = [("pid", pid.as_str())];
        assert!(after.growth(&before, name, &labels) > 0.0, "{name} began anew");
    }
    // Each iteration was counted once, the change included.
    let labels = [("pid", pid.as_str()), ("loop", "main")];
    let iterations = after.growth(&before, "eventloop_iterations_total", &labels);
    let counted = after.growth(&before, "eventloop_lag_seconds_count", &labels);
    assert!((counted - iterations).abs() <= 2.0, "{counted} counted of {iterations}");

    // A mistake changes nothing, and is told.
    reload(&agent, &config, "teir = 'all'\n", "stays in use");
    assert!(agent.told().contains("did you mean `tier`?"), "{}", agent.told());
    assert_eq!(value("loopscope_config_last_reload_successful", &[]), Some(0.0));
    assert_eq!((active("loop"), active("pool")), (Some(1.0), Some(1.0)));

    // Left out, and taken in again.
    let user = "[[rule]]\nname = 'node'\ninclude = false\n";
    reload(&agent, &config, &format!("tier = 'loop'\n{rest}{user}"), "configuration read again");
    wait_for("its series to end", SOON, || {
        value("process_threads", &[("pid", &pid)]).is_none().then_some(())
    });
    assert_eq!(value("loopscope_config_last_reload_successful", &[]), Some(1.0));
    reload(&agent, &config, &format!("tier = 'observe'\n{rest}"), "configuration read again");
    wait_for("both to be observed", SOON, || {
        let seen = |pid: &str| value("eventloop_iterations_total", &[("pid", pid)]);
        (seen(&pid).is_some() && seen(&other_pid).is_some()).then_some(())
    });
    assert_eq!(active("loop"), None);
}

#[test]
fn names_of_metrics_change_with_the_configuration() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let folder = Folder::new("reload-names");
    let config = folder.file("agent.toml");
    fs::write(&config, "").expect("our own file");
    let target = ticking(&node.program);
    let pid = target.pid().to_string();
    let agent = Agent::start_with(&["--config", config.to_str().expect("our own name")]);
    let has = |name: &str| agent.scrape().value(name, &[("pid", &pid)]).is_some();
    wait_for("the process to be observed", SOON, || has("eventloop_iterations_total").then_some(()));
    assert!(!has("nodejs_eventloop_lag_seconds"));
    reload(&agent, &config, "prom_client = true\n", "configuration read again");
    wait_for("the other names", SOON, || agent.metrics().contains("nodejs_version_info").then_some(()));
}
