//! What packages install: the rights that they give are enough, and no more than the documents say.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{self, Agent, as_nobody};
use loopscope_tests::packaging::{self, Unit};
use loopscope_tests::process::Guarded;
use loopscope_tests::{node, requirement};

const ALL: &[&str] = &["--tier", "all", "--budget", "90%"];

/// How exposed the unit may be, of 100, as `systemd-analyze security` reckons: its four capabilities weigh most.
const EXPOSURE_MAX: &str = "30";

const TICKING: &str = "setInterval(() => require('fs').stat('/', () => {}), 20); console.log('ready'); \
                       process.stdin.on('end', () => process.exit()).resume()";

/// A Node.js of some user, with a name that only its environment tells.
fn target(program: &Path, user: u32) -> Guarded {
    let mut command = Command::new(program);
    command.args(["-e", TICKING]).env("OTEL_SERVICE_NAME", "packaged").current_dir("/").uid(user).gid(user);
    let mut target = Guarded::start(&mut command);
    target.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    target
}

#[track_caller]
fn expect_all_tiers(agent: &Agent, target: &Guarded) {
    let pid = target.pid().to_string();
    let own = [("pid", pid.as_str()), ("service", "packaged")];
    for name in ["eventloop_lag_seconds_count", "threadpool_tasks_total"] {
        wait_for(name, SOON, || agent.scrape().value(name, &own).filter(|&value| value >= 2.0));
    }
    for tier in ["observe", "loop", "phases", "pool"] {
        let active = agent.scrape().value("loopscope_tier_active", &[("pid", &pid), ("tier", tier)]);
        assert_eq!(active, Some(1.0), "{tier}: {}", agent.told());
    }
}

#[test]
fn systemd_understands_the_agents_unit_and_finds_it_hardened() {
    // It asks for the program at its place.
    let text = Unit::read().with_program(loopscope::program().to_str().expect("a path of ours"));
    expect_hardened("loopscope-agent.service", &text, EXPOSURE_MAX);
}

#[test]
fn systemd_understands_the_collectors_unit_and_finds_it_to_have_no_rights() {
    let text = packaging::text("systemd/loopscope-collector.service");
    let program = loopscope::collector_program();
    let text = text.replace("/usr/bin/loopscope-collector", program.to_str().expect("a path of ours"));
    expect_hardened("loopscope-collector.service", &text, "15");
}

/// Of 100.
#[track_caller]
fn expect_hardened(name: &str, text: &str, exposure_max: &str) {
    let Some(analyze) = requirement::program("systemd-analyze") else { return };
    let folder = Folder::new("unit");
    let unit = folder.file(name);
    fs::write(&unit, text).expect("our own file");
    let verified =
        Command::new(&analyze).args(["verify", "--man=no"]).arg(&unit).output().expect("it starts");
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    // It may have something to say of the machine's own units.
    let of_ours: Vec<_> = told.lines().filter(|line| line.contains("loopscope")).collect();
    assert!(of_ours.is_empty(), "{told}");
    let mut judge = Command::new(&analyze);
    judge.args(["security", "--no-pager", "--offline=true", "--threshold", exposure_max]).arg(&unit);
    let judged = judge.output().expect("it starts");
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

#[test]
fn the_units_capabilities_are_enough_for_every_tier_and_for_names() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let unit = Unit::read();
    let capabilities = unit.capabilities("AmbientCapabilities");
    assert_eq!(capabilities, unit.capabilities("CapabilityBoundingSet"));
    let Some(mut command) = as_nobody(&capabilities) else { return };
    let agent = Agent::start_by(&mut command, ALL);
    expect_all_tiers(&agent, &target(&node.program, 0));
    expect_all_tiers(&agent, &target(&node.program, 1234));
    assert_eq!(unit.values("ExecReload"), ["/bin/kill -HUP $MAINPID"]);
    agent.signal("HUP");
    wait_for("the agent to read again", SOON, || agent.told().contains("read again").then_some(()));
}

