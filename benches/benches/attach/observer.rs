//! The ways to measure a server.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use attach::libuv::image::{Points, Site};
use attach::libuv::locate::{Images, Located};
use attach::target::{Pid, Process};
use loopscope_benches::scraping::{self, start_agent};
use rustix::process::{Signal, kill_process};

use crate::Programs;
use crate::server::Server;

/// A budget that ends nothing of what is to be measured.
pub(crate) const UNBOUNDED: &str = "100%";

const PATIENCE: Duration = Duration::from_secs(60);

/// perf and bpftrace do not tell when their probes are placed; this is longer than they take.
const PLACING: Duration = Duration::from_millis(700);

/// What the agent does once, when it starts, is over by then: a processor beside the server's that works makes the server's slower.
const SETTLING: Duration = Duration::from_secs(1);

/// Where the kernel is told of events; perf and bpftrace want it mounted.
const TRACING: &str = "/sys/kernel/tracing";

/// A way to measure a server. The text is a list of tiers; that of bpftrace and perf says whose probes they place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Nothing,
    Agent(&'static str),
    Bpftrace(&'static str),
    Perf(&'static str),
    Profiler,
    OtherServer,
    PromClient,
}

impl Way {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Nothing => "nothing".into(),
            Self::Agent(tiers) => format!("loopscope, {tiers}"),
            Self::Bpftrace(tier) => format!("bpftrace, probes of {tier} that it can place"),
            Self::Perf(tier) => format!("perf record, probes of {tier}"),
            Self::Profiler => "the inspector's profiler, 1 ms".into(),
            Self::OtherServer => "nothing, another process".into(),
            Self::PromClient => "prom-client inside, another process".into(),
        }
    }
}

/// Something that is attached to a server.
#[derive(Debug)]
pub(crate) enum Observer<'a> {
    Nothing,
    Agent { process: Started, address: String, pid: u32 },
    Tracer(Started),
    Perf { process: Started, events: Vec<String> },
    Profiler(&'a Server),
}

/// A process that is interrupted, and so takes its probes away, when this value goes.
#[derive(Debug)]
pub(crate) struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = kill_process(rustix::process::Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}

impl<'a> Observer<'a> {
    /// Attaches, and waits until it measures; `None` where the program is not there.
    pub(crate) fn attach(way: Way, programs: &Programs, server: &'a Server) -> Option<Self> {
        Some(match way {
            Way::Agent(tiers) => agent(programs, tiers, UNBOUNDED, &[server.pid()]),
            Way::Bpftrace(tier) => bpftrace(tier, server.pid())?,
            Way::Perf(tier) => perf(tier, server.pid())?,
            Way::Profiler => {
                let _ = server.ask("/profiler/start");
                Self::Profiler(server)
            }
            Way::Nothing | Way::OtherServer | Way::PromClient => Self::Nothing,
        })
    }

    /// How often the server ran into probes so far, where that is counted.
    pub(crate) fn hits(&self) -> Option<f64> {
        let Self::Agent { address, pid, .. } = self else { return None };
        let own = format!("pid=\"{pid}\"");
        let scraped = scrape(address);
        let hits = scraped
            .lines()
            .filter(|line| line.starts_with("loopscope_probe_hits_total{") && line.contains(&own));
        Some(hits.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// The process that measures.
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Agent { process, .. } | Self::Tracer(process) | Self::Perf { process, .. } => {
                Some(process.0.id())
            }
            Self::Nothing | Self::Profiler(_) => None,
        }
    }

    /// Takes everything away again.
    pub(crate) fn detach(self) {
        match self {
            Self::Nothing | Self::Agent { .. } | Self::Tracer(_) => {}
            Self::Perf { process, events } => {
                drop(process);
                for event in events {
                    append_event(&format!("-:{event}"));
                }
            }
            Self::Profiler(server) => drop(server.ask("/profiler/stop")),
        }
    }
}

