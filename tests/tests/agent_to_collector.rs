//! The agent profiles a real Node.js and sends to the real collector, by each of the ways that it knows: the flamegraph names the function that
//! was busy under its phase, and not a sample is missing, whatever happens to the collector meanwhile.

use std::fs;

use loopscope_tests::collector::{CPU, Collector};
use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::http;
use loopscope_tests::loopscope::{self, Agent};
use loopscope_tests::otlp::Certificates;
use loopscope_tests::requirement;
use loopscope_tests::spikes::{OFTEN, Spikes};

/// What a sample stands for, at the frequency of [`OFTEN`].
const PERIOD_NS: u64 = 1_000_000_000 / 97;

/// A way from the agent to the collector.
#[derive(Clone, Copy, Debug)]
enum Way {
    Grpc,
    Http,
    Pyroscope,
}

/// What the agent has to show where the collector asks for it: it trusts the authority, has a certificate of it, and knows the password.
struct Secured {
    certificates: Certificates,
    folder: Folder,
}

impl Secured {
    fn make() -> Option<Self> {
        Some(Self { certificates: Certificates::make()?, folder: Folder::new("secured") })
    }

    /// A web configuration that asks for all of it.
    #[track_caller]
    fn web_config(&self) -> String {
        let [certificate, key, authority] =
            ["server.pem", "server.key", "ca.pem"].map(|name| self.certificates.file(name));
        let text = format!(
            "tls_server_config:\n  cert_file: {certificate}\n  key_file: {key}\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_ca_file: {authority}\nbasic_auth_users:\n  agent: {HASH_OF_RIGHT}\n"
        );
        let path = self.folder.file("web.yml");
        fs::write(&path, text).expect("a scratch file");
        path.into_os_string().into_string().expect("a path in UTF-8")
    }
}

/// `right`, by bcrypt.
const HASH_OF_RIGHT: &str = "$2b$04$KBCwKxOzLha2MUDgW0PjXerbncD/VslLhLn1xjJSVv6IfOoAikHZO";

/// A Node.js that somebody may profile, and it alone.
#[track_caller]
fn spikes(story: &str) -> Option<Spikes> {
    if requirement::root() { Spikes::start(&format!("collected-{story}")) } else { None }
}

#[track_caller]
fn agent_of(spikes: &Spikes, way: Way, collector: &Collector, secured: Option<&Secured>) -> Agent {
    let url = match secured {
        None => format!("http://{}", collector.address()),
        // As its certificate calls it.
        Some(_) => format!("https://localhost:{}", collector.address().port()),
    };
    let config = spikes.config();
    let mut options = [&OFTEN[..], &["--config", &config]].concat();
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
    if let Some(Secured { certificates, .. }) = secured {
        let [authority, certificate, key] =
            ["ca.pem", "client.pem", "client.key"].map(|name| certificates.file(name));
        command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", &authority);
        command.env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &certificate);
        command.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", &key);
        // `agent:right`.
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20YWdlbnQ6cmlnaHQ=");
        let profiling = format!(
            "[profiling]\nusername = 'agent'\npassword = 'right'\ncertificate = '{authority}'\n\
             client_certificate = '{certificate}'\nclient_key = '{key}'\n"
        );
        let rules = fs::read_to_string(&config).expect("it was just written");
        fs::write(&config, profiling + &rules).expect("a scratch file");
    }
    Agent::start_by(&mut command, &options)
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
    let Some(spikes) = spikes(&format!("{way:?}")) else { return };
    let data = Folder::new("collected-data");
    let collector = Collector::start(http::loopback(0), data.path());
    let agent = agent_of(&spikes, way, &collector, None);
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

/// The collector asks for a certificate and a password; what it took is looked at by one that asks for nothing.
fn reaches_a_collector_that_asks(way: Way) {
    let Some(secured) = Secured::make() else { return };
    let Some(spikes) = spikes(&format!("secured-{way:?}")) else { return };
    let data = Folder::new("collected-data");
    let collector =
        Collector::start_with(http::loopback(0), data.path(), &["--web-config", &secured.web_config()]);
    assert!(http::get(collector.address(), "/-/healthy", &[]).is_err(), "in the clear nothing is answered");
    let agent = agent_of(&spikes, way, &collector, Some(&secured));
    wait_for("samples that were taken", 6 * SOON, || {
        (counted(&agent, "loopscope_profile_exported_samples_total")? > 500).then_some(())
    });
    if !matches!(way, Way::Pyroscope) {
        wait_for("metrics that were taken", 6 * SOON, || {
            let exports = agent.scrape().value("loopscope_otlp_exports_total", &[("outcome", "accepted")])?;
            (exports >= 2.0).then_some(())
        });
    }
    drop(spikes);
    let sent_ns = wait_for_all_sent(&agent);
    collector.kill();
    let collector = Collector::start(http::loopback(0), data.path());
    assert_eq!(stored_ns(&collector), Some(sent_ns));
    wait_for_the_function(&collector);
    if !matches!(way, Way::Pyroscope) {
        assert!(collector.api().lag_max_seconds("shop") >= Some(0.4));
    }
}

#[test]
fn over_grpc_and_tls_the_agent_reaches_a_collector_that_asks_for_a_certificate_and_a_password() {
    reaches_a_collector_that_asks(Way::Grpc);
}

#[test]
fn over_http_and_tls_the_agent_reaches_a_collector_that_asks_for_a_certificate_and_a_password() {
    reaches_a_collector_that_asks(Way::Http);
}

#[test]
fn a_push_over_tls_reaches_a_collector_that_asks_for_a_certificate_and_a_password() {
    reaches_a_collector_that_asks(Way::Pyroscope);
}

#[test]
fn a_collector_that_is_killed_and_started_again_has_all_that_it_acknowledged() {
    let Some(spikes) = spikes("killed") else { return };
    let data = Folder::new("collected-data");
    let mut collector = Collector::start(http::loopback(0), data.path());
    let agent = agent_of(&spikes, Way::Grpc, &collector, None);
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
