//! Something that serves `/metrics`, and what a scrape of it takes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope_benches::process_cpu_ns;
use loopscope_benches::scraping::{self, start_agent};

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
        let (process, address) = start_agent(&programs.loopscope, &[]);
        Self { process, address }
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
        scraping::scrape(&self.address, format.headers())
    }

    /// CPU time that it has used, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        process_cpu_ns(self.process.id()).expect("it runs, and the kernel tells the time of its threads")
    }

    /// A figure of memory as the kernel accounts for it, such as `VmRSS:`, in MiB.
    pub(crate) fn memory_mib(&self, figure: &str) -> f64 {
        scraping::memory_mib(self.process.id(), figure)
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
