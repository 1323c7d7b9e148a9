//! Every alert fires when it should, and does not when it should not: by promtool on made-up series, and by real Prometheus servers on real
//! programs, with the rules' times shortened and nothing else changed.

use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use loopscope_tests::dashboards::{self, list, rules, text_of};
use loopscope_tests::deadline::{SOON, wait_for, within};
use loopscope_tests::folder::Folder;
use loopscope_tests::otlp::{Protocol, Receiver};
use loopscope_tests::prometheus::{Scrapes, Series, Server, promtool};
use loopscope_tests::truth::Truthful;
use loopscope_tests::{fixture, node, requirement};
use serde_json::{Value, json};

/// Long enough for the slowest alert, on a machine that is busy.
const LONG: Duration = Duration::from_secs(90);

#[test]
fn prometheus_takes_the_rules_and_the_configuration() {
    let Some(said) =
        promtool(&["check", "rules", "--lint-fatal", "rules.yml"], &dashboards::path("prometheus"))
    else {
        return;
    };
    assert!(said.contains(&format!("{} rules found", rules().len())), "{said}");
    promtool(&["check", "config", "prometheus.yml"], &dashboards::path("prometheus"));
}

#[test]
fn alerts_fire_and_do_not_fire_as_the_made_up_series_ask() {
    promtool(&["test", "rules", "rules_test.yml"], &fixture::path("prometheus"));
}

#[test]
fn each_alert_is_tried_firing_and_not_firing() {
    let text = fs::read_to_string(fixture::path("prometheus/rules_test.yml")).expect("a fixture");
    let tried: Value = serde_saphyr::from_str(&text).expect("it is YAML");
    let mut seen = HashSet::new();
    for case in list(&tried["tests"]).iter().flat_map(|test| list(&test["alert_rule_test"])) {
        seen.insert((text_of(&case["alertname"]).to_owned(), !list(&case["exp_alerts"]).is_empty()));
    }
    for rule in rules().into_iter().filter(|rule| rule.json["alert"].is_string()) {
        for fires in [true, false] {
            assert!(seen.contains(&(rule.name.clone(), fires)), "{}: firing {fires} is not tried", rule.name);
        }
    }
}

#[test]
fn each_alert_tells_its_figure_and_has_a_runbook() {
    let mut pages = HashSet::new();
    for rule in rules().into_iter().filter(|rule| rule.json["alert"].is_string()) {
        let name = &rule.name;
        let annotations = &rule.json["annotations"];
        assert!(rule.json["for"].is_string(), "{name}");
        assert!(
            ["critical", "warning", "info"].contains(&text_of(&rule.json["labels"]["severity"])),
            "{name}"
        );
        assert!(text_of(&annotations["summary"]).ends_with('.'), "{name}");
        assert!(text_of(&annotations["description"]).contains("$value"), "{name}: the figure");
        let (_, page) =
            text_of(&annotations["runbook_url"]).rsplit_once("/main/").expect("a page of the repository");
        let text = fs::read_to_string(dashboards::root().join(page))
            .unwrap_or_else(|error| panic!("{page}: {error}"));
        for section in [
            "# ",
            "## What it means",
            "## Confirm it",
            "## What to do",
            "## Typical causes",
            "## When to change the threshold",
        ] {
            assert!(
                text.starts_with(section) || text.contains(&format!("\n{section}")),
                "{page} has no {section:?}"
            );
        }
        assert!(text.starts_with(&format!("# {name}\n")), "{page}");
        pages.insert(format!("{name}.md"));
    }
    for entry in fs::read_dir(dashboards::root().join("docs/runbooks")).expect("there are runbooks") {
        let file = entry.expect("the folder can be read").file_name().to_string_lossy().into_owned();
        assert!(file == "README.md" || pages.contains(&file), "{file} is of no alert");
    }
}

#[test]
fn recorded_series_are_called_by_level_metric_and_operations() {
    for rule in rules().into_iter().filter(|rule| rule.json["record"].is_string()) {
        let parts: Vec<_> = rule.name.split(':').collect();
        let [level, metric, operations] = parts.as_slice() else { panic!("{}", rule.name) };
        let labels = level.replace('_', ", ");
        assert!(rule.expression.contains(&format!("sum by ({labels})")), "{}: the level", rule.name);
        let of_counter = dashboards::metric(&format!("{metric}_total"));
        assert!(of_counter.or_else(|| dashboards::metric(metric)).is_some(), "{}: the metric", rule.name);
        assert!(operations.ends_with("5m") && rule.expression.contains("[5m]"), "{}: the window", rule.name);
    }
}

