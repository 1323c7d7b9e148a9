//! What processes are called: rules fit the program that a user sees, and services have the names of those who run them.

use std::fs;
use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::Agent;
use loopscope_tests::node;
use loopscope_tests::process::Guarded;
use loopscope_tests::requirement;

const TICKING: &str =
    "setInterval(() => {}, 20); console.log('ready'); process.stdin.on('end', () => process.exit()).resume()";

fn started(command: &mut Command) -> Guarded {
    let mut program = Guarded::start(command);
    program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    program
}

/// Waits until the agent tells a process by the name of a service.
#[track_caller]
fn expect_service(agent: &Agent, pid: u32, service: &str) {
    let pid = pid.to_string();
    let labels = [("service", service), ("pid", pid.as_str())];
    wait_for(&format!("a service called {service}"), SOON, || {
        let scrape = agent.scrape();
        let found = scrape.value("process_threads", &labels);
        assert!(
            found.is_some() || scrape.value("process_threads", &[("pid", &pid)]).is_none(),
            "another name"
        );
        found
    });
}

#[test]
fn a_rule_for_node_fits_every_version_whatever_its_threads_are_called() {
    let folder = Folder::new("rules");
    let config = folder.file("agent.toml");
    fs::write(&config, "[[rule]]\nname = 'node'\nrename = 'by-the-rule'\n").unwrap();
    let agent = Agent::start_with(&["--config", config.to_str().unwrap()]);
    for node in node::all() {
        let program = started(Command::new(&node.program).args(["-e", TICKING]));
        expect_service(&agent, program.pid(), "by-the-rule");
        let comm = fs::read_to_string(format!("/proc/{}/comm", program.pid())).unwrap();
        assert!(["node", "MainThread", "node-MainThread"].contains(&comm.trim()), "{comm}");
    }
}

#[test]
fn a_rule_for_a_title_fits_the_process_that_gave_it_itself() {
    let Some(node) = node::all().pop() else { return };
    let folder = Folder::new("rules");
    let config = folder.file("agent.toml");
    fs::write(&config, "[[rule]]\nname = 'orders'\nrename = 'by-its-title'\n").unwrap();
    let titled = format!("process.title = 'orders'; {TICKING}");
    let program = started(Command::new(&node.program).args(["-e", &titled]));
    let agent = Agent::start_with(&["--config", config.to_str().unwrap()]);
    expect_service(&agent, program.pid(), "by-its-title");
}

#[test]
fn a_service_has_the_name_that_it_was_given_or_that_of_its_package() {
    let Some(node) = node::all().pop() else { return };
    let folder = Folder::new("package");
    let script = folder.file("shop/dist/index.js");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::write(&script, TICKING).unwrap();
    let node = || {
        let mut command = Command::new(&node.program);
        command.current_dir(folder.path().join("shop"));
        // Names that the test itself was started with are not the program's.
        for name in ["OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "npm_package_name", "pm_id", "pm2_env"]
        {
            command.env_remove(name);
        }
        command
    };
    let agent = Agent::start();
    let plain = started(node().arg("dist/index.js"));
    expect_service(&agent, plain.pid(), "shop");

    fs::write(folder.file("shop/package.json"), r#"{"name": "@acme/shop", "version": "1.0.0"}"#).unwrap();
    let packaged = started(node().arg("dist/index.js"));
    expect_service(&agent, packaged.pid(), "@acme/shop");
    let absolute = started(node().current_dir("/").arg(&script));
    expect_service(&agent, absolute.pid(), "@acme/shop");
    let pm2 = started(node().arg("dist/index.js").env("pm_id", "0").env("name", "api"));
    expect_service(&agent, pm2.pid(), "api");
    let pod = ("KUBERNETES_SERVICE_HOST", "HOSTNAME");
    let pod = started(node().arg("dist/index.js").env(pod.0, "10.0.0.1").env(pod.1, "web-7d4b8c9f6d-x2x7z"));
    expect_service(&agent, pod.pid(), "web");
    let declared =
        started(node().arg("dist/index.js").env("OTEL_SERVICE_NAME", "declared").env("pm_id", "0"));
    expect_service(&agent, declared.pid(), "declared");
    let code = started(node().args(["-e", TICKING]));
    expect_service(&agent, code.pid(), "node");
}

#[test]
fn a_package_that_only_the_process_can_see_gives_its_name() {
    let Some(unshare) = requirement::program("unshare") else { return };
    let (true, Some(node)) = (requirement::root(), node::all().pop()) else { return };
    // A container's file system is seen by its own processes only; so is what is mounted here.
    let folder = Folder::new("container");
    let script = format!(
        r#"mount -t tmpfs none "$0" && mkdir -p "$0/app/src" && cd "$0/app" &&
           echo '{{"name": "in-the-container"}}' > package.json && echo "{TICKING}" > src/index.js &&
           exec "$1" src/index.js"#
    );
    let mut command = Command::new(unshare);
    command.args(["--mount", "sh", "-c", &script]).arg(folder.path()).arg(&node.program);
    let program = started(&mut command);
    assert!(!folder.file("app").exists(), "it is not seen from here");
    let agent = Agent::start();
    expect_service(&agent, program.pid(), "in-the-container");
}
