//! The units, run by a real systemd: they start as they are packaged, with the rights that they name and no others, and reload, restart and stop
//! as an operator asks.

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::packaging::Unit;
use loopscope_tests::requirement;
use loopscope_tests::systemd::Host;

const AGENT: &str = "loopscope-agent.service";
const COLLECTOR: &str = "loopscope-collector.service";

const TICKING: &str =
    "setInterval(() => require('fs').stat('/', () => {}), 20); setTimeout(() => process.exit(), 600000)";

/// A line of `/proc/PID/status`.
fn status(host: &Host, pid: &str, key: &str) -> String {
    let told = host.proc(pid, "status");
    let line = told.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":"));
    line.unwrap_or_else(|| panic!("no {key}: {told}")).trim().to_owned()
}

/// What a service answers.
fn get(host: &Host, url: &str) -> Option<String> {
    let output = host.run(&["curl", "--silent", "--fail", url]);
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The sum of a metric's series with this text in their labels.
fn value(host: &Host, name: &str, label: &str) -> Option<f64> {
    let metrics = get(host, "http://127.0.0.1:9464/metrics")?;
    let series = metrics.lines().filter(|line| line.starts_with(name) && line.contains(label));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).reduce(|sum, value| sum + value)
}

/// Capabilities as the kernel numbers them.
fn mask(names: &str) -> u64 {
    let number = |name: &str| match name {
        "CAP_DAC_READ_SEARCH" => 2,
        "CAP_SYS_PTRACE" => 19,
        "CAP_PERFMON" => 38,
        "CAP_BPF" => 39,
        other => panic!("{other}: its number is not known here"),
    };
    names.split_whitespace().map(|name| 1_u64 << number(name)).sum()
}

#[test]
fn the_agents_unit_measures_another_users_process_with_the_rights_that_it_names() {
    let Some(node) = requirement::program("node") else { return };
    if requirement::program("curl").is_none() {
        return;
    }
    let Some(host) = Host::boot(&[AGENT], &[("loopscope-agent", "LOOPSCOPE_SLOW=20ms\n")]) else { return };
    let agent = host.wait_for_service(AGENT);
    wait_for("the agent to be ready", SOON, || get(&host, "http://127.0.0.1:9464/-/ready"));
    assert_ne!(status(&host, &agent, "Uid").split_whitespace().next(), Some("0"), "it has a user of its own");
    assert_eq!(status(&host, &agent, "NoNewPrivs"), "1");
    assert_eq!(status(&host, &agent, "Seccomp"), "2", "its system calls are filtered");
    let named = mask(Unit::read().values("CapabilityBoundingSet")[0]);
    for set in ["CapBnd", "CapPrm", "CapEff"] {
        let has = u64::from_str_radix(&status(&host, &agent, set), 16).expect("a mask");
        assert_eq!(has & !named, 0, "{set}: {has:x}");
    }
    let effective = u64::from_str_radix(&status(&host, &agent, "CapEff"), 16).expect("a mask");
    assert_eq!(
        effective & mask("CAP_SYS_PTRACE CAP_DAC_READ_SEARCH"),
        mask("CAP_SYS_PTRACE CAP_DAC_READ_SEARCH")
    );
    // Of a user who is neither root nor the agent's.
    let node = node.to_str().expect("a path in UTF-8");
    let script = format!(
        "OTEL_SERVICE_NAME=beside setpriv --reuid 1234 --clear-groups {node} -e \"{TICKING}\" >/dev/null 2>&1 &"
    );
    host.told(&["sh", "-c", &script]);
    wait_for("the process to be measured", 3 * SOON, || {
        value(&host, "eventloop_iterations_total", "service=\"beside\"").filter(|count| *count >= 2.0)
    });
    // It may write to its own folder, and nowhere else.
    host.told(&["test", "-d", "/var/lib/private/loopscope"]);
    let read = value(&host, "loopscope_config_last_reload_success_timestamp_seconds", "");
    wait_for("a configuration that was read later", SOON, || {
        host.told(&["systemctl", "reload", AGENT]);
        (value(&host, "loopscope_config_last_reload_success_timestamp_seconds", "") > read).then_some(())
    });
    assert_eq!(host.wait_for_service(AGENT), agent, "it is the same process");
    host.told(&["systemctl", "stop", AGENT]);
    let told = host.properties(AGENT);
    assert_eq!((told["ActiveState"].as_str(), told["Result"].as_str()), ("inactive", "success"));
}

#[test]
fn the_collectors_unit_keeps_what_it_took_over_a_restart_and_has_no_right_at_all() {
    if requirement::program("curl").is_none() {
        return;
    }
    let Some(host) = Host::boot(&[COLLECTOR], &[]) else { return };
    let collector = host.wait_for_service(COLLECTOR);
    wait_for("the collector to be ready", SOON, || get(&host, "http://127.0.0.1:4040/-/ready"));
    assert_ne!(status(&host, &collector, "Uid").split_whitespace().next(), Some("0"));
    assert_eq!(
        (status(&host, &collector, "NoNewPrivs"), status(&host, &collector, "Seccomp")),
        ("1".into(), "2".into())
    );
    for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(status(&host, &collector, set), "0000000000000000", "{set}");
    }
    let ingest = "http://127.0.0.1:4040/ingest?name=shop&format=folded";
    host.told(&["curl", "--silent", "--fail", "--data-binary", "main;work 3", ingest]);
    host.told(&["systemctl", "reload", COLLECTOR]);
    assert_eq!(host.wait_for_service(COLLECTOR), collector, "it is the same process");
    host.told(&["systemctl", "restart", COLLECTOR]);
    assert_ne!(host.wait_for_service(COLLECTOR), collector);
    let folded =
        wait_for("the profile", SOON, || get(&host, "http://127.0.0.1:4040/api/v1/flamegraph?format=folded"));
    assert_eq!(folded, "main;work 30000000\n");
    host.told(&["test", "-d", "/var/lib/private/loopscope-collector/wal"]);
    host.told(&["systemctl", "stop", COLLECTOR]);
    let told = host.properties(COLLECTOR);
    assert_eq!((told["ActiveState"].as_str(), told["Result"].as_str()), ("inactive", "success"));
}