/// The rules with shorter times, so that hours pass in seconds.
fn hurried() -> String {
    let hurried = rules().into_iter().map(|rule| {
        let mut json = rule.json;
        let (minute, hour, more): (_, _, &[(&str, &str)]) = match rule.name.as_str() {
            "HeapGrowing" => (1.0, 4.0, &[]),
            "TargetLost" => (1.0, 60.0, &[("> 600", "> 5")]),
            "LoopscopeAgentLost" => (1.0, 60.0, &[("> 240", "> 6")]),
            _ => (2.0, 60.0, &[]),
        };
        let mut expression = rule.expression.clone();
        for (from, to) in more {
            assert!(expression.contains(from), "{}", rule.name);
            expression = expression.replace(from, to);
        }
        for count in [1, 2, 3, 5, 15, 30] {
            // In front of each stands what begins a duration.
            for before in ["[", ":", "offset "] {
                for (unit, seconds) in [("m", minute), ("h", hour)] {
                    let seconds = f64::from(count) * seconds;
                    for after in ["]", ":", "\n", ")", " "] {
                        let from = format!("{before}{count}{unit}{after}");
                        expression = expression.replace(&from, &format!("{before}{seconds}s{after}"));
                    }
                }
            }
        }
        json["expr"] = Value::from(expression);
        if json["alert"].is_string() {
            json["for"] = Value::from("2s");
        }
        json
    });
    json!({ "groups": [{ "name": "hurried", "rules": hurried.collect::<Vec<_>>() }] }).to_string()
}

struct Judged {
    servers: Vec<(Scrapes, Server)>,
}

impl Judged {
    /// Waits until an alert fires for these labels on every server.
    #[track_caller]
    fn expect_alert(&self, name: &str, labels: &str) {
        for (scrapes, server) in &self.servers {
            let firing = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\", {labels}}}");
            let fires = within(LONG, || (!server.query(&firing).is_empty()).then_some(()));
            assert!(
                fires.is_some(),
                "{scrapes:?}: {name} does not fire for {labels}; {:?}",
                server.query("ALERTS")
            );
        }
    }

    /// Waits until a recorded series, of these labels, is between these.
    #[track_caller]
    fn expect_recorded(&self, series: &str, expected: std::ops::RangeInclusive<f64>) {
        for (scrapes, server) in &self.servers {
            let mut last = Vec::new();
            let found = within(LONG, || {
                last = server.query(series);
                matches!(last.as_slice(), [Series { value: Some(value), .. }] if expected.contains(value))
                    .then_some(())
            });
            assert!(found.is_some(), "{scrapes:?}: {series} is not in {expected:?} but {last:?}");
        }
    }
}

