//! A receiver of OTLP that is not ours: OpenTelemetry's message types and Google's gRPC, in Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::deadline::{SOON, wait_for};
use crate::fixture;
use crate::folder::Folder;
use crate::http::loopback;
use crate::loopscope::{Agent, command};
use crate::process::{Guarded, run};
use crate::requirement;

/// How the receiver is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP.
    Http,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    process: Guarded,
    protocol: Protocol,
    port: u16,
    is_secure: bool,
    requests: PathBuf,
    _folder: Folder,
}

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Request(Value);

/// A point of a request.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a>(&'a Value);

/// A sample of a profile: one stack of one thread, with all the times that it was seen.
#[derive(Clone, Debug)]
pub struct Sample(Value);

/// An authority, and what it vouches for, as files in PEM.
#[derive(Debug)]
pub struct Certificates {
    folder: Folder,
}

impl Receiver {
    /// Starts a receiver on a free loopback port; `None` after saying that the story is skipped.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start(protocol: Protocol) -> Option<Self> {
        Self::start_at(protocol, 0, &[])
    }

    /// Starts a receiver that speaks TLS and wants to see a client's certificate.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_secure(protocol: Protocol, certificates: &Certificates) -> Option<Self> {
        let [certificate, key, authority] =
            ["server.pem", "server.key", "ca.pem"].map(|name| certificates.file(name));
        let options = ["--tls", &certificate, &key, "--client-ca", &authority];
        Self::start_at(protocol, 0, &options)
    }

    /// Starts a receiver on a port.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn start_at(protocol: Protocol, port: u16, options: &[&str]) -> Option<Self> {
        let mut command = fixture::opentelemetry("python/otlp_receiver.py")?;
        let folder = Folder::new("otlp");
        let requests = folder.file("requests.jsonl");
        command.args(["--port", &port.to_string(), "--out"]).arg(&requests).args(options);
        if protocol == Protocol::Http {
            command.arg("--http");
        }
        let mut process = Guarded::start(&mut command);
        let port = process.line("its port", SOON, |line| line.strip_prefix("port ")?.trim().parse().ok());
        let is_secure = options.contains(&"--tls");
        Some(Self { process, protocol, port, is_secure, requests, _folder: folder })
    }

    /// An endpoint for it.
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Tells it how to answer: see its source.
    ///
    /// # Panics
    /// If it does not understand.
    #[track_caller]
    pub fn answer(&mut self, order: &str) {
        self.process.tell(order);
        self.process.line("an understanding", SOON, |line| line.contains(order).then_some(()));
    }

    /// All requests with metrics that it got so far.
    pub fn requests(&self) -> Vec<Request> {
        self.requests_of("metrics")
    }

    /// All samples of profiles that it got so far: each stack and thread of a profile once.
    pub fn samples(&self) -> Vec<Sample> {
        self.requests_of("profiles").iter().flat_map(Request::samples).collect()
    }

    /// All spans that it got so far.
    pub fn spans(&self) -> Vec<Value> {
        let items = |request: Request| request.0["spans"].as_array().expect("a list").clone();
        self.requests_of("traces").into_iter().flat_map(items).collect()
    }

    /// All requests of a signal that it got so far.
    pub fn requests_of(&self, signal: &str) -> Vec<Request> {
        let text = fs::read_to_string(&self.requests).unwrap_or_default();
        // The last line may not be all there yet.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let requests = lines.map(|line| Request(serde_json::from_str(line).expect("a line of JSON")));
        requests.filter(|request| request.0["signal"] == signal).collect()
    }

    /// Waits until it has got this many requests, and gives them.
    ///
    /// # Panics
    /// If they do not come.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) -> Vec<Request> {
        wait_for(&format!("{count} requests"), SOON, || {
            let requests = self.requests();
            (requests.len() >= count).then_some(requests)
        })
    }

    /// A command that starts an agent which exports to it, as often as a story has patience for.
    pub fn agent_command(&self) -> Command {
        agent_command(self.protocol)
    }

    /// Starts an agent that exports to it.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn agent(&self, options: &[&str]) -> Agent {
        self.agent_by(&mut self.agent_command(), options)
    }

    /// Starts an agent that exports to it, by a command.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn agent_by(&self, command: &mut Command, options: &[&str]) -> Agent {
        Agent::start_by(command, &[&["--otlp-endpoint", &self.endpoint()], options].concat())
    }
}

/// A command that starts an agent which exports by this protocol, as often as a story has patience for.
pub fn agent_command(protocol: Protocol) -> Command {
    let mut agent = command();
    let protocol = if protocol == Protocol::Grpc { "grpc" } else { "http/protobuf" };
    agent.env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol).env("OTEL_METRIC_EXPORT_INTERVAL", "300");
    agent
}

/// A loopback port on which nothing listens now.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(loopback(0)).expect("a free port");
    listener.local_addr().expect("it has an address").port()
}

impl Request {
    /// When it came, in seconds since 1970.
    pub fn at(&self) -> f64 {
        self.0["at"].as_f64().expect("a time")
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0["headers"][name].as_str()
    }

    /// Whether it was taken as a whole.
    pub fn is_accepted(&self) -> bool {
        self.0["order"][0] == "ok"
    }

    /// All samples of its profiles.
    pub fn samples(&self) -> Vec<Sample> {
        self.0["samples"].as_array().expect("a list").iter().cloned().map(Sample).collect()
    }

