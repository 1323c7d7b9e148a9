//! Grafana dashboards and Prometheus rules, made from the catalogue.
//!
//! A metric is named here by its constant, never by its spelling, so what does not exist cannot be drawn. The dashboards stand on
//! the metrics alone, and not on the recording rules: they work as they are, also where the rules are not installed.

mod grafana;
mod json;
mod query;
mod rules;

mod agent;
mod overview;
mod process;
mod tokio;

/// Each generated file: its path from the root of the repository, and its text.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    vec![
        ("dashboards/grafana/loopscope-overview.json", overview::dashboard().to_json()),
        ("dashboards/grafana/loopscope-process.json", process::dashboard().to_json()),
        ("dashboards/grafana/loopscope-tokio.json", tokio::dashboard().to_json()),
        ("dashboards/grafana/loopscope-agent.json", agent::dashboard().to_json()),
        ("dashboards/prometheus/rules.yml", rules::text()),
    ]
}
