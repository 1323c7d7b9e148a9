//! The agent profiles its targets all the time: a receiver that is not ours gets what ran where, under the labels of the metrics; what it gets
//! adds up to what the agent says that it took.

use std::fs;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{Agent, Demo, command};
use loopscope_tests::otlp::{Certificates, Protocol, Receiver, Sample};
use loopscope_tests::pyroscope::Pyroscope;
use loopscope_tests::spikes::{OFTEN, Spikes};
use loopscope_tests::truth::Truthful;
use loopscope_tests::{example, requirement};

/// How many samples these are.
fn count(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.times().len() as u64).sum()
}

/// Waits until there are some hundred samples of a process, and gives them all.
#[track_caller]
fn wait_for_samples(receiver: &Receiver, pid: u32) -> Vec<Sample> {
    wait_for("samples", 3 * SOON, || {
        let samples = receiver.samples();
        let own: Vec<_> = samples.into_iter().filter(|it| it.pid() == Some(pid.into())).collect();
        (count(&own) > 100).then_some(own)
    })
}

/// What the agent says that the receiver took.
fn exported(agent: &Agent) -> Option<u64> {
    agent.scrape().value("loopscope_profile_exported_samples_total", &[]).map(|value| value as u64)
}

/// What the agent says that it took.
fn taken(agent: &Agent) -> Option<u64> {
    agent.scrape().value("loopscope_samples_total", &[]).map(|value| value as u64)
}

fn a_busy_function_is_named(receiver: &Receiver, agent: &Agent, spikes: Spikes) {
    let pid = spikes.pid();
    let samples = wait_for_samples(receiver, pid);
    let of_loop: Vec<Sample> =
        samples.iter().filter(|sample| sample.attribute("loop") == Some("main")).cloned().collect();
    let hot: Vec<Sample> = of_loop.iter().filter(|sample| sample.has("blockTheLoop")).cloned().collect();
    // It takes 400 of 900 ms, and the other function 4 of every 8 in between.
    let share = count(&hot) as f64 / count(&of_loop) as f64;
    assert!((0.4..0.9).contains(&share), "{share} of {}", count(&of_loop));
    for sample in &hot {
        assert_eq!(sample.attribute("phase"), Some("timers"), "{sample:?}");
        assert_eq!(sample.field("attributes")["thread.id"], pid);
        let resource = sample.field("resource");
        assert_eq!(resource["service.name"], "shop");
        assert_eq!(resource["process.executable.name"], "node");
        assert!(resource["host.name"].is_string() && resource["host.arch"].is_string(), "{resource}");
        assert_eq!(sample.field("type"), &serde_json::json!(["samples", "count"]));
        assert_eq!(sample.field("period_type"), &serde_json::json!(["cpu", "nanoseconds"]));
        assert_eq!(sample.field("period"), 1_000_000_000 / 97);
        let start = sample.field("start").as_u64().expect("a time");
        let end = start + sample.field("duration").as_u64().expect("a duration");
        assert!(sample.times().iter().all(|time| (start..end).contains(time)), "{sample:?}");
    }
    // When nothing runs any more, nothing is missing: neither here nor there.
    drop(spikes);
    let sum = wait_for("all sums to be equal", 3 * SOON, || {
        let received = count(&receiver.samples());
        (Some(received) == exported(agent) && Some(received) == taken(agent)).then_some(received)
    });
    assert!(sum > 100);
    let lost = agent.scrape().value("loopscope_profile_dropped_samples_total", &[]);
    assert_eq!(lost, Some(0.0));
}

#[test]
fn over_grpc_and_tls_a_busy_function_is_named_and_nothing_is_missing() {
    if !requirement::root() {
        return;
    }
    let Some(certificates) = Certificates::make() else { return };
    let Some(receiver) = Receiver::start_secure(Protocol::Grpc, &certificates) else { return };
    let Some(spikes) = Spikes::start("grpc") else { return };
    let mut command = receiver.agent_command();
    command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", certificates.file("ca.pem"));
    command.env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificates.file("client.pem"));
    command.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", certificates.file("client.key"));
    let config = spikes.config();
    let agent = receiver.agent_by(&mut command, &[&OFTEN[..], &["--config", &config]].concat());
    a_busy_function_is_named(&receiver, &agent, spikes);
}

#[test]
fn over_http_a_receiver_that_fails_at_first_gets_everything_later() {
    if !requirement::root() {
        return;
    }
    let Some(mut receiver) = Receiver::start(Protocol::Http) else { return };
    let Some(spikes) = Spikes::start("http") else { return };
    receiver.answer("3 http 503");
    let mut command = receiver.agent_command();
    // Only profiles are exported, so that nothing else uses up the refusals.
    let endpoint = format!("{}/v1development/profiles", receiver.endpoint());
    command.env("OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT", endpoint);
    let config = spikes.config();
    let agent = Agent::start_by(&mut command, &[&OFTEN[..], &["--config", &config]].concat());
    let refused = wait_for("refusals", 3 * SOON, || {
        let requests = receiver.requests_of("profiles");
        let refused = requests.iter().filter(|request| !request.is_accepted()).count();
        (refused > 0 && requests.len() > refused).then_some(refused)
    });
    assert!(
        agent.scrape().value("loopscope_profile_exports_total", &[("outcome", "retried")])
            >= Some(refused as f64)
    );
    let told = agent.told();
    assert!(told.contains("/v1development/profiles") && told.contains("takes samples again"), "{told}");
    drop(spikes);
    wait_for("all sums to be equal", 3 * SOON, || {
        let requests = receiver.requests_of("profiles");
        let accepted = requests.iter().filter(|request| request.is_accepted());
        let received: u64 = accepted.map(|request| count(&request.samples())).sum();
        (received > 0 && Some(received) == exported(&agent) && Some(received) == taken(&agent)).then_some(())
    });
}