#[test]
fn the_unit_lets_every_system_call_of_the_agent_through() {
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let (Some(strace), Some(_)) = (requirement::program("strace"), requirement::program("systemd-analyze"))
    else {
        return;
    };
    let folder = Folder::new("calls");
    let log = folder.file("calls");
    let mut command = Command::new(strace);
    // The agent is the process that is started, and not its tracer.
    command
        .args(["--daemonize", "--follow-forks", "--quiet=all", "--output"])
        .arg(&log)
        .arg(loopscope::program());
    let web = folder.file("web.yml");
    fs::write(&web, "rate_limit: {interval: 1ms, burst: 1000}\n").expect("our own file");
    let web = web.to_str().expect("our own name");
    let agent = Agent::start_by(&mut command, &[ALL, &["--web-config", web]].concat());
    expect_all_tiers(&agent, &target(&node.program, 0));
    agent.signal("HUP");
    wait_for("the agent to read again", SOON, || agent.told().contains("read again").then_some(()));
    agent.stop(SOON);
    let log = fs::read_to_string(log).expect("it was written");
    let call = |line: &str| Some(line.split_whitespace().nth(1)?.split_once('(')?.0.to_owned());
    // Of a thread that ends in the midst of a call strace cannot always tell which it was.
    let is_told = |call: &String| call != "???";
    let made: BTreeSet<String> = log.lines().filter_map(call).filter(is_told).collect();
    assert!(made.contains("bpf") && made.contains("process_vm_readv"), "{made:?}");
    let allowed = Unit::read().system_calls();
    let refused: Vec<_> = made.iter().filter(|call| !allowed.contains(*call)).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn kubernetes_knows_every_key_of_the_daemon_set() {
    let Some(python) = requirement::program("python3") else { return };
    let Some(packages) = std::env::var_os("LOOPSCOPE_KUBERNETES") else {
        return requirement::skip("LOOPSCOPE_KUBERNETES names no packages; `cargo xtask test` fetches them");
    };
    let folder = Folder::new("manifest");
    let judge = |text: &str, version: &str| {
        let manifest = folder.file("daemonset.yaml");
        fs::write(&manifest, text).expect("our own file");
        let mut judge = Command::new(&python);
        judge.args(["-m", "kubernetes_validate", "--strict", "--kubernetes-version", version]).arg(manifest);
        let judged = judge.env("PYTHONPATH", &packages).output().expect("it starts");
        (judged.status.success(), String::from_utf8_lossy(&judged.stdout).into_owned())
    };
    let text = packaging::text("kubernetes/daemonset.yaml");
    // The lines that are commented out are to be understood, too.
    let all: String = text
        .lines()
        .map(|line| line.replacen("# - {", "- {", 1).replacen("# volume", "volume", 1) + "\n")
        .collect();
    let all = all.replace("#   - {name: web", "  - {name: web").replace("#   - name: web", "  - name: web");
    let all = all.replace("#     secret:", "    secret:");
    assert!(all.contains("\n      volumes:\n        - name: web\n"), "{all}");
    for version in ["1.30", "1.34", "1.37"] {
        for text in [&text, &all] {
            let (understood, told) = judge(text, version);
            assert!(understood && told.contains("passed"), "{version}: {told}\n{text}");
        }
    }
    let (understood, told) = judge(&text.replace("hostPID", "hostPids"), "1.34");
    assert!(!understood, "{told}");
}

#[test]
fn the_daemon_set_asks_for_what_the_document_says_and_that_is_enough() {
    let manifest = packaging::daemon_set();
    let pod = &manifest["spec"]["template"]["spec"];
    assert_eq!(pod["hostPID"], true);
    assert_eq!(pod["automountServiceAccountToken"], false);
    for absent in ["hostNetwork", "hostIPC", "volumes", "serviceAccountName"] {
        assert!(pod.get(absent).is_none(), "{absent}");
    }
    let containers = pod["containers"].as_array().expect("a list");
    assert_eq!(containers.len(), 1);
    let rights = &containers[0]["securityContext"];
    assert_eq!((&rights["privileged"], &rights["allowPrivilegeEscalation"]), (&false.into(), &false.into()));
    assert_eq!(rights["readOnlyRootFilesystem"], true);
    assert_eq!(rights["capabilities"]["drop"], serde_json::json!(["ALL"]));
    let added = rights["capabilities"]["add"].as_array().expect("a list");
    let added: Vec<_> = added.iter().filter_map(|name| name.as_str()).collect();
    let unit = Unit::read();
    let of_unit: BTreeSet<_> = unit.values("AmbientCapabilities")[0].split(' ').collect();
    let of_pod: BTreeSet<_> = added.iter().map(|name| format!("CAP_{name}")).collect();
    assert!(of_pod.iter().map(String::as_str).eq(of_unit), "{of_pod:?}");
    let document = fs::read_to_string(packaging::path("../docs/security.md")).expect("it is there");
    let image = packaging::text("docker/Dockerfile");
    for (name, long) in added.iter().zip(&of_pod) {
        assert!(document.contains(&format!("`{long}`")), "{long}");
        assert!(image.contains(&format!("--cap-add={name}")), "{name}");
    }

    // As a runtime of containers gives them: root, with a bounding set.
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    let Some(setpriv) = requirement::program("setpriv") else { return };
    let capabilities = unit.capabilities("AmbientCapabilities");
    let mut command = Command::new(setpriv);
    command.arg(format!("--bounding-set=-all,{capabilities}")).arg("--inh-caps=-all").arg("--no-new-privs");
    command.arg(loopscope::program());
    let agent = Agent::start_by(&mut command, ALL);
    expect_all_tiers(&agent, &target(&node.program, 1234));
}

#[test]
fn the_image_is_made_in_two_stages_and_knows_every_crate() {
    let image = packaging::text("docker/Dockerfile");
    let stages: Vec<_> = image.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert!(
        stages.len() == 2 && stages[0].ends_with(" AS build") && stages[1].contains("-slim"),
        "{stages:?}"
    );
    let ignored = packaging::text("docker/Dockerfile.dockerignore");
    let workspace = fs::read_to_string(packaging::path("../Cargo.toml")).expect("it is there");
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = ")).expect("a list");
    for member in members.split('"').skip(1).step_by(2) {
        assert!(
            ignored.lines().any(|line| line == format!("!{member}")),
            "{member} is not sent to the build"
        );
    }
}
