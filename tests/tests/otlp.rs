//! The agent exports to a receiver made of OpenTelemetry's own parts, which knows afterwards what a scrape knows.

use std::time::Duration;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::http::{self, Load};
use loopscope_tests::loopscope::Demo;
use loopscope_tests::otlp::{Certificates, Protocol, Receiver, Request};
use loopscope_tests::process::Guarded;
use loopscope_tests::requirement;

const NS: u64 = 1_000_000_000;

/// A demo that did something and counts nothing any more, and the number of its hashes.
fn demo_after_load() -> (Demo, f64) {
    let demo = Demo::start(&["--rate", "0", "--block", "100ms"]);
    let load = Load::start(demo.address(), &["/fast", "/file", "/hash"], 2, Duration::from_millis(5));
    load.wait_for_answers(60);
    load.stop();
    assert_eq!(http::get(demo.address(), "/block", &[]).unwrap().status, 200);
    let hashes = demo.truth()["requests"]["hash"].as_f64().unwrap();
    assert!(hashes > 0.0);
    demo.freeze();
    (demo, hashes)
}

fn last(receiver: &Receiver) -> Option<Request> {
    receiver.requests().pop()
}

fn sums_at_the_receiver_are_those_of_a_scrape(protocol: Protocol) {
    let Some(receiver) = Receiver::start(protocol) else { return };
    let (demo, hashes) = demo_after_load();
    let agent = receiver.agent(&[]);
    let pid = demo.pid();
    let of = pid.to_string();
    let request = wait_for("the receiver to know what a scrape knows", SOON, || {
        let (scrape, request) = (agent.scrape(), last(&receiver)?);
        let same = |name: &str, labels: &[(&str, &str)], otel: &str, attributes: &[(&str, &str)]| {
            let scraped = scrape.value(name, &[labels, &[("pid", &of)]].concat());
            let received = request.value(Some(pid), otel, attributes);
            scraped.is_some() && received.zip(scraped).is_some_and(|(a, b)| (a - b).abs() <= 1e-9 * b.abs())
        };
        let done = [("kind", "crypto"), ("outcome", "done")];
        let all = same("threadpool_tasks_total", &done, "threadpool.tasks", &done)
            && same("eventloop_iterations_total", &[], "eventloop.iterations", &[("loop", "main")])
            && same("eventloop_lag_seconds_count", &[], "eventloop.lag", &[("loop", "main")])
            && same("threadpool_queue_wait_seconds_count", &[], "threadpool.queue.wait", &[])
            && same("eventloop_handles", &[], "eventloop.handles", &[])
            && same("process_threads", &[], "process.thread.count", &[])
            && same("process_cpu_seconds_total", &[], "process.cpu.time", &[])
            && request.value(None, "loopscope.otlp.exports", &[("outcome", "accepted")]) >= Some(1.0);
        all.then_some((scrape, request))
    });
    let (scrape, request) = request;
    assert_eq!(
        request.value(Some(pid), "threadpool.tasks", &[("kind", "crypto"), ("outcome", "done")]),
        Some(hashes)
    );

    // The distribution is the same, bucket by bucket, and it has the block.
    let lag = request.find(Some(pid), "eventloop.lag", &[]).next().unwrap();
    for (le, seconds) in [("0.0009765625", 1.0 / 1024.0), ("0.0625", 0.0625), ("16.0", 16.0)] {
        let scraped = scrape.value("eventloop_lag_seconds_bucket", &[("pid", &of), ("le", le)]);
        assert_eq!(scraped, Some(lag.count_up_to(seconds) as f64), "{le}");
    }
    assert!(lag.count_up_to(16.0) > lag.count_up_to(0.0625));
    let sum = scrape.value("eventloop_lag_seconds_sum", &[("pid", &of)]).unwrap();
    assert!((lag.field("sum").as_f64().unwrap() - sum).abs() < 1e-9 * sum);
    assert_eq!((lag.field("scale").as_i64(), lag.field("unit").as_str()), (Some(3), Some("s")));

    // Sums are cumulative, and began when the process did.
    let started = scrape.value("process_start_time_seconds", &[("pid", &of)]).unwrap();
    for name in ["eventloop.lag", "threadpool.tasks", "process.cpu.time", "process.memory.usage"] {
        let point = request.find(Some(pid), name, &[]).next().unwrap();
        assert_eq!(point.field("temporality").as_i64(), Some(2), "{name}");
        let (start, time) = point.span();
        assert!(
            (start as f64 / NS as f64 - started).abs() < 0.011 && time > start,
            "{name}: {start} {started}"
        );
    }
    let depth = request.find(Some(pid), "threadpool.queue.depth", &[]).next().unwrap();
    assert_eq!(depth.field("kind"), "gauge");

    // It is told who the process is, and who tells it.
    assert_eq!(lag.resource("service.name"), "loopscope-demo");
    assert_eq!(lag.resource("process.executable.name"), "loopscope");
    assert!(lag.resource("process.command").as_str().unwrap().ends_with("loopscope"));
    assert!(lag.resource("service.instance.id").as_str().unwrap().contains(&format!(":{pid}:")));
    assert!(!lag.resource("host.name").as_str().unwrap().is_empty());
    assert_eq!(lag.field("scope")[0], "loopscope");
    let own = request.find(None, "loopscope.otlp.exports", &[("outcome", "accepted")]).next().unwrap();
    assert_eq!(own.field("monotonic").as_bool(), Some(true));
    assert_eq!(scrape.value("loopscope_otlp_dropped_points_total", &[]), Some(0.0));
}