    /// All points.
    pub fn points(&self) -> impl Iterator<Item = Point<'_>> {
        self.0["points"].as_array().expect("a list").iter().map(Point)
    }

    /// The points of a metric of a process, or of the agent where none is given, that have these attributes.
    pub fn find<'a>(
        &'a self,
        pid: Option<u32>,
        name: &'a str,
        attributes: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = Point<'a>> {
        self.points().filter(move |point| {
            let is_of = match pid {
                Some(pid) => point.resource("process.pid").as_u64() == Some(pid.into()),
                None => point.resource("service.name") == "loopscope",
            };
            let has = |(name, value): &(&str, &str)| point.attribute(name) == Some(value);
            is_of && point.name() == name && attributes.iter().all(has)
        })
    }

    /// The sum of the values that [`Request::find`] finds; `None` where it finds none.
    pub fn value(&self, pid: Option<u32>, name: &str, attributes: &[(&str, &str)]) -> Option<f64> {
        self.find(pid, name, attributes).fold(None, |sum, point| Some(sum.unwrap_or(0.0) + point.value()))
    }
}

impl Sample {
    /// Any field, by the receiver's names.
    pub fn field(&self, name: &str) -> &Value {
        &self.0[name]
    }

    /// The process.
    pub fn pid(&self) -> Option<u64> {
        self.0["resource"]["process.pid"].as_u64()
    }

    /// An attribute that is text.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.0["attributes"][name].as_str()
    }

    /// Whether a function is on the stack.
    pub fn has(&self, function: &str) -> bool {
        let frames = self.0["frames"].as_array().expect("a list");
        frames.iter().any(|frame| frame.as_str().is_some_and(|frame| frame.contains(function)))
    }

    /// When it was taken, each time, in nanoseconds since 1970.
    pub fn times(&self) -> Vec<u64> {
        let times = self.0["times"].as_array().expect("a list");
        times.iter().map(|time| time.as_u64().expect("a time")).collect()
    }
}

impl<'a> Point<'a> {
    /// The metric's name.
    pub fn name(&self) -> &'a str {
        self.0["name"].as_str().expect("a name")
    }

    /// Any field, by the receiver's names.
    pub fn field(&self, name: &str) -> &'a Value {
        &self.0[name]
    }

    /// An attribute of its resource.
    pub fn resource(&self, name: &str) -> &'a Value {
        &self.0["resource"][name]
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&'a str> {
        self.0["attributes"][name].as_str()
    }

    /// Its value; of a distribution, how many durations it holds.
    ///
    /// # Panics
    /// If it has none.
    pub fn value(&self) -> f64 {
        self.0["value"].as_f64().or(self.0["count"].as_f64()).expect("a number")
    }

    /// The beginning and the end of what it tells, in nanoseconds since 1970.
    pub fn span(&self) -> (u64, u64) {
        (self.0["start"].as_u64().expect("a time"), self.0["time"].as_u64().expect("a time"))
    }

    /// Of a distribution: how many durations are no longer than so many seconds, a power of two of eighths.
    pub fn count_up_to(&self, seconds: f64) -> u64 {
        let offset = self.0["offset"].as_i64().expect("a number");
        let counts = self.0["buckets"].as_array().expect("a list");
        let within = counts.iter().zip(offset..).filter(|(_, index)| {
            // OTLP's bucket i ends at base^(i + 1).
            2f64.powf((*index + 1) as f64 / 8.0) <= seconds * 1.000_001
        });
        let zero = self.0["zero_count"].as_u64().expect("a number");
        zero + within.map(|(count, _)| count.as_u64().expect("a number")).sum::<u64>()
    }
}

impl Certificates {
    /// Makes an authority, and certificates for a server on this machine and for a client; `None` after saying that the story is
    /// skipped.
    ///
    /// # Panics
    /// If that fails.
    #[track_caller]
    pub fn make() -> Option<Self> {
        let openssl = requirement::program("openssl")?;
        let made = Self { folder: Folder::new("certificates") };
        let authority = ["-subj", "/CN=authority", "-addext", "basicConstraints=critical,CA:TRUE"];
        made.openssl(&openssl, "ca", &[&["-x509", "-days", "2"], &authority[..]].concat());
        for (name, names) in
            [("server", "subjectAltName=DNS:localhost"), ("client", "subjectAltName=DNS:agent")]
        {
            let [authority, key] = ["ca.pem", "ca.key"].map(|name| made.file(name));
            let signed = ["-x509", "-days", "2", "-CA", &authority, "-CAkey", &key];
            let subject = format!("/CN={name}");
            let own = ["-subj", &subject, "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"];
            made.openssl(&openssl, name, &[&signed[..], &own[..]].concat());
        }
        Some(made)
    }

    /// A new key, and a certificate for it.
    fn openssl(&self, openssl: &Path, name: &str, options: &[&str]) {
        let [certificate, key] = ["pem", "key"].map(|extension| self.file(&format!("{name}.{extension}")));
        let mut command = Command::new(openssl);
        command.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        run(command.args(["-keyout", &key, "-out", &certificate]).args(options), SOON);
    }

    /// One of the files: `ca`, `server` and `client`, each `.pem` and `.key`.
    pub fn file(&self, name: &str) -> String {
        self.folder.file(name).into_os_string().into_string().expect("a path in UTF-8")
    }
}
