//! An agent that is measured while it is scraped, and what any exporter answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Starts an agent of this program on a free loopback port, with these options; gives the address that it tells.
///
/// # Panics
/// If it does not start.
pub fn start_agent(loopscope: &Path, options: &[&str]) -> (Child, String) {
    let mut command = Command::new(loopscope);
    command.args(["agent", "--listen", "127.0.0.1:0"]).args(options).stderr(Stdio::piped());
    let mut agent = command.spawn().expect("the agent starts");
    let mut lines = BufReader::new(agent.stderr.take().expect("a pipe")).lines();
    let address = lines.find_map(|line| {
        let line = line.expect("text");
        let (_, address) = line.split_once("http://")?;
        Some(address.trim_end_matches("/metrics").to_owned())
    });
    // The agent tells of every target that comes and goes.
    std::thread::spawn(move || lines.for_each(drop));
    (agent, address.expect("the agent tells its address"))
}

/// Scrapes an exporter, with these headers, each a line with its end; `None` where it does not answer.
pub fn scrape(address: &str, headers: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).ok()?;
    // The version asked for has no chunks, but servers may answer by a newer one.
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let is_ok = answer.get(8..12) == Some(b" 200");
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    is_ok.then(|| answer.split_off(body))
}

/// A figure of a process's memory as the kernel accounts for it, such as `VmRSS:`, in MiB.
///
/// # Panics
/// If it does not run.
pub fn memory_mib(pid: u32, figure: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)).expect("a figure of memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
