//! An unmodified Node.js process by prom-client's names: what the documentation lists is there, and says what the process
//! says of itself.

use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::Agent;
use loopscope_tests::metrics::Metrics;
use loopscope_tests::node::{self, Node};
use loopscope_tests::process::Guarded;
use loopscope_tests::prometheus::{Scrapes, Server};
use loopscope_tests::{fixture, requirement};
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../docs/prom-client.md");

/// Rows of the table of what is told: name, type, tier.
fn documented() -> Vec<(&'static str, &'static str, &'static str)> {
    let (_, rest) = DOCUMENT.split_once("## What is told").expect("the document has a table");
    let (table, _) = rest.split_once("\n## ").expect("and more behind it");
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').map(str::trim).collect();
        Some((cells[0].trim_end_matches('`'), cells[1], cells[3]))
    });
    rows.collect()
}

struct Told {
    program: Guarded,
    pid: String,
}

impl Told {
    fn start(node: &Node) -> Self {
        let mut command = Command::new(&node.program);
        let mut program = Guarded::start(command.arg("--expose-gc").arg(fixture::path("node/told.js")));
        program.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
        let pid = program.pid().to_string();
        Self { program, pid }
    }

    fn go(&mut self) -> Value {
        self.program.tell("go");
        let line =
            self.program.line("the truth", SOON, |line| line.starts_with('{').then(|| line.to_owned()));
        serde_json::from_str(&line).expect("the truth is JSON")
    }

    /// Waits until a tier measures it.
    fn wait_for_tier(&self, agent: &Agent, tier: &str) {
        wait_for("the program to be measured", SOON, || {
            let labels = [("pid", self.pid.as_str()), ("tier", tier)];
            agent.scrape().value("loopscope_tier_active", &labels).filter(|&is| is == 1.0)
        });
    }
}

/// A scrape of prom-client's names only.
fn scrape(agent: &Agent) -> (String, Metrics) {
    let answer = agent.get("/metrics?names=prom-client", ("accept", "text/plain"));
    assert_eq!(answer.status, 200);
    let text = answer.text().to_owned();
    (text.clone(), Metrics::new(text))
}

fn number(told: &Value, name: &str) -> f64 {
    told[name].as_f64().unwrap_or_else(|| panic!("the truth has no {name}: {told}"))
}