#[test]
fn a_program_on_our_runtime_shows_its_phases_and_what_is_left_is_sent_at_the_end() {
    if !requirement::root() {
        return;
    }
    let Some(receiver) = Receiver::start(Protocol::Http) else { return };
    let demo = Demo::start(&["--rate", "200"]);
    let pid = demo.pid();
    let folder = Folder::new("profiling");
    let config = folder.file("agent.toml");
    let rules = "[[rule]]\nname = 'loopscope'\nprofile = true\n[[rule]]\ninclude = false\n";
    fs::write(&config, rules).expect("a scratch file");
    let config = config.to_str().expect("a path in UTF-8");
    let own = ["--profile-frequency", "97", "--profile-interval", "1s"];
    let agent = receiver.agent_by(&mut receiver.agent_command(), &[&own[..], &["--config", config]].concat());
    let samples = wait_for_samples(&receiver, pid);
    let in_phase = |sample: &&Sample| sample.attribute("phase").is_some();
    let phased: Vec<Sample> = samples.iter().filter(in_phase).cloned().collect();
    assert!(!phased.is_empty());
    for sample in &phased {
        assert!(sample.has("loopscope_runtime"), "{sample:?}");
    }
    assert!(phased.iter().any(|sample| sample.attribute("phase") == Some("poll_callbacks")));
    // The thread that makes the load has a loop without instruments.
    let is_served = |sample: &&Sample| sample.field("attributes")["thread.id"] == pid;
    assert!(phased.iter().filter(is_served).all(|sample| sample.attribute("loop") == Some("main")));
    assert!(phased.iter().any(|sample| is_served(&sample)));
    // What was recorded since the last profile goes out with the agent.
    let before = count(&receiver.samples());
    wait_for("more samples", SOON, || (taken(&agent)? > before).then_some(()));
    let ended = agent.stop(SOON);
    assert!(!ended.stderr.contains("could not be handed over"), "{}", ended.stderr);
    assert!(count(&receiver.samples()) > before, "{}", ended.stderr);
}

#[test]
fn a_program_on_tokio_shows_its_functions_under_its_own_name() {
    if !requirement::root() {
        return;
    }
    let Some(receiver) = Receiver::start(Protocol::Http) else { return };
    let program = Truthful::start(&mut example::command("loopscope-tokio", "busy"));
    let pid: u32 = program.pid().parse().expect("a number");
    let folder = Folder::new("profiling");
    let config = folder.file("agent.toml");
    let rules = "[[rule]]\nname = 'busy'\nprofile = true\n[[rule]]\ninclude = false\n";
    fs::write(&config, rules).expect("a scratch file");
    let config = config.to_str().expect("a path in UTF-8");
    let own = ["--profile-frequency", "97", "--profile-interval", "1s"];
    let agent = receiver.agent_by(&mut receiver.agent_command(), &[&own[..], &["--config", config]].concat());
    let samples = wait_for_samples(&receiver, pid);
    for sample in &samples {
        let resource = sample.field("resource");
        assert_eq!(resource["service.name"], "busy-service", "{sample:?}");
        assert_eq!(resource["process.executable.name"], "busy", "{sample:?}");
    }
    let hot: Vec<Sample> = samples.iter().filter(|sample| sample.has("reckon")).cloned().collect();
    assert!(count(&hot) * 2 > count(&samples), "{} of {}", count(&hot), count(&samples));
    // It runs in a task, on a worker, whose name is that of the thread.
    for sample in &hot {
        assert!(sample.has("tokio::runtime"), "{sample:?}");
        assert_eq!(sample.attribute("thread.name"), Some("tokio-rt-worker"), "{sample:?}");
    }
    let of_process = [("pid", program.pid()), ("service", "busy-service")];
    assert!(agent.scrape().value("tokio_alive_tasks", &of_process) >= Some(1.0));
}