#[test]
fn over_grpc_sums_at_the_receiver_are_those_of_a_scrape() {
    sums_at_the_receiver_are_those_of_a_scrape(Protocol::Grpc);
}

#[test]
fn over_http_sums_at_the_receiver_are_those_of_a_scrape() {
    sums_at_the_receiver_are_those_of_a_scrape(Protocol::Http);
}

#[test]
fn node_is_told_by_opentelemetrys_names() {
    let Some(node) = requirement::program("node") else { return };
    let Some(receiver) = Receiver::start(Protocol::Grpc) else { return };
    let mut command = std::process::Command::new(node);
    // Active for about a fifth of its time.
    command.args(["-e", "setInterval(() => { const t = Date.now(); while (Date.now() - t < 10); }, 50)"]);
    let process = Guarded::start(&mut command);
    let mut agent = receiver.agent_command();
    let _agent = receiver.agent_by(agent.env("OTEL_EXPORTER_OTLP_COMPRESSION", "none"), &[]);
    let pid = Some(process.pid());
    let request = wait_for("its utilization", SOON, || {
        let request = last(&receiver)?;
        let utilization = request.value(pid, "nodejs.eventloop.utilization", &[("loop", "main")])?;
        (0.05..0.95).contains(&utilization).then_some(request)
    });
    for state in ["active", "idle"] {
        let attributes = [("loop", "main"), ("nodejs.eventloop.state", state)];
        let told = request.value(pid, "nodejs.eventloop.time", &attributes);
        assert_eq!(told, request.value(pid, "eventloop.time", &[("state", state)]), "{state}");
        // The agent counts it, so it is no older than the agent.
        let (start, time) = request.find(pid, "nodejs.eventloop.time", &attributes).next().unwrap().span();
        assert!(told.unwrap() <= (time - start) as f64 / NS as f64 + 0.1);
    }
    let cpu = |mode| request.value(pid, "process.cpu.time", &[("cpu.mode", mode)]).unwrap();
    assert!(cpu("user") > 0.0 && cpu("system") >= 0.0);
    let uptime = request.value(pid, "process.uptime", &[]).unwrap();
    assert!((0.0..600.0).contains(&uptime), "{uptime}");
    let point = request.find(pid, "process.memory.usage", &[]).next().unwrap();
    assert_eq!(
        (point.field("kind").as_str(), point.field("monotonic").as_bool()),
        (Some("sum"), Some(false))
    );
    assert_eq!(point.resource("process.executable.name"), "node");
}

