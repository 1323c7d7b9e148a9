//! The agent profiles a real Node.js and sends to the real collector, by each of the ways that it knows: the flamegraph names the function that
//! was busy under its phase, and not a sample is missing, whatever happens to the collector meanwhile.

use std::fs;
use std::process::Command;

use loopscope_tests::collector::{CPU, Collector};
use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::http;
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::process::Guarded;
use loopscope_tests::{fixture, requirement};

const FREQUENCY_HZ: u64 = 97;
/// What a sample stands for.
const PERIOD_NS: u64 = 1_000_000_000 / FREQUENCY_HZ;

/// A way from the agent to the collector.
#[derive(Clone, Copy, Debug)]
enum Way {
    Grpc,
    Http,
    Pyroscope,
}

/// A Node.js whose `blockTheLoop` is busy on timers, and an agent that measures and profiles it alone.
struct Spikes {
    node: Guarded,
    folder: Folder,
}

impl Spikes {
    #[track_caller]
    fn start(story: &str) -> Option<Self> {
        if !requirement::root() {
            return None;
        }
        let node = requirement::program("node")?;
        // Built before it starts, for it does not run for ever.
        loopscope::program();
        let mut command = Command::new(node);
        command.args(["--perf-basic-prof", "--always-sparkplug"]).arg(fixture::path("node/spikes.js"));
        let folder = Folder::new("collected");
        // It writes logs where it runs.
        command.arg(format!("collected-{story}")).current_dir(folder.path());
        let mut node = Guarded::start(&mut command);
        node.line("its start", SOON, |line| (line.trim() == "ready").then_some(()));
        let rules = format!(
            "[[rule]]\ncommand = '*collected-{story}*'\nrename = 'shop'\n[[rule]]\ninclude = false\n"
        );
        fs::write(folder.file("agent.toml"), rules).expect("a scratch file");
        Some(Self { node, folder })
    }

    #[track_caller]
    fn agent(&self, way: Way, collector: &Collector) -> Agent {
        let url = format!("http://{}", collector.address());
        let config = self.folder.file("agent.toml");
        let frequency = FREQUENCY_HZ.to_string();
        let mut options = vec!["--config", config.to_str().expect("a path in UTF-8")];
        options.extend(["--profile", "--profile-frequency", &frequency, "--profile-interval", "1s"]);
        // Which tells the lag.
        options.extend(["--tier", "observe,loop", "--budget", "90%"]);
        let mut command = loopscope::command();
        command.env("OTEL_METRIC_EXPORT_INTERVAL", "1000");
        match way {
            Way::Grpc => {
                command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
                options.extend(["--otlp-endpoint", &url]);
            }
            Way::Http => options.extend(["--otlp-endpoint", &url]),
            Way::Pyroscope => options.extend(["--pyroscope", &url]),
        }
        Agent::start_by(&mut command, &options)
    }
}

impl Drop for Spikes {
    fn drop(&mut self) {
        let _ = fs::remove_file(format!("/tmp/perf-{}.map", self.node.pid()));
    }
}

/// What the collector has of the service, in nanoseconds.
fn stored_ns(collector: &Collector) -> Option<u64> {
    let query = format!("{CPU}{{service=\"shop\"}}");
    collector.api().json("flamegraph", &[("query", &query)])?["total"].as_u64()
}

fn counted(agent: &Agent, metric: &str) -> Option<u64> {
    agent.scrape().value(metric, &[]).map(|value| value as u64)
}

/// Waits until the agent has sent all that it took, and gives how much that is, in nanoseconds.
#[track_caller]
fn wait_for_all_sent(agent: &Agent) -> u64 {
    let samples = wait_for("all samples to be sent", 6 * SOON, || {
        let sent = counted(agent, "loopscope_profile_exported_samples_total")?;
        (sent > 0 && Some(sent) == counted(agent, "loopscope_samples_total")).then_some(sent)
    });
    assert_eq!(counted(agent, "loopscope_profile_dropped_samples_total"), Some(0));
    samples * PERIOD_NS
}

#[track_caller]
fn wait_for_the_function(collector: &Collector) {
    wait_for("the busy function under its phase", 6 * SOON, || {
        let stacks = collector.api().stacks("shop");
        let of_timers: Vec<_> = stacks.iter().filter(|(stack, _)| stack.starts_with("timers;")).collect();
        let hot: u64 =
            of_timers.iter().filter(|(stack, _)| stack.contains("blockTheLoop")).map(|(_, ns)| ns).sum();
        (hot > 100 * PERIOD_NS).then_some(())
    });
}

fn names_the_function_and_misses_nothing(way: Way) {
    let Some(spikes) = Spikes::start(&format!("{way:?}")) else { return };
    let data = Folder::new("collected-data");
    let collector = Collector::start(http::loopback(0), data.path());
    let agent = spikes.agent(way, &collector);
    wait_for_the_function(&collector);
    if !matches!(way, Way::Pyroscope) {
        // It blocks its loop for 400 ms.
        let lag = wait_for("the lag", 6 * SOON, || {
            collector.api().lag_max_seconds("shop").filter(|lag| *lag >= 0.4)
        });
        assert!(lag < 5.0, "{lag}");
    }
    drop(spikes);
    let sent_ns = wait_for_all_sent(&agent);
    assert_eq!(stored_ns(&collector), Some(sent_ns));
}

#[test]
fn by_otlp_over_grpc_the_function_is_named_and_nothing_is_missing() {
    names_the_function_and_misses_nothing(Way::Grpc);
}

#[test]
fn by_otlp_over_http_the_function_is_named_and_nothing_is_missing() {
    names_the_function_and_misses_nothing(Way::Http);
}

#[test]
fn by_a_push_to_pyroscope_the_function_is_named_and_nothing_is_missing() {
    names_the_function_and_misses_nothing(Way::Pyroscope);
}

#[test]
fn a_collector_that_is_killed_and_started_again_has_all_that_it_acknowledged() {
    let Some(spikes) = Spikes::start("killed") else { return };
    let data = Folder::new("collected-data");
    let mut collector = Collector::start(http::loopback(0), data.path());
    let agent = spikes.agent(Way::Grpc, &collector);
    for round in 0..3_u64 {
        let before = counted(&agent, "loopscope_profile_exported_samples_total").unwrap_or(0);
        wait_for("more samples", 6 * SOON, || {
            (counted(&agent, "loopscope_profile_exported_samples_total")? > before + 20).then_some(())
        });
        let (address, acknowledged) =
            (collector.address(), counted(&agent, "loopscope_profile_exported_samples_total"));
        collector.kill();
        collector = Collector::start(address, data.path());
        let stored = stored_ns(&collector);
        assert!(
            stored >= acknowledged.map(|samples| samples * PERIOD_NS),
            "{round}: {stored:?} {acknowledged:?}"
        );
    }
    wait_for_the_function(&collector);
    drop(spikes);
    let sent_ns = wait_for_all_sent(&agent);
    // What was stored and could not be acknowledged any more is sent again, and counts twice.
    let stored_ns = stored_ns(&collector).expect("it is there");
    assert!(stored_ns >= sent_ns, "{stored_ns} of {sent_ns}");
    assert!(stored_ns <= sent_ns + sent_ns / 2, "{stored_ns} of {sent_ns}");
}
