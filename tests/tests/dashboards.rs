//! Dashboards and rules name what there is, and are as Grafana and Prometheus want them.
//!
//! The rules of Grafana's dashboard-linter are checked here, each by a test of its own; the schema is checked by Grafana's own types.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use loopscope_tests::dashboards::{
    self, Dashboard, Question, Selector, all, list, metric, rules, selectors, substituted, text_of,
};
use loopscope_tests::folder::Folder;
use loopscope_tests::process::Guarded;
use loopscope_tests::{fixture, requirement};
use promql_parser::label::MatchOp;
use serde_json::Value;

/// What Prometheus makes itself.
const OF_PROMETHEUS: &[&str] = &["ALERTS"];

/// `$__rate_interval` in these tests: a time that stands nowhere else.
const RATE_INTERVAL: &str = "1234s";

/// The selectors of a question, with its variables left in the matchers.
fn asked(question: &Question<'_>) -> Vec<Selector> {
    selectors(&question.expression.replace("$__rate_interval", RATE_INTERVAL))
}

fn of_each_question(check: impl Fn(&Question<'_>, &[Selector])) {
    for dashboard in all() {
        for question in dashboard.questions() {
            check(&question, &asked(&question));
        }
    }
}

/// What a selector names is a metric with these labels, or made by Prometheus or by a rule before it.
#[track_caller]
fn expect_known(place: &str, selector: &Selector, recorded: &HashSet<String>) {
    if OF_PROMETHEUS.contains(&selector.name.as_str()) || recorded.contains(&selector.name) {
        return;
    }
    let metric =
        metric(&selector.name).unwrap_or_else(|| panic!("{place}: the catalogue has no {}", selector.name));
    for matcher in &selector.matchers {
        let value = matcher.value.as_str();
        let of_metric = metric.labels.iter().find(|label| label.name == matcher.name);
        match of_metric {
            Some(label) if label.is_closed() => {
                assert!(label.values.contains(&value), "{place}: {} never is {value}", label.name);
            }
            Some(_) => {}
            None => {
                let of_target = ["job", "instance", "service", "pid", "loop", "runtime", "le"];
                assert!(
                    of_target.contains(&matcher.name.as_str()),
                    "{place}: {} has no {}",
                    metric.name,
                    matcher.name
                );
            }
        }
    }
}

#[test]
fn dashboards_and_rules_name_nothing_but_what_the_catalogue_lists() {
    of_each_question(|question, selectors| {
        let place = format!("{}, {}", question.dashboard, question.panel);
        for selector in selectors {
            expect_known(&place, selector, &HashSet::new());
        }
    });
    let mut recorded = HashSet::new();
    for rule in rules() {
        for selector in selectors(&rule.expression) {
            expect_known(&rule.name, &selector, &recorded);
        }
        if rule.json["record"].is_string() {
            recorded.insert(rule.name);
        }
    }
}

#[test]
fn each_dashboard_can_be_imported_as_it_is_and_keeps_its_address() {
    let mut addresses = HashSet::new();
    for Dashboard { file, json } in all() {
        assert!(json["id"].is_null() && json["__inputs"].is_null(), "{file}: asks nothing of who imports it");
        assert_eq!(file, format!("{}.json", text_of(&json["uid"])));
        assert!(addresses.insert(text_of(&json["uid"]).to_owned()), "{file}");
        assert!(json["schemaVersion"].as_u64() >= Some(39), "{file}");
        let link = &json["links"][0];
        assert!(
            link["keepTime"] == true && link["includeVars"] == true,
            "{file}: links keep time and choices"
        );
    }
}

#[test]
fn a_row_of_the_overview_leads_to_its_process() {
    let all = all();
    let of = |uid: &str| {
        all.iter().find(|it| it.json["uid"] == uid).unwrap_or_else(|| panic!("no dashboard {uid}"))
    };
    let overview = of("loopscope-overview");
    let table = overview.panels().into_iter().find(|panel| panel["type"] == "table").expect("a table");
    let renamed = &table["transformations"][1]["options"]["renameByName"];
    let columns: HashSet<_> =
        renamed.as_object().expect("names").values().filter_map(Value::as_str).collect();
    let mut links = HashSet::new();
    for part in list(&table["fieldConfig"]["overrides"]) {
        assert!(columns.contains(text_of(&part["matcher"]["options"])), "{part}");
        let of_part = list(&part["properties"]).iter().filter(|it| it["id"] == "links");
        links.extend(of_part.flat_map(|it| list(&it["value"])).map(|link| text_of(&link["url"])));
    }
    let [link] = links.into_iter().collect::<Vec<_>>()[..] else { panic!("one link") };
    let (address, choices) = link.split_once('?').expect("choices");
    let chosen = of(address.strip_prefix("/d/").expect("a dashboard"));
    assert!(choices.contains("${__url_time_range}") && choices.contains("${datasource:queryparam}"));
    let mut named = HashSet::new();
    for choice in choices.split('&').filter_map(|choice| choice.strip_prefix("var-")) {
        let (variable, column) = choice.split_once("=${__data.fields.").expect("of a column");
        assert!(columns.contains(column.split(':').next().expect("a column")), "{choice}");
        named.insert(variable);
    }
    let there = chosen.variables().iter().filter(|it| it["type"] == "query").map(|it| text_of(&it["name"]));
    assert_eq!(named, there.collect::<HashSet<_>>());
}

fn dashboard_text(name: &str) -> String {
    std::fs::read_to_string(dashboards::path("grafana").join(name)).expect("a dashboard")
}

#[test]
fn panels_fill_the_grid_without_holes() {
    for dashboard in all() {
        let mut ids = HashSet::new();
        let mut covered = HashSet::new();
        let mut cover = |panel: &Value, place: &str| {
            assert!(ids.insert(panel["id"].as_u64()), "{place}: the id is taken");
            let of = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
            assert!(of("w") > 0 && of("x") + of("w") <= 24, "{place}");
            for (x, y) in
                (of("x")..of("x") + of("w")).flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y)))
            {
                assert!(covered.insert((x, y)), "{place} covers another");
            }
        };
        for panel in list(&dashboard.json["panels"]).iter().filter(|panel| panel["type"] == "row") {
            cover(panel, text_of(&panel["title"]));
        }
        for panel in dashboard.panels() {
            cover(panel, text_of(&panel["title"]));
        }
        let height = covered.iter().map(|(_, y)| y + 1).max().unwrap_or(0);
        assert_eq!(covered.len() as u64, height * 24, "{} has holes", dashboard.file);
    }
}

