//! The agent with 50 targets beside an exporter that people have on every host, and beside one inside a Node.js.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Programs;
use crate::exporter::{Exporter, Format, quantile_ms};
use crate::targets::Targets;

const TARGETS: usize = 50;
const ROUNDS: usize = 40;

/// Processes settle: garbage is collected, and code compiled.
const SETTLING: Duration = Duration::from_secs(5);

/// One that takes part.
struct Contender {
    name: &'static str,
    exporter: Exporter,
    series: usize,
    times: Vec<Duration>,
    cpu_ns: u64,
}

pub(crate) fn run(programs: &Programs) {
    let _targets = Targets::start(programs, TARGETS);
    let agent = Exporter::agent(programs);
    agent.wait_for_targets(TARGETS);
    let mut contenders = vec![Contender::new("loopscope agent, 50 targets", agent)];
    match node_exporter() {
        Some(exporter) => contenders.push(Contender::new("prometheus-node-exporter, the host", exporter)),
        None => eprintln!("left out: prometheus-node-exporter (apt-get install prometheus-node-exporter)"),
    }
    let prom_client = prom_client();
    let inside = prom_client.and_then(|path| node(programs, Some(&path)));
    match inside {
        Some(exporter) => contenders.push(Contender::new("prom-client, inside a Node.js", exporter)),
        None => eprintln!("left out: prom-client (npm cannot fetch it)"),
    }
    let plain = node(programs, None);
    std::thread::sleep(SETTLING);
    // The first round warms caches and compilers, and is thrown away.
    for round in 0..=ROUNDS {
        for contender in &mut contenders {
            contender.scrape(round > 0);
        }
    }
    println!("### By turns, {ROUNDS} scrapes of each as text\n");
    println!(
        "| exporter | series | median ms | CPU ms | median µs a series | CPU µs a series | resident MiB |\n|---|---|---|---|---|---|---|"
    );
    for contender in &contenders {
        let Contender { name, exporter, series, times, cpu_ns } = contender;
        let (median, cpu_ms) = (quantile_ms(times, 0.5), *cpu_ns as f64 / 1e6 / ROUNDS as f64);
        let of_series = |ms: f64| ms * 1e3 / *series as f64;
        println!(
            "| {name} | {series} | {median:.2} | {cpu_ms:.2} | {:.2} | {:.2} | {:.1} |",
            of_series(median),
            of_series(cpu_ms),
            exporter.memory_mib("VmRSS:")
        );
    }
    if let Some(plain) = plain {
        println!("| the same Node.js without prom-client | | | | | | {:.1} |", plain.memory_mib("VmRSS:"));
    }
    println!();
}

impl Contender {
    fn new(name: &'static str, exporter: Exporter) -> Self {
        Self { name, exporter, series: 0, times: Vec::new(), cpu_ns: 0 }
    }

    fn scrape(&mut self, counts: bool) {
        let before = self.exporter.cpu_ns();
        let (body, time) = self.exporter.scrape(Format::Text).expect("an answer");
        if counts {
            self.times.push(time);
            self.cpu_ns += self.exporter.cpu_ns() - before;
            let lines = body.split(|&byte| byte == b'\n');
            self.series = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#")).count();
        }
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it has an address").to_string()
}

fn node_exporter() -> Option<Exporter> {
    let address = free_address();
    let mut command = Command::new("prometheus-node-exporter");
    command.arg(format!("--web.listen-address={address}"));
    Exporter::at(address, &mut command)
}

/// A server in Node.js, with prom-client's default metrics if its path is given.
fn node(programs: &Programs, prom_client: Option<&Path>) -> Option<Exporter> {
    let address = free_address();
    let (_, port) = address.rsplit_once(':')?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/service/server.js");
    let mut command = Command::new(&programs.node);
    command.arg(script).arg(port).args(prom_client).stdin(std::process::Stdio::piped());
    Exporter::at(address, &mut command)
}

/// Where prom-client lies, fetched by npm when it is not there yet.
fn prom_client() -> Option<PathBuf> {
    let home = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/prom-client"));
    let package = home.join("node_modules/prom-client");
    if !package.is_dir() {
        std::fs::create_dir_all(home).expect("a folder for prom-client");
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(home)
            .arg("prom-client@15");
        npm.status().ok().filter(|status| status.success())?;
    }
    package.canonicalize().ok()
}
