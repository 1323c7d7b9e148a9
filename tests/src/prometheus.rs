//! A Prometheus server of the story's own: on a loopback port that nobody else uses, with its data in a scratch folder.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::deadline::{SOON, wait_for};
use crate::folder::Folder;
use crate::http::{self, percent_encoded};
use crate::process::Guarded;
use crate::requirement;

/// In which form the server asks for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrapes {
    /// As text, with classic histograms.
    Text,
    /// As protocol buffers, with native histograms.
    Native,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    _process: Guarded,
    address: SocketAddr,
    _data: Folder,
}

/// One series of a query's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// Its value; `None` of a native histogram, which has no single one.
    pub value: Option<f64>,
}

/// An exemplar that a server has stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The labels of its series.
    pub series: BTreeMap<String, String>,
    /// Its own.
    pub labels: BTreeMap<String, String>,
    /// What it is an example of.
    pub value: f64,
    /// When that was, in seconds since 1970.
    pub time: f64,
}

impl Server {
    /// Starts a server that scrapes `target` every second; `None` after saying that the story is skipped.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start(target: SocketAddr, scrapes: Scrapes) -> Option<Self> {
        Self::start_with(target, scrapes, "")
    }

    /// The same, with more of the scrape's configuration, such as `, scheme: https`.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_with(target: SocketAddr, scrapes: Scrapes, more: &str) -> Option<Self> {
        Self::launch(target, scrapes, "1s", more, "groups: []")
    }

    /// The same, scraping at another interval: for a machine on which much else is measured.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_every(interval: &str, target: SocketAddr, scrapes: Scrapes) -> Option<Self> {
        Self::launch(target, scrapes, interval, "", "groups: []")
    }

    /// The same, with rules that it judges every second.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_judging(target: SocketAddr, scrapes: Scrapes, rules: &str) -> Option<Self> {
        Self::launch(target, scrapes, "1s", "", rules)
    }

    /// The exemplars that it has stored for a selector of series, each with its series' labels; of the last hour.
    ///
    /// # Panics
    /// If the server refuses.
    #[track_caller]
    pub fn exemplars(&self, selector: &str) -> Vec<Exemplar> {
        let now = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
        let (selector, start, end) = (percent_encoded(selector), now - 3600, now + 60);
        let path = format!("/api/v1/query_exemplars?query={selector}&start={start}&end={end}");
        let response = http::get(self.address, &path, &[]).expect("Prometheus answers");
        let answer: Value = serde_json::from_slice(&response.body).expect("Prometheus answers with JSON");
        assert_eq!(answer["status"], "success", "{answer}");
        let of_series = |series: &Value| {
            let labels = texts(&series["seriesLabels"]);
            let exemplars = series["exemplars"].as_array().expect("a list").clone();
            exemplars.into_iter().map(move |exemplar| Exemplar {
                series: labels.clone(),
                labels: texts(&exemplar["labels"]),
                value: exemplar["value"].as_str().expect("a number as text").parse().expect("a number"),
                time: exemplar["timestamp"].as_f64().expect("a time"),
            })
        };
        answer["data"].as_array().expect("a list").iter().flat_map(of_series).collect()
    }

    #[track_caller]
    fn launch(target: SocketAddr, scrapes: Scrapes, interval: &str, more: &str, rules: &str) -> Option<Self> {
        let program = requirement::program("prometheus")?;
        let data = Folder::new("prometheus");
        let config = data.file("prometheus.yml");
        let job = format!(r#"{{job_name: loopscope, static_configs: [{{targets: ["{target}"]}}]{more}}}"#);
        let text = format!(
            "global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs: [{job}]\n"
        );
        fs::write(&config, text).expect("a scratch file");
        fs::write(data.file("rules.yml"), rules).expect("a scratch file");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", data.file("data").display()));
        command.arg("--web.listen-address=127.0.0.1:0");
        let features = match scrapes {
            Scrapes::Text => "exemplar-storage",
            Scrapes::Native => "exemplar-storage,native-histograms",
        };
        command.arg(format!("--enable-feature={features}"));
        let mut process = Guarded::start(&mut command);
        let address = wait_for("Prometheus's port", SOON, || {
            assert!(process.is_running(), "Prometheus ended: {}", process.stderr());
            listening_on(&process.stderr())
        });
        wait_for("Prometheus to be ready", SOON, || {
            http::get(address, "/-/ready", &[]).ok().filter(|response| response.status == 200)
        });
        Some(Self { _process: process, address, _data: data })
    }

    /// What an expression evaluates to now: an instant vector.
    ///
    /// # Panics
    /// If the server refuses it, or it is no vector.
    #[track_caller]
    pub fn query(&self, expression: &str) -> Vec<Series> {
        let path = format!("/api/v1/query?query={}", percent_encoded(expression));
        let response = http::get(self.address, &path, &[]).expect("Prometheus answers");
        let answer: Value = serde_json::from_slice(&response.body).expect("Prometheus answers with JSON");
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        let vector = answer["data"]["result"].as_array().expect("a vector");
        vector.iter().map(read_series).collect()
    }

    /// The single value of an expression, once there is exactly one and `accept` takes it.
    ///
    /// # Panics
    /// If there is none in time.
    #[track_caller]
    pub fn wait_for_value(&self, expression: &str, accept: impl Fn(f64) -> bool) -> f64 {
        let mut last = Vec::new();
        let look = || {
            last = self.query(expression);
            match last.as_slice() {
                [Series { value: Some(value), .. }] if accept(*value) => Some(*value),
                _ => None,
            }
        };
        wait_for(&format!("an acceptable value of {expression}"), SOON, look)
    }
}

/// Runs `promtool` in a folder and expects it to be content; gives what it says. `None` after saying that the story is skipped.
///
/// # Panics
/// If it finds fault.
#[track_caller]
pub fn promtool(arguments: &[&str], folder: &Path) -> Option<String> {
    let program = requirement::program("promtool")?;
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("promtool runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {}\n{said}", output.status);
    Some(said)
}

/// What `promtool check metrics` says of a scrape in text form: nothing, if all is well. `None` after saying that the story
/// is skipped.
///
/// # Panics
/// If it cannot be run.
#[track_caller]
pub fn lint(metrics: &[u8]) -> Option<String> {
    let program = requirement::program("promtool")?;
    let folder = Folder::new("promtool");
    let input = folder.file("metrics");
    fs::write(&input, metrics).expect("a scratch file");
    let input = fs::File::open(input).expect("it was just written");
    let mut command = Command::new(program);
    command.args(["check", "metrics"]).stdin(Stdio::from(input));
    let output = command.output().expect("promtool runs");
    let said = [output.stdout, output.stderr].concat();
    let mut said = String::from_utf8_lossy(&said).into_owned();
    if !output.status.success() {
        said += &format!("promtool: {}", output.status);
    }
    Some(said)
}

/// Finds `msg="Listening on" address=127.0.0.1:PORT` in the server's log.
fn listening_on(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("msg=\"Listening on\""))?;
    line.split_whitespace().find_map(|word| word.strip_prefix("address="))?.parse().ok()
}

/// Labels and their values.
fn texts(labels: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("labels are text").to_owned();
    let labels = labels.as_object().expect("labels");
    labels.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn read_series(series: &Value) -> Series {
    Series {
        labels: texts(&series["metric"]),
        value: series["value"][1].as_str().map(|value| value.parse().expect("a number")),
    }
}