#[test]
fn alerts_fire_for_programs_that_do_what_they_are_about_and_for_no_others() {
    if !requirement::root() {
        return;
    }
    let Some(node) = node::all().pop() else { return };
    let duty = |duty: &str, service: &str| {
        let mut command = Command::new(&node.program);
        command.arg(fixture::path("node/duty.js")).arg(duty).env("OTEL_SERVICE_NAME", service);
        Truthful::start(&mut command)
    };
    let folder = Folder::new("rules");
    let config = folder.file("loopscope.toml");
    fs::write(&config, dashboards::configuration("50%")).expect("a scratch file");
    let Some(mut receiver) = Receiver::start(Protocol::Http) else { return };
    let agent = receiver.agent(&["--config", config.to_str().expect("UTF-8")]);
    let mut servers = Vec::new();
    for scrapes in [Scrapes::Native, Scrapes::Text] {
        let Some(server) = Server::start_judging(agent.address(), scrapes, &hurried()) else { return };
        servers.push((scrapes, server));
    }
    let judged = Judged { servers };

    let lost_service = format!("lost-{}", std::process::id());
    let mut idle = Command::new(&node.program);
    let idle = Truthful::start(idle.arg("--expose-gc").arg(fixture::path("node/garbage.js")));
    let lost = duty("block", &lost_service);
    let blocked = duty("block", "blocked");
    let crowded = duty("crowd", "crowded");
    let growing = duty("grow", "growing");
    let of = |program: &Truthful| format!("pid=\"{}\"", program.pid());

    // What is recorded is what they do.
    let series = |name: &str, program: &Truthful| format!("{name}{{{}}}", of(program));
    let blocks =
        series("60 * job_instance_service_pid_loop:eventloop_lag_seconds:over125ms_rate5m", &blocked);
    judged.expect_recorded(&blocks, 40.0..=70.0);
    let share = series("job_instance_service_pid_loop:eventloop_time_seconds:active_ratio_rate5m", &blocked);
    judged.expect_recorded(&share, 0.17..=0.33);
    let lag = series("job_instance_service_pid_loop:eventloop_lag_seconds:p99_rate5m", &blocked);
    judged.expect_recorded(&lag, 0.18..=0.5);
    judged.expect_recorded("job_service:eventloop_lag_seconds:p99_rate5m{service=\"blocked\"}", 0.18..=0.5);
    let queue = series("job_instance_service_pid:threadpool_queue_depth:per_thread_avg5m", &crowded);
    judged.expect_recorded(&queue, 8.5..=9.0);
    let wait = series("job_instance_service_pid:threadpool_queue_wait_seconds:p99_rate5m", &crowded);
    judged.expect_recorded(&wait, 1.5..=4.0);

    judged.expect_alert("EventLoopBlocked", &of(&blocked));
    judged.expect_alert("ThreadPoolSaturated", &of(&crowded));
    judged.expect_alert("HeapGrowing", &of(&growing));
    // It begins only now, because it is stuck for a limited time.
    let stuck = duty("stuck", "stuck");
    judged.expect_alert("EventLoopStuck", &of(&stuck));
    judged.expect_alert("EventLoopUtilizationHigh", &of(&stuck));

    for (scrapes, server) in &judged.servers {
        let age = format!("time() - process_start_time_seconds{{{}}} > 7", of(&lost));
        wait_for("the program that is lost to be old enough", SOON, || {
            (!server.query(&age).is_empty()).then_some(())
        });
        // The programs that do something else, or nothing, have no alerts but their own, once their start is out of the windows.
        let of_others = [
            ("EventLoopBlocked|EventLoopStuck|EventLoopUtilizationHigh", &crowded),
            ("ThreadPoolSaturated|HeapGrowing|EventLoopStuck|EventLoopUtilizationHigh", &blocked),
            (".+", &idle),
        ];
        for (alerts, program) in of_others {
            let firing = format!("ALERTS{{alertname=~\"{alerts}\", alertstate=\"firing\", {}}}", of(program));
            wait_for(&format!("{scrapes:?}: no {firing}"), LONG, || {
                server.query(&firing).is_empty().then_some(())
            });
        }
        assert_eq!(
            server.query(&format!(
                "ALERTS{{alertstate=\"firing\", service=\"{lost_service}\", alertname=\"TargetLost\"}}"
            )),
            []
        );
        let of_agent = "ALERTS{alertname=~\"Loopscope.+\", alertstate=\"firing\"}";
        wait_for(of_agent, LONG, || server.query(of_agent).is_empty().then_some(()));
    }
    drop(lost);
    judged.expect_alert("TargetLost", &format!("service=\"{lost_service}\""));

    // Nearly no budget: what the probes cost is too much.
    fs::write(&config, dashboards::configuration("0.0001%")).expect("a scratch file");
    agent.signal("HUP");
    judged.expect_alert("LoopscopeTierInactive", &of(&blocked));
    receiver.answer("* http 400");
    judged.expect_alert("LoopscopeExportsLost", "cause=\"refused\"");
    fs::write(&config, "tier = 'nothing that there is'\n").expect("a scratch file");
    agent.signal("HUP");
    judged.expect_alert("LoopscopeConfigurationRejected", "job=\"loopscope\"");
    agent.kill();
    judged.expect_alert("LoopscopeAgentLost", "job=\"loopscope\"");
}
