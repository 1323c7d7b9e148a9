//! A running `loopscope-collector`, asked as its page asks it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::http::{self, percent_encoded};
use crate::loopscope::{collector_program, serve};
use crate::process::Guarded;

/// A collector that the story started.
#[derive(Debug)]
pub struct Collector {
    process: Guarded,
    address: SocketAddr,
}

/// Where a collector serves, whoever started it.
#[derive(Clone, Copy, Debug)]
pub struct Api(pub SocketAddr);

impl Collector {
    /// Starts a collector on a loopback address, with its data there.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start(listen: SocketAddr, data: &Path) -> Self {
        Self::start_with(listen, data, &[])
    }

    /// Likewise, with these options.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_with(listen: SocketAddr, data: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(collector_program());
        command.arg("--listen").arg(listen.to_string()).arg("--data").arg(data).args(options);
        let (process, address) = serve(&mut command);
        Self { process, address }
    }

    /// What it answers.
    pub fn api(&self) -> Api {
        Api(self.address)
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it now, as a crash would.
    pub fn kill(self) {
        self.process.kill();
    }
}

impl Api {
    /// The answer to a question; `None` where it has none, or is not there.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<String> {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let answer = http::get(self.0, &format!("/api/v1/{path}?{query}"), &[]).ok()?;
        (answer.status == 200).then(|| answer.text().to_owned())
    }

    /// An answer in JSON.
    pub fn json(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        serde_json::from_str(&self.ask(path, parameters)?).ok()
    }

    /// The services that it knows.
    pub fn services(&self) -> Vec<String> {
        let answer = self.json("services", &[]).unwrap_or_default();
        let services = answer["services"].as_array().into_iter().flatten();
        services.filter_map(|service| Some(service["name"].as_str()?.to_owned())).collect()
    }

    /// The stacks of a service's CPU time, its phases above them, each with its nanoseconds.
    pub fn stacks(&self, service: &str) -> Vec<(String, u64)> {
        let query = format!("{CPU}{{service=\"{service}\"}}");
        let parameters = [("query", query.as_str()), ("by", "phase"), ("format", "folded")];
        let answer = self.ask("flamegraph", &parameters).unwrap_or_default();
        let line = |line: &str| {
            let (stack, value) = line.rsplit_once(' ')?;
            Some((stack.to_owned(), value.parse().ok()?))
        };
        answer.lines().filter_map(line).collect()
    }

    /// The highest lag of a service's loops in the last hour, in seconds.
    pub fn lag_max_seconds(&self, service: &str) -> Option<f64> {
        let query = format!("{{service=\"{service}\"}}");
        let answer = self.json("lag", &[("query", &query), ("step", "10")])?;
        let series = answer["series"].as_array()?.iter();
        let values = series.flat_map(|series| series["max"].as_array().into_iter().flatten());
        values.filter_map(Value::as_f64).reduce(f64::max)
    }
}

/// The type of profiles of CPU time.
pub const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