#[test]
fn there_is_one_data_source_and_it_is_a_variable() {
    for dashboard in all() {
        let of_type: Vec<_> =
            dashboard.variables().iter().filter(|variable| variable["type"] == "datasource").collect();
        let [variable] = of_type.as_slice() else { panic!("{}: {of_type:?}", dashboard.file) };
        assert_eq!(
            (&variable["name"], &variable["label"], &variable["query"]),
            (&Value::from("datasource"), &Value::from("Data source"), &Value::from("prometheus"))
        );
        for panel in dashboard.panels() {
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            for target in list(&panel["targets"]) {
                assert_eq!(target["datasource"], panel["datasource"], "{}", panel["title"]);
            }
        }
    }
}

#[test]
fn job_instance_and_service_can_be_chosen_and_follow_the_time() {
    for dashboard in all() {
        let chosen: Vec<_> =
            dashboard.variables().iter().filter(|variable| variable["type"] == "query").collect();
        for name in ["job", "instance", "service"] {
            assert!(chosen.iter().any(|variable| variable["name"] == name), "{}: {name}", dashboard.file);
        }
        for variable in chosen {
            let place = format!("{}, {}", dashboard.file, variable["name"]);
            assert_eq!(variable["label"], variable["name"], "{place}");
            assert_eq!(variable["datasource"]["uid"], "${datasource}", "{place}");
            assert!(variable["multi"] == true && variable["includeAll"] == true, "{place}");
            assert_eq!(variable["allValue"], ".+", "{place}");
            assert_eq!(variable["refresh"], 2, "{place}: read again when the time changes");
            let query = text_of(&variable["query"]["query"]);
            let arguments = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (series, label) =
                arguments.and_then(|it| it.rsplit_once(", ")).expect("label_values(series, label)");
            assert_eq!(variable["name"], label, "{place}");
            for selector in selectors(series) {
                expect_known(&place, &selector, &HashSet::new());
            }
        }
    }
}