/// Starts an agent and waits until it measures these processes by the last of the tiers.
pub(crate) fn agent(programs: &Programs, tiers: &str, budget: &str, pids: &[u32]) -> Observer<'static> {
    let (process, address) = start_agent(&programs.loopscope, &["--budget", budget, "--tier", tiers]);
    let process = Started(process);
    let last = tiers.rsplit(',').next().filter(|&tier| tier != "all").unwrap_or("pool");
    let began = Instant::now();
    let measures = |scraped: &str, pid: &u32| {
        let labels = [format!("pid=\"{pid}\""), format!("tier=\"{last}\"")];
        scraped.lines().any(|line| {
            line.starts_with("loopscope_tier_active{")
                && labels.iter().all(|label| line.contains(label))
                && line.ends_with(" 1")
        })
    };
    loop {
        let scraped = scrape(&address);
        if pids.iter().all(|pid| measures(&scraped, pid)) {
            std::thread::sleep(SETTLING);
            return Observer::Agent { process, address, pid: pids[0] };
        }
        assert!(began.elapsed() < PATIENCE, "the agent does not measure by {last}; is this root?\n{scraped}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The sites of a tier with their names.
fn sites(located: &Located, tier: &str) -> Vec<(String, Site)> {
    let points: &Points = &located.libuv.image.points;
    let one = |name: &str, site: Option<Site>| site.map(|site| (name.to_owned(), site)).into_iter();
    let many = |name: &str, sites: Vec<Site>| {
        let name = name.to_owned();
        sites.into_iter().enumerate().map(move |(position, site)| (format!("{name}{position}"), site))
    };
    match tier {
        "loop" => one("io_poll", points.io_poll).collect(),
        "phases" => one("io_poll", points.io_poll)
            .chain(one("run_timers", points.run_timers))
            .chain(one("run_idle", points.run_idle))
            .chain(one("run_prepare", points.run_prepare))
            .chain(one("run_check", points.run_check))
            .chain(many("check_return", points.check_returns.clone()))
            .collect(),
        _ => one("work_submit", points.work_submit)
            .chain(one("queue_work", points.queue_work))
            .chain(many("task_start", points.task_starts.iter().map(|start| start.site).collect()))
            .chain(one("task_end", points.task_end.map(|end| end.site)))
            .chain(one("work_taken", points.work_taken.map(|taken| taken.site)))
            .collect(),
    }
}

fn locate(pid: u32) -> Located {
    let pid: Pid = pid.to_string().parse().expect("an id");
    let process = Process::open(pid).expect("the server runs");
    Images::default().locate(&process).expect("it can be read").expect("Node.js has libuv")
}

/// One script for all tiers: the time since the hit before on the same thread goes to a distribution of the probe's own.
/// bpftrace places probes on the entries of functions only, so those within `uv_run` and `worker` are left out.
fn bpftrace(tier: &str, pid: u32) -> Option<Observer<'static>> {
    let located = locate(pid);
    let path = &located.libuv.shown_path;
    let mut script = "BEGIN { printf(\"ready\\n\"); }\n".to_owned();
    let within =
        |name: &str| name.starts_with("check_return") || name.starts_with("work_taken") || name == "task_end";
    for (name, site) in sites(&located, tier).into_iter().filter(|(name, _)| !within(name)) {
        writeln!(
            script,
            "uprobe:{path}:{:#x} {{ $now = nsecs; if (@at[tid]) {{ @{name} = hist($now - @at[tid]); }} @at[tid] = $now; }}",
            site.address
        )
        .expect("a string takes all text");
    }
    let mut command = Command::new("bpftrace");
    command.args(["--unsafe", "-p", &pid.to_string(), "-e", &script]);
    let mut process = Started(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?);
    let mut lines = BufReader::new(process.0.stdout.take().expect("a pipe")).lines();
    if !lines.any(|line| line.is_ok_and(|line| line == "ready")) {
        eprintln!("left out: bpftrace (it fails here)");
        return None;
    }
    std::thread::spawn(move || lines.for_each(drop));
    std::thread::sleep(PLACING);
    Some(Observer::Tracer(process))
}

fn perf(tier: &str, pid: u32) -> Option<Observer<'static>> {
    let located = locate(pid);
    let path = &located.libuv.shown_path;
    let mut events = Vec::new();
    for (name, site) in sites(&located, tier) {
        let event = format!("loopscope_bench/{name}");
        append_event(&format!("p:{event} {path}:{:#x}", site.offset));
        events.push(event);
    }
    let list: Vec<String> = events.iter().map(|event| event.replace('/', ":")).collect();
    let output: PathBuf = std::env::temp_dir().join(format!("loopscope-bench-{}.data", std::process::id()));
    let mut command = Command::new("perf");
    command.args(["record", "--quiet", "-e", &list.join(","), "-p", &pid.to_string(), "-o"]).arg(&output);
    let process = Started(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?);
    std::thread::sleep(PLACING);
    Some(Observer::Perf { process, events })
}

fn append_event(line: &str) {
    let path = format!("{TRACING}/uprobe_events");
    let written =
        fs::OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("{path} refuses {line}: {error}"));
}

/// Mounts what peers need, where it is not mounted yet.
pub(crate) fn prepare() {
    for (kind, at) in [("debugfs", "/sys/kernel/debug"), ("tracefs", TRACING)] {
        if fs::read_dir(at).is_ok_and(|mut entries| entries.next().is_none()) {
            let _ = Command::new("mount").args(["-t", kind, kind, at]).status();
        }
    }
}

fn scrape(address: &str) -> String {
    let answer = scraping::scrape(address, "Accept: text/plain\r\n").unwrap_or_default();
    String::from_utf8_lossy(&answer).into_owned()
}