#[test]
fn every_documented_name_says_what_the_process_says() {
    if !requirement::root() {
        return;
    }
    for node in node::all() {
        let mut program = Told::start(&node);
        let agent = Agent::start_with(&["--tier", "observe,loop", "--budget", "50%"]);
        program.wait_for_tier(&agent, "loop");
        let told = program.go();
        let (text, metrics) = scrape(&agent);
        let pid = program.pid.as_str();
        let what = |name: &str| format!("{name} of {}: {told}", node.program.display());
        let value =
            |name: &str| metrics.value(name, &[("pid", pid)]).unwrap_or_else(|| panic!("no {}", what(name)));

        let rows = documented();
        assert!(rows.len() >= 21);
        for (name, kind, _) in &rows {
            value(&if *kind == "histogram" { format!("{name}_count") } else { (*name).to_owned() });
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let is_documented =
                rows.iter().any(|(documented, ..)| *documented == name || Some(*documented) == family);
            assert!(is_documented && !line.contains("loop="), "{line}");
        }

        let near = |name: &str, told: f64, most: f64| {
            let found = value(name);
            assert!((found - told).abs() <= most, "{found} is not {told}: {}", what(name));
        };
        // The scrape is some moments after what was told; the kernel tells user and system time by its own shares.
        near("process_cpu_seconds_total", number(&told, "user") + number(&told, "system"), 0.25);
        near("process_cpu_user_seconds_total", number(&told, "user"), 0.25);
        near("process_cpu_system_seconds_total", number(&told, "system"), 0.25);
        let parts = value("process_cpu_user_seconds_total") + value("process_cpu_system_seconds_total");
        near("process_cpu_seconds_total", parts, 0.001);
        near("process_start_time_seconds", number(&told, "started"), 3.0);
        near("process_resident_memory_bytes", number(&told, "resident"), 16e6);
        near("process_open_fds", number(&told, "descriptors"), 0.0);
        near("nodejs_active_handles_total", number(&told, "handles"), 0.0);
        assert!(value("process_virtual_memory_bytes") > value("process_heap_bytes"));
        assert!(value("process_max_fds") >= value("process_open_fds"));

        let version = told["version"].as_str().unwrap();
        let labels = [("pid", pid), ("version", version)];
        assert_eq!(metrics.value("nodejs_version_info", &labels), Some(1.0), "{}", what("version"));

        // The block is the longest iteration, unless the machine was busy with others; a bound of a bucket is up to 9% off.
        let blocked = number(&told, "blocked");
        let longest = value("nodejs_eventloop_lag_max_seconds");
        assert!((blocked..1.1 * blocked + 1.0).contains(&longest), "{longest}: {}", what("max"));
        let figures = ["min", "p50", "p90", "p99", "max"]
            .map(|of| value(&format!("nodejs_eventloop_lag_{of}_seconds")));
        assert!(figures.is_sorted(), "{figures:?}: {}", what("percentiles"));
        let mean = value("nodejs_eventloop_lag_mean_seconds");
        assert!(figures[0] < mean && mean < longest, "{mean}: {}", what("mean"));
        assert!(value("nodejs_eventloop_lag_stddev_seconds") > 0.0);
        assert!(value("nodejs_eventloop_lag_seconds") < longest);
        let major = [("pid", pid), ("kind", "major")];
        assert!(metrics.value("nodejs_gc_duration_seconds_count", &major) >= Some(1.0), "{}", what("gc"));
        assert!(metrics.value("nodejs_gc_duration_seconds_sum", &major) > Some(0.0));
    }
}

#[test]
fn without_probes_only_what_they_measure_is_absent() {
    let Some(node) = node::all().pop() else { return };
    let mut program = Told::start(&node);
    let agent = Agent::start_with(&["--prom-client"]);
    program.wait_for_tier(&agent, "observe");
    program.go();
    let (_, metrics) = scrape(&agent);
    let labels = [("pid", program.pid.as_str())];
    for (name, _, tier) in documented() {
        let found = metrics.value(name, &labels).or(metrics.value(&format!("{name}_count"), &labels));
        assert_eq!(found.is_some(), tier == "observe", "{name}");
    }

    // By the option, every scrape has both kinds of names, and none twice.
    let both = agent.metrics();
    let of_it = |name: &str| {
        let series = format!("{name}{{");
        let has =
            |line: &&str| line.starts_with(&series) && line.contains(&format!("pid=\"{}\"", program.pid));
        both.lines().filter(has).count()
    };
    assert_eq!(of_it("process_cpu_seconds_total"), 1);
    assert_eq!(of_it("nodejs_version_info"), 1);
    assert_eq!(of_it("eventloop_iterations_total"), 1);
    let names: Vec<&str> = both.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let distinct: std::collections::BTreeSet<&&str> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "each family once");
}

#[test]
fn prometheus_reads_these_names_in_every_format() {
    let Some(node) = node::all().pop() else { return };
    let program = Told::start(&node);
    let agent = Agent::start_with(&["--prom-client"]);
    for scrapes in [Scrapes::Text, Scrapes::Native] {
        let Some(server) = Server::start(agent.address(), scrapes) else { return };
        let series = |name: &str| format!(r#"{name}{{pid="{}"}}"#, program.pid);
        server.wait_for_value(&series("nodejs_version_info"), |value| value == 1.0);
        server.wait_for_value(&series("nodejs_active_handles_total"), |value| value >= 3.0);
        server.wait_for_value(&series("process_cpu_user_seconds_total"), |value| value > 0.0);
    }
}
