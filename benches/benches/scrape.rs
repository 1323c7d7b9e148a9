//! `/metrics` of the agent with many targets: time, bytes, and the agent's memory.
//!
//! Run with `cargo bench -p loopscope-benches --bench scrape`. Beside it, where it is installed, Debian's
//! `prometheus-node-exporter`, which people have on every host: it measures one host, not many processes, so only
//! its price compares, per series.

#![expect(clippy::print_stdout, reason = "a benchmark reports on standard output")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope_benches::scraping::{self, memory_mib, start_agent};
use loopscope_benches::{cargo_build, process_cpu_ns};

const SCRAPES: usize = 20;
const TARGETS: [usize; 3] = [1, 50, 500];
const PATIENCE: Duration = Duration::from_secs(120);

const TEXT: &str = "Accept: text/plain;version=0.0.4\r\n";
const PROTOBUF: &str =
    "Accept: application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited\r\n";

/// A process that ends with this value.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    let loopscope = cargo_build(&["--release", "--bin", "loopscope"]).join("loopscope");
    let target = cargo_build(&["--release", "--package", "loopscope-benches", "--example", "target"])
        .join("examples/target");
    println!(
        "| exporter | targets | format | series | KiB | median ms | CPU ms | resident MiB | peak MiB |\n|---|---|---|---|---|---|---|---|---|"
    );
    let mut targets = Vec::new();
    for count in TARGETS {
        targets.resize_with(count, || start_target(&target));
        let (agent, address) = start_agent(&loopscope, &[]);
        let agent = Guarded(agent);
        let measured = format!("loopscope_targets{{state=\"measured\"}} {count}\n");
        wait_until(|| scrape(&address, TEXT).contains(&measured));
        for (name, accept) in [("text", TEXT), ("protobuf", PROTOBUF)] {
            report("loopscope agent", &count.to_string(), name, agent.0.id(), &address, accept);
        }
    }
    if let Some((exporter, address)) = start_node_exporter() {
        report("prometheus-node-exporter", "the host", "text", exporter.0.id(), &address, TEXT);
    }
}

fn report(exporter: &str, targets: &str, format: &str, pid: u32, address: &str, accept: &str) {
    let series = scrape(address, TEXT).lines().filter(|line| !line.starts_with('#')).count();
    let mut bytes = 0;
    let before = process_cpu_ns(pid).unwrap_or(0);
    let mut times: Vec<_> = (0..SCRAPES)
        .map(|_| {
            let began = Instant::now();
            bytes = scraping::scrape(address, accept).expect("an answer").len();
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let cpu_ms = (process_cpu_ns(pid).unwrap_or(0) - before) as f64 / 1e6 / SCRAPES as f64;
    times.sort_by(f64::total_cmp);
    let (median, kib) = (times[SCRAPES / 2], bytes / 1024);
    let (resident, peak) = (memory_mib(pid, "VmRSS:"), memory_mib(pid, "VmHWM:"));
    println!(
        "| {exporter} | {targets} | {format} | {series} | {kib} | {median:.1} | {cpu_ms:.1} | {resident:.1} | {peak:.1} |"
    );
}

fn start_target(target: &Path) -> Guarded {
    Guarded(Command::new(target).stdin(Stdio::piped()).spawn().expect("the target starts"))
}

fn start_node_exporter() -> Option<(Guarded, String)> {
    let address = "127.0.0.1:19100";
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}")).stderr(Stdio::null());
    let exporter = Guarded(command.spawn().ok()?);
    wait_until(|| scraping::scrape(address, TEXT).is_some());
    Some((exporter, address.into()))
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited for too long");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn scrape(address: &str, accept: &str) -> String {
    String::from_utf8_lossy(&scraping::scrape(address, accept).unwrap_or_default()).into_owned()
}
