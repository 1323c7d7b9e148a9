//! The running program.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::client::{Answer, ask};

/// A collector; it is killed when the test is done with it.
pub(crate) struct Server {
    child: Child,
    told: Arc<Mutex<String>>,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(data: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopscope-collector"));
        command.args(["--listen", "127.0.0.1:0", "--data"]).arg(data).args(options);
        Self::start_command(command)
    }

    pub(crate) fn start_command(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the collector starts");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = Vec::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {told:?}")).unwrap();
            if let Some((_, behind)) = line.split_once("://") {
                break behind.split('/').next().unwrap().parse().unwrap();
            }
            told.push(line);
        };
        // It may tell more than a pipe holds.
        let later = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&later);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| *later.lock().unwrap() += &(line + "\n"))
        });
        Self { child, told, address }
    }

    /// What it has told since it serves.
    pub(crate) fn told(&self) -> String {
        self.told.lock().unwrap().clone()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and the process is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        ask(self.address, "GET", target, &[], &[]).unwrap()
    }

    pub(crate) fn post(&self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        ask(self.address, "POST", target, headers, body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