#[test]
fn differences_add_up_to_what_a_scrape_tells() {
    let Some(receiver) = Receiver::start(Protocol::Http) else { return };
    let mut command = receiver.agent_command();
    command.env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");
    let agent = receiver.agent_by(&mut command, &[]);
    // It starts after the agent, so all that it counts is new.
    let (demo, hashes) = demo_after_load();
    let pid = demo.pid();
    let tasks = [("kind", "crypto"), ("outcome", "done")];
    wait_for("the differences to add up", SOON, || {
        let requests = receiver.requests();
        let total = |name: &str, attributes: &[(&str, &str)]| {
            requests.iter().filter_map(|request| request.value(Some(pid), name, attributes)).sum::<f64>()
        };
        let scrape = agent.scrape();
        let of = pid.to_string();
        let lag = scrape.value("eventloop_lag_seconds_count", &[("pid", &of)])?;
        (total("threadpool.tasks", &tasks) == hashes && total("eventloop.lag", &[]) == lag).then_some(())
    });
    // Each begins where the last one ended.
    let spans = wait_for("some more", SOON, || {
        let requests = receiver.requests();
        let lags = requests.iter().filter_map(|it| it.find(Some(pid), "eventloop.lag", &[]).next());
        let spans: Vec<_> = lags.map(|lag| (lag.field("temporality").as_i64(), lag.span())).collect();
        (spans.len() >= 3).then_some(spans)
    });
    assert!(spans.windows(2).all(|pair| pair[0].1.1 == pair[1].1.0), "{spans:?}");
    assert!(spans.iter().all(|(temporality, _)| *temporality == Some(1)), "{spans:?}");
}

fn with_certificates(protocol: Protocol) {
    let Some(certificates) = Certificates::make() else { return };
    let Some(receiver) = Receiver::start_secure(protocol, &certificates) else { return };
    let command = |variables: &[(&str, String)]| {
        let mut command = receiver.agent_command();
        command.envs(variables.iter().cloned());
        command
    };
    let trust = ("OTEL_EXPORTER_OTLP_CERTIFICATE", certificates.file("ca.pem"));
    let own = [
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificates.file("client.pem")),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", certificates.file("client.key")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0".to_owned()),
    ];
    // Without a certificate of its own the agent is turned away, and says so.
    let stranger = receiver.agent_by(&mut command(std::slice::from_ref(&trust)), &[]);
    wait_for("the stranger to be turned away", SOON, || {
        stranger.told().contains("tried again").then_some(())
    });
    assert!(receiver.requests().is_empty());
    drop(stranger);

    let agent = receiver.agent_by(command(&own).env(trust.0, &trust.1), &[]);
    let request = receiver.wait_for_requests(2).remove(1);
    assert_eq!(request.header("authorization"), Some("Basic c2VjcmV0"));
    assert!(request.header("user-agent").unwrap().starts_with("loopscope/"));
    assert!(!agent.told().contains("c2VjcmV0") && !agent.told().contains("tried again"), "{}", agent.told());

    // The system's authorities do not know ours.
    let others = Certificates::make().expect("it was made before");
    let trusting = receiver.agent_by(command(&own).env("SSL_CERT_FILE", others.file("ca.pem")), &[]);
    wait_for("a refusal", SOON, || {
        trusting.told().contains("no TLS: invalid peer certificate").then_some(())
    });
}

#[test]
fn over_grpc_both_sides_show_certificates() {
    with_certificates(Protocol::Grpc);
}

#[test]
fn over_http_both_sides_show_certificates() {
    with_certificates(Protocol::Http);
}