#[test]
fn spans_and_profiles_go_over_http_and_tls_as_well() {
    if !requirement::root() {
        return;
    }
    let Some(certificates) = Certificates::make() else { return };
    let Some(receiver) = Receiver::start_secure(Protocol::Http, &certificates) else { return };
    let Some(spikes) = Spikes::start("secure-spans") else { return };
    let mut command = receiver.agent_command();
    command.env("OTEL_EXPORTER_OTLP_CERTIFICATE", certificates.file("ca.pem"));
    command.env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificates.file("client.pem"));
    command.env("OTEL_EXPORTER_OTLP_CLIENT_KEY", certificates.file("client.key"));
    let config = spikes.config();
    let more =
        ["--config", &config, "--otlp-traces", "--tier", "phases", "--slow", "100ms", "--budget", "50%"];
    let agent = receiver.agent_by(&mut command, &[&OFTEN[..], &more].concat());
    let spans = wait_for("spans of a whole iteration", 3 * SOON, || {
        let spans = receiver.spans();
        let is_whole = |root: &serde_json::Value| {
            let children = spans.iter().filter(|span| span["parent"] == root["span"]);
            root["parent"] == "" && children.into_iter().any(|child| child["name"] == "timers")
        };
        let roots: Vec<_> = spans.iter().filter(|span| is_whole(span)).cloned().collect();
        (!roots.is_empty()).then_some(roots)
    });
    for span in &spans {
        assert_eq!(span["resource"]["service.name"], "shop", "{span}");
        assert_eq!(span["resource"]["process.pid"], spikes.pid(), "{span}");
        let length = span["end"].as_u64().expect("a time") - span["start"].as_u64().expect("a time");
        assert!(length >= 100_000_000, "{span}");
    }
    wait_for_samples(&receiver, spikes.pid());
    let told = agent.told();
    assert!(!told.contains("cannot be handed over") && !told.contains("does not take"), "{told}");
}

#[test]
fn a_pyroscope_gets_profiles_with_labels_even_if_it_fails_at_first() {
    if !requirement::root() {
        return;
    }
    let pyroscope = Pyroscope::start(2);
    let Some(spikes) = Spikes::start("pyroscope") else { return };
    let pid = spikes.pid().to_string();
    let config = spikes.config();
    let mut text = fs::read_to_string(&config).expect("it was just written");
    text.insert_str(0, "[profiling]\nusername = 'u'\npassword = 'p'\ntenant = 'shops'\n");
    fs::write(&config, text).expect("a scratch file");
    let url = pyroscope.url();
    let options = [&OFTEN[..], &["--config", &config, "--pyroscope", &url]].concat();
    let agent = Agent::start_by(&mut command(), &options);
    let pushed = wait_for("profiles", 3 * SOON, || {
        let pushed = pyroscope.pushed();
        (pushed.iter().map(|it| it.recording.total()).sum::<u64>() > 100).then_some(pushed)
    });
    assert_eq!(pyroscope.refusals(), 0);
    let is_hot = |sample: &loopscope_tests::recording::Sample| {
        sample.frames.iter().any(|frame| frame.function.contains("blockTheLoop"))
    };
    let (all, hot) = pushed
        .iter()
        .fold((0, 0), |(all, hot), it| (all + it.recording.total(), hot + it.recording.weight_where(is_hot)));
    assert!(hot * 3 > all, "{hot} of {all}");
    for one in &pushed {
        assert_eq!((one.label("service_name"), one.label("pid")), (Some("shop"), Some(pid.as_str())));
        assert_eq!(one.label("__name__"), Some("process_cpu"));
        assert_eq!(one.header("authorization"), Some("Basic dTpw"));
        assert_eq!(one.header("x-scope-orgid"), Some("shops"));
        assert_eq!(one.header("content-type"), Some("application/proto"));
        assert_eq!(one.id.len(), 36);
        for (sample, labels) in one.recording.samples.iter().zip(&one.sample_labels) {
            let label =
                |name: &str| labels.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
            if is_hot(sample) {
                assert_eq!((label("loop"), label("phase")), (Some("main"), Some("timers")), "{labels:?}");
            }
        }
    }
    drop(spikes);
    wait_for("all sums to be equal", 3 * SOON, || {
        let received: u64 = pyroscope.pushed().iter().map(|it| it.recording.total()).sum();
        (Some(received) == exported(&agent) && Some(received) == taken(&agent)).then_some(())
    });
    assert!(!agent.told().contains("dTpw"), "{}", agent.told());
}

/// Profiles that a receiver rejected were once counted as so many samples.
#[test]
fn profiles_that_a_receiver_rejects_are_counted_as_profiles() {
    if !requirement::root() {
        return;
    }
    let Some(mut receiver) = Receiver::start(Protocol::Http) else { return };
    receiver.answer("* partial 1 too old by far");
    let Some(spikes) = Spikes::start("rejected") else { return };
    let config = spikes.config();
    let agent = receiver.agent(&[&OFTEN[..], &["--config", &config]].concat());
    wait_for_samples(&receiver, spikes.pid());
    drop(spikes);
    wait_for("all sums to be equal", 3 * SOON, || {
        let (requests, samples) = (receiver.requests_of("profiles").len(), count(&receiver.samples()));
        let rejected = agent.scrape().value("loopscope_profile_rejected_profiles_total", &[]);
        (rejected == Some(requests as f64) && exported(&agent) == Some(samples)).then_some(())
    });
    let dropped = agent.scrape().value("loopscope_profile_dropped_samples_total", &[("cause", "partial")]);
    assert_eq!(dropped, Some(0.0), "{}", agent.told());
    assert!(agent.told().contains("did not take 1 profiles of a batch of"), "{}", agent.told());
}
