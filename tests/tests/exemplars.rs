//! A spike of the lag leads to the code that made it: its exemplar, in an OTLP receiver or in a real Prometheus that has stored it, leads to the span and to
//! the profile of that very iteration.

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::otlp::{Protocol, Receiver, Sample};
use loopscope_tests::prometheus::{Exemplar, Scrapes, Server};
use loopscope_tests::requirement;
use loopscope_tests::spikes::{OFTEN, Spikes};
use serde_json::Value;

fn nanoseconds(value: &Value) -> u64 {
    value.as_u64().expect("a time")
}

/// The span of an exemplar, and the samples of its thread between the beginning and the end of that.
fn what_it_leads_to(exemplar: &Exemplar, receiver: &Receiver) -> Option<(Value, Vec<Sample>)> {
    let (trace, id) = (exemplar.labels.get("trace_id")?, exemplar.labels.get("span_id")?);
    let spans = receiver.spans();
    let span = spans.into_iter().find(|span| span["trace"] == **trace && span["span"] == **id)?;
    let within = nanoseconds(&span["start"])..nanoseconds(&span["end"]);
    let is_of = |sample: &Sample| {
        sample.pid().map(|pid| pid.to_string()).as_ref() == exemplar.series.get("pid")
            && sample.attribute("loop") == exemplar.series.get("loop").map(String::as_str)
            && sample.times().iter().any(|time| within.contains(time))
    };
    let samples: Vec<Sample> = receiver.samples().into_iter().filter(is_of).collect();
    samples.iter().any(|sample| sample.has("blockTheLoop")).then_some((span, samples))
}

fn an_exemplar_leads_to_its_span_and_profile(scrapes: Scrapes, story: &str, selector: &str) {
    if !requirement::root() {
        return;
    }
    let Some(receiver) = Receiver::start(Protocol::Http) else { return };
    let Some(spikes) = Spikes::start(story) else { return };
    let config = spikes.config();
    let more =
        ["--config", &config, "--otlp-traces", "--tier", "phases", "--slow", "100ms", "--budget", "50%"];
    let agent = receiver.agent(&[&OFTEN[..], &more].concat());
    let Some(prometheus) = Server::start(agent.address(), scrapes) else { return };
    let selector = format!("{selector}{{pid=\"{}\"}}", spikes.pid());
    let (exemplar, span) = wait_for("an exemplar that leads to its span and samples", 4 * SOON, || {
        let stored = prometheus.exemplars(&selector);
        stored.into_iter().filter(|exemplar| exemplar.value > 0.39).find_map(|exemplar| {
            let (span, _) = what_it_leads_to(&exemplar, &receiver)?;
            Some((exemplar, span))
        })
    });
    // By the series' labels and the exemplar's own, the profile is asked for.
    let label = |name: &str| exemplar.series.get(name).map(String::as_str);
    assert_eq!((label("service"), label("loop")), (Some("shop"), Some("main")), "{exemplar:?}");
    if scrapes == Scrapes::Text {
        // It is on the bucket that it is in.
        let bound: f64 = label("le").expect("a bucket").parse().expect("a number");
        assert!(exemplar.value <= bound && exemplar.value > bound / 2.0, "{exemplar:?}");
    }
    let pid = spikes.pid().to_string();
    let own = |name: &str| exemplar.labels.get(name).map(String::as_str);
    assert_eq!((own("phase"), own("thread_id")), (Some("timers"), Some(pid.as_str())), "{exemplar:?}");
    // The iteration took what the exemplar says, and ended when it says.
    let length = (nanoseconds(&span["end"]) - nanoseconds(&span["start"])) as f64 / 1e9;
    assert!((length - exemplar.value).abs() < 1e-6, "{exemplar:?} {span}");
    let end = nanoseconds(&span["end"]) as f64 / 1e9;
    assert!((end - exemplar.time).abs() < 0.05, "{exemplar:?} {span}");
}

#[test]
fn by_openmetrics_a_prometheus_stores_an_exemplar_that_leads_to_its_span_and_profile() {
    an_exemplar_leads_to_its_span_and_profile(Scrapes::Text, "exemplar-text", "eventloop_lag_seconds_bucket");
}

