//! The collector beside the demo: a child that ends when the demo does, however that ends.
//!
//! It runs until its standard input closes, which the kernel sees to even where this program is killed. It has a process group of its own,
//! for a Ctrl-C is the whole group's, and the collector has to take what the agent sends at the end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::folder::DataFolder;
use crate::cli::Address;
use crate::console;
use crate::error::Error;

const PROGRAM: &str = "loopscope-collector";
/// Between two looks at whether it still runs.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long it may take to end.
const END: Duration = Duration::from_secs(10);

/// A collector that runs.
pub(super) struct Collector {
    program: PathBuf,
    pid: u32,
    address: SocketAddr,
    stop: Option<Sender<()>>,
    watcher: Option<JoinHandle<Option<ExitStatus>>>,
}

impl Collector {
    /// Starts it and waits until it serves. `ended` is called if it ends by itself.
    pub(super) fn start(
        listen: Address,
        folder: &DataFolder,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Error> {
        let program = find()?;
        let failed = |message: String| Error::Collector { program: program.clone(), message };
        let mut command = Command::new(&program);
        command.arg("--listen").arg(listen.to_string()).arg("--data").arg(folder.path());
        command.arg("--until-input-ends");
        if folder.is_temporary() {
            command.arg("--remove-data");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
        let stderr = child.stderr.take().expect("standard error is piped");
        let (pid, (first, served)) = (child.id(), channel());
        let system = |source| Error::System { doing: "cannot start a thread", source };
        let thread = |name: &str| std::thread::Builder::new().name(name.into());
        let told = thread("collector says").spawn(move || {
            // Whoever started it may be gone.
            read(
                stderr,
                |said| drop(first.send(said)),
                |line| console::line(format_args!("collector: {line}")),
            );
        });
        told.map_err(system)?;
        let (stop, stopped) = channel();
        let watch = move || watch(child, &stopped, ended);
        let watcher = Some(thread("collector").spawn(watch).map_err(system)?);
        // From here on its end is seen to.
        let collector = |address| Self { program: program.clone(), pid, address, stop: Some(stop), watcher };
        let why = match served.recv() {
            Ok(Said::Serving(address)) => return Ok(collector(address)),
            Ok(Said::Ended(last)) => last,
            Err(_) => None,
        };
        drop(collector(SocketAddr::from(([0; 4], 0))));
        Err(failed(why.unwrap_or_else(|| "ended before it served, without a word".to_owned())))
    }

    /// Where it serves.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`Error::Collector`] if it had ended before, or fails to end.
    pub(super) fn stop(mut self) -> Result<(), Error> {
        match self.end() {
            None => Ok(()),
            Some(status) => Err(Error::Collector {
                program: self.program.clone(),
                message: format!("ended before the demo did, or not well: {status}"),
            }),
        }
    }

    /// Ends it; its status, if it had ended before or not well.
    fn end(&mut self) -> Option<ExitStatus> {
        drop(self.stop.take());
        self.watcher.take()?.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where the collector lies: beside this program, or on the path.
fn find() -> Result<PathBuf, Error> {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.parent().unwrap_or(Path::new("")).to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(beside.clone()).chain(std::env::split_paths(&path));
    let found = folders.map(|folder| folder.join(PROGRAM)).find(|program| program.is_file());
    found.ok_or(Error::NoCollector { beside })
}

/// How its beginning came out.
#[derive(Debug, PartialEq)]
enum Said {
    /// It serves there.
    Serving(SocketAddr),
    /// It has ended, with these last words.
    Ended(Option<String>),
}

/// Reads what it says: where it serves, or that it does not come so far, once; and all else that is worth passing on.
fn read(stderr: impl Read, first: impl FnOnce(Said), mut pass_on: impl FnMut(&str)) {
    let mut first = Some(first);
    // Before it serves, the last line may be why it does not.
    let mut last: Option<String> = None;
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let line = line.strip_prefix(PROGRAM).map_or(line.as_str(), |rest| rest.trim_start_matches(": "));
        match served(line) {
            Some(address) if first.is_some() => {
                last.take().iter().for_each(|line| pass_on(line));
                first.take().into_iter().for_each(|first| first(Said::Serving(address)));
            }
            _ if first.is_some() => last.replace(line.to_owned()).iter().for_each(|line| pass_on(line)),
            _ if line == "stopped" => {}
            _ => pass_on(line),
        }
    }
    if let Some(first) = first {
        first(Said::Ended(last));
    }
}

/// The address in `serving on http://ADDRESS/, …`.
fn served(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("serving on http://")?;
    rest.split('/').next()?.parse().ok()
}

/// Waits for the end of the collector, or for when it is to end; its status if it ended by itself or not well.
fn watch(mut child: Child, stopped: &Receiver<()>, ended: impl FnOnce()) -> Option<ExitStatus> {
    let has_ended = |child: &mut Child| child.try_wait().ok().flatten();
    while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        if let Some(status) = has_ended(&mut child) {
            ended();
            return Some(status);
        }
    }
    drop(child.stdin.take());
    let deadline = Instant::now() + END;
    loop {
        if let Some(status) = has_ended(&mut child) {
            return (!status.success()).then_some(status);
        }
        if Instant::now() > deadline {
            // It cannot refuse that, and is waited for so that nothing is left of it.
            let _ = child.kill();
            return child.wait().ok();
        }
        std::thread::sleep(LOOK_EVERY / 5);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_what_the_collector_says() {
        let line = "serving on http://127.0.0.1:4040/, profiles are kept in /tmp/a/b";
        assert_eq!(served(line), Some("127.0.0.1:4040".parse().unwrap()));
        assert_eq!(served("serving on http://[::1]:1/, …"), Some("[::1]:1".parse().unwrap()));
        assert_eq!(served("cannot listen on 127.0.0.1:4040"), None);
    }

    fn said(lines: &str) -> (Option<Said>, Vec<String>) {
        let (mut first, mut passed_on) = (None, Vec::new());
        read(lines.as_bytes(), |said| first = Some(said), |line| passed_on.push(line.to_owned()));
        (first, passed_on)
    }

    /// It was once given up at the first line that did not say where it serves.
    #[test]
    fn what_the_collector_says_before_it_serves_is_passed_on_and_waited_out() {
        let begin = "loopscope-collector: 3 blocks were not whole\nloopscope-collector: keeps 2 days\n";
        let (first, passed_on) = said(&format!(
            "{begin}loopscope-collector: serving on http://127.0.0.1:4040/, …\nloopscope-collector: a disk is full\nstopped\n"
        ));
        assert_eq!(first, Some(Said::Serving("127.0.0.1:4040".parse().unwrap())));
        assert_eq!(passed_on, ["3 blocks were not whole", "keeps 2 days", "a disk is full"]);
        let (first, passed_on) = said(begin);
        assert_eq!(first, Some(Said::Ended(Some("keeps 2 days".into()))));
        assert_eq!(passed_on, ["3 blocks were not whole"]);
        assert_eq!(said("").0, Some(Said::Ended(None)));
    }
}
