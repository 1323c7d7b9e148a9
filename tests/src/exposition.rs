//! A scrape's answer in which every metric of the catalogue is told, with every value of its labels: what no set of programs tells at once.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use model::catalogue::{CATALOGUE, Kind, Metric, Scope, Unit};

/// Bounds of buckets; in each there is as much as in any other.
const BOUNDS: [&str; 4] = ["0.0625", "0.125", "0.25", "+Inf"];

/// Serves it on a loopback port, as text, until dropped.
#[derive(Debug)]
pub struct Exposition {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exposition {
    /// Begins to serve.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let began = Instant::now();
        let serve = move || {
            for connection in listener.incoming().flatten() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                // Whoever does not read its answer has none.
                let _ = answer(connection, began.elapsed());
            }
        };
        Self { address, stop, thread: Some(thread::spawn(serve)) }
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Exposition {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut connection: TcpStream, elapsed: Duration) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    while request.read_line(&mut line)? > 0 && line.trim_end() != "" {
        line.clear();
    }
    let body = text(elapsed);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close";
    write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Counters grow by ten a second, distributions take in forty a second; gauges are one.
fn text(elapsed: Duration) -> String {
    let mut text = String::new();
    let tens = (elapsed.as_secs_f64() * 10.0).floor();
    for metric in CATALOGUE {
        for labels in all_labels(metric) {
            let name = metric.name;
            match metric.kind {
                Kind::Counter => writeln!(text, "{name}{{{labels}}} {tens}"),
                Kind::Gauge => writeln!(text, "{name}{{{labels}}} {}", gauge(metric)),
                Kind::Histogram => {
                    for (bound, times) in BOUNDS.iter().zip(1..) {
                        let count = tens * f64::from(times);
                        writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}").expect(TEXT);
                    }
                    let count = tens * BOUNDS.len() as f64;
                    writeln!(text, "{name}_count{{{labels}}} {count}\n{name}_sum{{{labels}}} {}", count / 8.0)
                }
            }
            .expect(TEXT);
        }
    }
    // Agents have no labels of their own.
    text.replace("{,", "{").replace("{}", "")
}

const TEXT: &str = "a string takes all text";

fn gauge(metric: &Metric) -> f64 {
    if metric.unit != Unit::Seconds || metric.scope == Scope::Loop {
        return 1.0;
    }
    // Points in time: an hour ago.
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    now.as_secs_f64().floor() - 3600.0
}

/// The labels of each series of a metric.
fn all_labels(metric: &Metric) -> Vec<String> {
    let of_target = match metric.scope {
        Scope::Agent | Scope::Collector => "",
        Scope::Process => r#"service="all",pid="1""#,
        Scope::Loop => r#"service="all",pid="1",loop="main""#,
        Scope::Runtime => r#"service="all",pid="1",runtime="main""#,
    };
    let mut all = vec![of_target.to_owned()];
    for label in metric.labels {
        let values = if label.is_closed() { label.values } else { &["any"] };
        let with = |own: &String| -> Vec<String> {
            values.iter().map(|value| format!("{own},{}=\"{value}\"", label.name)).collect()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}
