//! The server that is measured, and the load on it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loopscope_benches::process_cpu_ns;

/// The length of a window of load, in seconds.
const WINDOW_S: u32 = 1;

/// What the server does in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// It answers requests for a path.
    Requests { path: &'static str, connections: u32 },
    /// It does what this path begins, by itself and as often as it can.
    Alone { begin: &'static str },
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Requests { path, connections } => {
                write!(f, "requests for {path} on {connections} connections")
            }
            Self::Alone { begin: "/spin/start" } => f.write_str("iterations that do nothing"),
            Self::Alone { .. } => f.write_str("fs.stat, one after the other"),
        }
    }
}

/// What happened in one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    requests: u64,
    cpu_ns: u64,
    elapsed_s: f64,
}

impl Window {
    /// CPU time of the server's threads per request, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_ns as f64 / 1e3 / self.requests()
    }

    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests() / self.elapsed_s
    }

    pub(crate) fn requests(&self) -> f64 {
        self.requests as f64
    }
}

/// A Node.js server, which ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    port: u16,
}

impl Server {
    pub(crate) fn start(node: &Path, prom_client: Option<&Path>) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/attach/server.js");
        let mut command = Command::new(node);
        command.arg(script).args(prom_client).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("node starts; LOOPSCOPE_NODE names another");
        let mut line = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("the server tells its port");
        Self { process, port: line.trim().parse().expect("a port") }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// CPU time that its threads have used, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        process_cpu_ns(self.pid()).expect("the server runs, and the kernel tells the time of its threads")
    }

    /// Lets its code be compiled.
    pub(crate) fn warm_up(&self, load: Load) {
        for _ in 0..3 {
            self.window(load);
        }
    }

    /// One window of load.
    pub(crate) fn window(&self, load: Load) -> Window {
        self.window_of(load, WINDOW_S)
    }

    /// One window of load, of so many seconds.
    pub(crate) fn window_of(&self, load: Load, seconds: u32) -> Window {
        match load {
            Load::Requests { path, connections } => self.answer(path, connections, seconds),
            Load::Alone { begin } => self.do_alone(begin, seconds),
        }
    }

    fn do_alone(&self, begin: &str, seconds: u32) -> Window {
        let count = || self.ask("/count").parse::<u64>().expect("a number");
        self.ask(begin);
        let (began, operations, cpu_ns) = (Instant::now(), count(), self.cpu_ns());
        std::thread::sleep(Duration::from_secs(seconds.into()));
        let cpu_ns = self.cpu_ns() - cpu_ns;
        let elapsed_s = began.elapsed().as_secs_f64();
        let requests = count() - operations;
        self.ask("/stop");
        Window { requests, cpu_ns, elapsed_s }
    }

    fn answer(&self, path: &str, connections: u32, seconds: u32) -> Window {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let before = self.cpu_ns();
        let mut wrk = Command::new("wrk");
        wrk.args(["--threads", "1", "--connections", &connections.to_string()]);
        let output =
            wrk.args(["--duration", &format!("{seconds}s"), &url]).output().expect("wrk is installed");
        let cpu_ns = self.cpu_ns() - before;
        let report = String::from_utf8_lossy(&output.stdout);
        let (requests, elapsed_s) = totals(&report).unwrap_or_else(|| panic!("wrk told no totals: {report}"));
        assert!(requests > 0, "the server answers: {report}");
        Window { requests, cpu_ns, elapsed_s }
    }

    /// Asks for something once, and waits until it is done; gives the answer.
    pub(crate) fn ask(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        body.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `  31337 requests in 1.00s, 4.1MB read`.
fn totals(report: &str) -> Option<(u64, f64)> {
    let (before, behind) = report.split_once(" requests in ")?;
    let requests = before.rsplit(char::is_whitespace).next()?.parse().ok()?;
    let elapsed = behind.split(',').next()?.strip_suffix('s')?.parse().ok()?;
    Some((requests, elapsed))
}

/// Where prom-client lies, fetched by npm when it is not there yet; `None`, after saying so, where that fails.
pub(crate) fn prom_client() -> Option<PathBuf> {
    let home = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tools/prom-client"));
    let package = home.join("node_modules/prom-client");
    if !package.is_dir() {
        std::fs::create_dir_all(home).expect("a folder for prom-client");
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(home)
            .arg("prom-client@15");
        if !npm.status().is_ok_and(|status| status.success()) {
            eprintln!("left out: prom-client (npm cannot fetch it)");
            return None;
        }
    }
    Some(package.canonicalize().expect("it is there"))
}
