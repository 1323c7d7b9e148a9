//! Something that serves `/metrics`, and what a scrape of it takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope_benches::process_cpu_ns;

use crate::Programs;

const PATIENCE: Duration = Duration::from_secs(120);

/// What a scraper asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    GzippedText,
    Protobuf,
}

impl Format {
    pub(crate) const ALL: [Self; 3] = [Self::Text, Self::GzippedText, Self::Protobuf];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::GzippedText => "text in gzip",
            Self::Protobuf => "protobuf",
        }
    }

    fn headers(self) -> &'static str {
        match self {
            Self::Text => "Accept: text/plain;version=0.0.4\r\n",
            Self::GzippedText => "Accept: text/plain;version=0.0.4\r\nAccept-Encoding: gzip\r\n",
            Self::Protobuf => {
                "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n"
            }
        }
    }
}

/// A process that serves metrics. It ends with this value.
pub(crate) struct Exporter {
    process: Child,
    address: String,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Exporter {
    /// Starts an agent of these programs.
    pub(crate) fn agent(programs: &Programs) -> Self {
        let mut command = Command::new(&programs.loopscope);
        command.args(["agent", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the agent starts");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let address = lines.find_map(|line| {
            let line = line.expect("text");
            Some(line.split_once("http://")?.1.trim_end_matches("/metrics").to_owned())
        });
        // The agent tells of every target that comes and goes.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address: address.expect("the agent tells its address") }
    }

    /// Starts a command that will serve at this address; `None` where its program is not there.
    pub(crate) fn at(address: String, command: &mut Command) -> Option<Self> {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let exporter = Self { process, address };
        wait_until("an exporter", || exporter.get(Format::Text).is_some());
        Some(exporter)
    }

    /// Waits until so many targets are measured.
    pub(crate) fn wait_for_targets(&self, count: usize) {
        wait_until("the targets", || self.measured() >= Some(count));
    }

    /// How many targets it measures, where it tells.
    fn measured(&self) -> Option<usize> {
        let text = String::from_utf8(self.get(Format::Text)?).ok()?;
        let line =
            text.lines().find_map(|line| line.strip_prefix("loopscope_targets{state=\"measured\"} "))?;
        line.parse().ok()
    }

    /// Scrapes it: the bytes, and the time until the last of them had come; `None` where it does not answer.
    pub(crate) fn scrape(&self, format: Format) -> Option<(Vec<u8>, Duration)> {
        let began = Instant::now();
        let body = self.get(format)?;
        Some((body, began.elapsed()))
    }

    fn get(&self, format: Format) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let headers = format.headers();
        write!(
            stream,
            "GET /metrics HTTP/1.0\r\nHost: {}\r\n{headers}Connection: close\r\n\r\n",
            self.address
        )
        .ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        // The version asked for has no chunks, but servers may answer by a newer one.
        let is_ok = answer.get(8..12) == Some(b" 200");
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        is_ok.then(|| answer.split_off(body))
    }

    /// CPU time that it has used, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        process_cpu_ns(self.process.id()).expect("it runs, and the kernel tells the time of its threads")
    }

    /// A figure of memory as the kernel accounts for it, such as `VmRSS:`, in MiB.
    pub(crate) fn memory_mib(&self, figure: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect("a figure of memory");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited for {what} for too long");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The middle of some times, or another part of them, in milliseconds.
pub(crate) fn quantile_ms(times: &[Duration], part: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len());
    sorted[at - 1].as_secs_f64() * 1e3
}