#[test]
fn with_native_histograms_a_prometheus_stores_it_as_well() {
    an_exemplar_leads_to_its_span_and_profile(Scrapes::Native, "exemplar-native", "eventloop_lag_seconds");
}

#[test]
fn the_exemplar_of_a_spike_leads_to_its_span_and_to_the_function_that_made_it() {
    if !requirement::root() {
        return;
    }
    let Some(receiver) = Receiver::start(Protocol::Grpc) else { return };
    let Some(spikes) = Spikes::start("exemplar-otlp") else { return };
    let pid = spikes.pid();
    let config = spikes.config();
    let more =
        ["--config", &config, "--otlp-traces", "--tier", "phases", "--slow", "100ms", "--budget", "50%"];
    let agent = receiver.agent(&[&OFTEN[..], &more].concat());
    let (exemplar, span, samples) = wait_for("an exemplar, its span and its samples", 3 * SOON, || {
        let requests = receiver.requests();
        let of_lag =
            requests.iter().flat_map(|request| request.find(Some(pid), "eventloop.lag", &[("loop", "main")]));
        let exemplars = of_lag.filter_map(|point| point.field("exemplars").get(0).cloned());
        let spikes = exemplars.filter(|exemplar| exemplar["value"].as_f64() > Some(0.39));
        let (spans, samples) = (receiver.spans(), receiver.samples());
        spikes.into_iter().find_map(|exemplar| {
            let span = spans.iter().find(|span| span["span"] == exemplar["span"])?.clone();
            let (start, end) = (span["start"].as_u64()?, span["end"].as_u64()?);
            let is_of = |sample: &&Sample| {
                sample.pid() == Some(pid.into())
                    && sample.attribute("loop") == Some("main")
                    && sample.times().iter().any(|time| (start..end).contains(time))
            };
            // Timers that were due at the same time ran in the iteration, too.
            let within = samples.iter().filter(is_of).filter(|sample| sample.has("blockTheLoop"));
            let within: Vec<Sample> = within.cloned().collect();
            (!within.is_empty()).then_some((exemplar, span, within))
        })
    });
    assert_eq!((&span["trace"], &span["parent"]), (&exemplar["trace"], &"".into()));
    assert_eq!(span["resource"]["service.name"], "shop");
    assert_eq!(
        (&exemplar["attributes"]["phase"], &exemplar["attributes"]["thread.id"]),
        (&"timers".into(), &pid.into())
    );
    let time = |value: &serde_json::Value| value.as_u64().expect("a time") as f64 / 1e9;
    let length = time(&span["end"]) - time(&span["start"]);
    assert!((length - exemplar["value"].as_f64().expect("a number")).abs() < 1e-6, "{length} s, {exemplar}");
    // Two clocks are read, a moment apart.
    assert!((time(&exemplar["time"]) - time(&span["end"])).abs() < 0.01, "{exemplar} {span}");
    assert!(
        samples.iter().all(|sample| sample.attribute("phase") == exemplar["attributes"]["phase"].as_str())
    );
    let spans = receiver.spans();
    let within: Vec<_> = spans.iter().filter(|child| child["parent"] == span["span"]).collect();
    let timers = within.iter().find(|child| child["name"] == "timers").expect("the phase's span");
    assert!(time(&timers["end"]) - time(&timers["start"]) > 0.5 * length, "{timers}");

    // A server that scrapes gets it, too, on the bucket that it is in.
    let answer = agent.get("/metrics", ("accept", "application/openmetrics-text"));
    let of_process = format!("pid=\"{pid}\"");
    let line = answer.text().lines().find(|line| {
        line.starts_with("eventloop_lag_seconds_bucket")
            && line.contains(&of_process)
            && line.contains(" # {")
    });
    let line = line.expect("an exemplar in OpenMetrics");
    assert!(line.contains("le=\"0.5\"") || line.contains("le=\"1.0\""), "{line}");
    assert!(line.contains("trace_id=\"") && line.contains("phase=\"timers\""), "{line}");
    let plain = agent.get("/metrics", ("accept", "text/plain"));
    assert!(!plain.text().contains(" # {"), "the older format has no exemplars");
}