#[test]
fn every_panel_has_a_title_a_description_and_a_unit() {
    for dashboard in all() {
        let mut titles = HashSet::new();
        for panel in dashboard.panels() {
            let title = text_of(&panel["title"]);
            assert!(
                !title.is_empty() && titles.insert(title),
                "{}: {title:?} is there twice",
                dashboard.file
            );
            let description = text_of(&panel["description"]);
            assert!(description.len() > 20 && description.ends_with('.'), "{title}: {description:?}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        }
    }
}

#[test]
fn every_panel_asks_and_every_question_is_promql() {
    for dashboard in all() {
        for panel in dashboard.panels() {
            assert!(!list(&panel["targets"]).is_empty(), "{}", panel["title"]);
        }
    }
    of_each_question(|question, _| {
        let sent = substituted(question.expression, "1m", &[]);
        assert!(!selectors(&sent).is_empty(), "{}, {}", question.dashboard, question.panel);
    });
}

#[test]
fn every_question_is_of_the_chosen_job_and_instance() {
    of_each_question(|question, selectors| {
        for selector in selectors {
            for label in ["job", "instance"] {
                let is_chosen = selector.matchers.iter().any(|matcher| {
                    matcher.name == label
                        && matches!(matcher.op, MatchOp::Re(_))
                        && matcher.value == format!("${label}")
                });
                assert!(
                    is_chosen,
                    "{}, {}: {} of any {label}",
                    question.dashboard, question.panel, selector.name
                );
            }
        }
    });
}

#[test]
fn every_rate_is_taken_over_grafanas_interval_and_no_counter_is_shown_as_it_is() {
    of_each_question(|question, selectors| {
        let place = format!("{}, {}", question.dashboard, question.panel);
        for selector in selectors {
            if let Some(seconds) = selector.range_seconds {
                assert_eq!(seconds, 1234.0, "{place}: {}", selector.name);
            }
            let is_sum =
                ["_total", "_bucket", "_sum", "_count"].iter().any(|end| selector.name.ends_with(end));
            let is_histogram =
                metric(&selector.name).is_some_and(|it| it.kind == model::catalogue::Kind::Histogram);
            if is_sum || is_histogram {
                assert_eq!(selector.function.as_deref(), Some("rate"), "{place}: {}", selector.name);
            }
        }
    });
}

#[test]
fn dashboards_are_changed_where_they_are_made() {
    for dashboard in all() {
        assert_eq!(dashboard.json["editable"], false, "{}", dashboard.file);
    }
}

/// What does not fit the types of Grafana in these files, nothing if all does. `None` after saying that the story is skipped.
fn misfits(files: &[PathBuf]) -> Option<String> {
    let node = requirement::program("node")?;
    let packages = requirement::grafana_packages()?;
    let folder = Folder::new("schema");
    let mut command = Command::new(node);
    command.arg(fixture::path("grafana/check.js")).arg(packages).arg(folder.path()).args(files);
    let ended = Guarded::start(&mut command).wait(Duration::from_secs(300));
    assert!(ended.status.success() == ended.stderr.is_empty(), "{ended:?}");
    Some(ended.stderr)
}

#[test]
fn dashboards_fit_grafanas_own_types_and_units() {
    let files: Vec<_> = all().into_iter().map(|it| dashboards::path("grafana").join(it.file)).collect();
    let Some(misfits) = misfits(&files) else { return };
    assert_eq!(misfits, "");
}

#[test]
fn what_does_not_fit_grafanas_types_is_told() {
    let folder = Folder::new("misfits");
    let good = dashboard_text("loopscope-overview.json");
    for (from, to, told) in [
        (r#""unit": "percentunit""#, r#""unit": "percentage""#, "no unit percentage"),
        (r#""schemaVersion": 42"#, r#""schemaVersion": "42""#, "not assignable to type 'number'"),
        (r#""sortBy": ["#, r#""sortedBy": ["#, "sortedBy\"' does not exist"),
        (r#""graphMode": "none""#, r#""graphMode": "some""#, "\"some\""),
        (r#""fillOpacity": 10"#, r#""fillOpacity": "10""#, "not assignable to type 'number'"),
        (r#""format": "table""#, r#""format": "tables""#, "\"tables\""),
    ] {
        let file = folder.file("broken.json");
        assert!(good.contains(from), "{from}");
        std::fs::write(&file, good.replacen(from, to, 1)).expect("a scratch file");
        let Some(misfits) = misfits(&[file]) else { return };
        assert!(misfits.contains(told), "{to}: {misfits:?}");
    }
}

#[test]
fn provisioning_leads_to_the_dashboards_and_the_data_source() {
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(dashboards::path(name)).expect("it is there");
        serde_saphyr::from_str(&text).expect("it is YAML")
    };
    let compose = read("compose.yaml");
    let folder = &read("provisioning/dashboards/loopscope.yaml")["providers"][0]["options"]["path"];
    let volumes = list(&compose["services"]["grafana"]["volumes"]);
    assert!(volumes.contains(&Value::from(format!("./grafana:{}:ro", text_of(folder)))), "{volumes:?}");
    assert!(volumes.contains(&Value::from("./provisioning:/etc/grafana/provisioning:ro")));
    let source = &read("provisioning/datasources/prometheus.yaml")["datasources"][0];
    let prometheus = list(&compose["services"]["prometheus"]["command"]);
    let address = text_of(&source["url"]).strip_prefix("http://").expect("an address");
    assert!(prometheus.contains(&Value::from(format!("--web.listen-address={address}"))));
    let scraped = &read("prometheus/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"][0];
    assert!(list(&compose["services"]["agent"]["command"]).contains(scraped));
    let profiles = &read("provisioning/datasources/pyroscope.yaml")["datasources"][0];
    assert_eq!(profiles["type"], "grafana-pyroscope-datasource");
    let kept = text_of(&profiles["url"]);
    assert!(list(&compose["services"]["agent"]["command"]).contains(&Value::from(kept)));
    let kept = kept.strip_prefix("http://").expect("an address");
    assert!(list(&compose["services"]["collector"]["command"]).contains(&Value::from(kept)));
    // Pinned, and on the loopback address alone.
    for (name, service) in compose["services"].as_object().expect("services") {
        if let Some(image) = service["image"].as_str() {
            assert!(
                image.split_once(':').is_some_and(|(_, tag)| tag.split('.').count() == 3),
                "{name}: {image}"
            );
        }
    }
    let grafana = &compose["services"]["grafana"]["environment"];
    assert_eq!(grafana["GF_SERVER_HTTP_ADDR"], "127.0.0.1");
    assert!([text_of(scraped), address, kept].iter().all(|address| address.starts_with("127.0.0.1:")));
}

#[test]
fn a_question_is_sent_as_grafana_sends_it() {
    let sent = substituted(r#"rate(a{job=~"$job", pid=~"$pid"}[$__rate_interval])"#, "1m", &[("pid", "7")]);
    assert_eq!(sent, r#"rate(a{job=~".+", pid=~"7"}[1m])"#);
}
