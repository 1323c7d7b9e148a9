//! A process as `/proc` shows it.
//!
//! A [`Process`] holds its directory in `/proc` open and reads everything through it. Whatever becomes of the process, no
//! reading is ever of another one that was given the same id. Refused: opening paths by id each time and comparing
//! start times before and after, which costs more calls and is easy to forget in one place.
//!
//! What another user's process keeps to itself (its mappings, its descriptors) needs the access that ptrace needs for
//! reading: the same user and a dumpable process, or `CAP_SYS_PTRACE`.

pub mod discovery;
mod error;
mod facts;
mod figures;
mod host;
mod package;
mod rights;
mod service;
mod stat;

pub use error::ProcessError;
pub use facts::Facts;
pub use figures::{Figures, data_bytes};
pub use host::{Host, pids};
pub(crate) use rights::{ProbeStep, probe_remedy};
pub use rights::{pids_are_the_kernels, remedy};
pub use stat::Stat;

use std::collections::HashMap;
use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::str::FromStr;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

/// More than any of the small files in `/proc/PID` holds.
const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;

/// More than the line of `/proc/PID/stat` can have: a name, and fifty numbers of at most twenty digits.
const STAT_BYTES_MAX: usize = 2048;

/// A process's id, in the pid namespace that this program runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(u32);

impl Pid {
    /// The process with this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Pid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<u32>() {
            // The kernel's ids are positive numbers of 31 bits.
            Ok(number) if (1..=i32::MAX as u32).contains(&number) => Ok(Self(number)),
            _ => Err(format!("{text:?} is not a process id; give a number such as 4711")),
        }
    }
}

/// Threads that are looked at to find one.
const THREADS_MAX: usize = 4096;

/// A process that existed when it was opened.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    directory: OwnedFd,
    /// Its `stat`, which is read more often than anything else; opened when that is first asked for.
    stat: OnceLock<File>,
    /// When it started, as it was first reckoned: a clock that is set must not make it look like another process.
    started_unix_ns: OnceLock<Option<u64>>,
    /// Its limits, as they were.
    limits: figures::Limits,
}

impl Process {
    /// Opens a process.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where there is none with this id.
    pub fn open(pid: Pid) -> Result<Self, ProcessError> {
        let path = format!("/proc/{pid}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, &path, flags, Mode::empty())
            .map_err(|errno| ProcessError::new(pid, &path, errno.into()))?;
        let (stat, started_unix_ns) = (OnceLock::new(), OnceLock::new());
        Ok(Self { pid, directory, stat, started_unix_ns, limits: figures::Limits::default() })
    }

    /// The process's id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The kernel's accounting of the process.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] also of a process that has ended and waits for its parent to notice.
    pub fn stat(&self) -> Result<Stat, ProcessError> {
        let file = match self.stat.get() {
            Some(file) => file,
            None => {
                let opened = self.open_file("stat")?;
                self.stat.get_or_init(|| opened)
            }
        };
        // One line; the kernel makes it anew for each reading from the beginning.
        let mut line = [0; STAT_BYTES_MAX];
        let length = file.read_at(&mut line, 0).map_err(|error| self.error("stat", error))?;
        let stat = Stat::parse(&line[..length]).ok_or_else(|| self.malformed("stat"))?;
        if stat.has_ended() { Err(ProcessError::Vanished { pid: self.pid }) } else { Ok(stat) }
    }

    /// When it started, in nanoseconds since the UNIX epoch, as it was first reckoned for this object; `None` where nobody can tell.
    pub fn started_unix_ns(&self, host: &Host) -> Option<u64> {
        match self.started_unix_ns.get() {
            Some(started) => *started,
            None => {
                let start_ticks = self.stat().ok()?.start_ticks;
                *self.started_unix_ns.get_or_init(|| host.unix_ns(start_ticks))
            }
        }
    }

    /// The process's id in its own pid namespace: what it would call itself.
    ///
    /// # Errors
    /// [`ProcessError`] where the process has ended.
    pub fn own_pid(&self) -> Result<u32, ProcessError> {
        let own = own_id(&self.read("status")?).ok_or_else(|| self.malformed("status"))?;
        // A kernel without pid namespaces tells none.
        Ok(own.unwrap_or(self.pid.get()))
    }

    /// The ids of the process's threads in our pid namespace, by those in the process's. All are read in one pass: ask once for many.
    pub fn threads(&self) -> HashMap<u32, u32> {
        let Some(tasks) = self.open_file("task").ok().and_then(|task| rustix::fs::Dir::new(task).ok()) else {
            return HashMap::new();
        };
        let tids = tasks.filter_map(|entry| entry.ok()?.file_name().to_str().ok()?.parse().ok());
        let with_own = |tid: u32| {
            let status = self.read(&format!("task/{tid}/status")).ok()?;
            Some((self::own_id(&status)?.unwrap_or(tid), tid))
        };
        tids.take(THREADS_MAX).filter_map(with_own).collect()
    }

    /// Whether the process is still there, at the price of looking up a name: its number, if need be, was not another's before this.
    ///
    /// # Errors
    /// [`ProcessError::Vanished`] where it has ended and its parent has noticed.
    pub fn expect_there(&self) -> Result<(), ProcessError> {
        self.metadata("comm").map(drop)
    }

    /// Device and inode of the file that the process executes: another one after it executed another program.
    ///
    /// # Errors
    /// [`ProcessError`] where the process has ended, or may not be looked into.
    pub fn program(&self) -> Result<(u64, u64), ProcessError> {
        self.metadata("exe").map(|metadata| (metadata.st_dev, metadata.st_ino))
    }

    /// Opens a file below the process's directory.
    pub(crate) fn open_file(&self, path: &str) -> Result<File, ProcessError> {
        rustix::fs::openat(&self.directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map(File::from)
            .map_err(|errno| self.error(path, errno.into()))
    }

    /// Opens a folder below the process's directory, to look things up in it.
    pub(crate) fn open_directory(&self, path: &str) -> Result<OwnedFd, ProcessError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, path, flags, Mode::empty())
            .map_err(|errno| self.error(path, errno.into()))
    }

    /// Reads a small file whole.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, ProcessError> {
        let mut bytes = Vec::with_capacity(1024);
        let file = self.open_file(path)?;
        file.take(SMALL_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| self.error(path, error))?;
        Ok(bytes)
    }

    /// Where a symbolic link below the process's directory leads, as text.
    pub(crate) fn read_link(&self, path: &str) -> Result<CString, ProcessError> {
        rustix::fs::readlinkat(&self.directory, path, Vec::new())
            .map_err(|errno| self.error(path, errno.into()))
    }

    /// The metadata of a file below the process's directory, links followed.
    pub(crate) fn metadata(&self, path: &str) -> Result<rustix::fs::Stat, ProcessError> {
        rustix::fs::statat(&self.directory, path, AtFlags::empty())
            .map_err(|errno| self.error(path, errno.into()))
    }

    pub(crate) fn error(&self, path: &str, source: std::io::Error) -> ProcessError {
        ProcessError::new(self.pid, &format!("/proc/{}/{path}", self.pid), source)
    }

    fn malformed(&self, path: &str) -> ProcessError {
        ProcessError::Malformed { pid: self.pid, path: format!("/proc/{}/{path}", self.pid) }
    }
}

/// What a process or a thread would call itself, of its `status`: inner `None` where the kernel has no pid namespaces, outer `None` where
/// the file is malformed.
fn own_id(status: &[u8]) -> Option<Option<u32>> {
    let status = String::from_utf8_lossy(status);
    // "NSpid:  4711  23  1": from the outermost namespace that we see to the process's own.
    match status.lines().find_map(|line| line.strip_prefix("NSpid:")) {
        Some(ids) => ids.split_whitespace().last()?.parse().ok().map(Some),
        None => Some(None),
    }
}

/// The words of a file that parts them by zeros.
fn strings(bytes: &[u8]) -> Vec<String> {
    let words = bytes.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Process {
        Process::open(Pid::new(std::process::id())).unwrap()
    }

    #[test]
    fn a_process_knows_its_own_pid() {
        // In the namespace that the test runs in, this is the innermost id as well.
        assert_eq!(own().own_pid().unwrap(), std::process::id());
    }

    #[test]
    fn a_thread_is_found_by_what_its_process_calls_it() {
        let own_thread = std::fs::read_link("/proc/thread-self").unwrap();
        let tid = own_thread.file_name().unwrap().to_str().unwrap().parse().unwrap();
        assert_eq!(own().threads().get(&tid), Some(&tid));
        assert_eq!(own().threads().get(&(i32::MAX as u32)), None);
        assert_eq!(own_id(b"Name:\tx\nNSpid:\t4711\t23\t1\n"), Some(Some(1)));
        assert_eq!((own_id(b"Name:\tx\n"), own_id(b"NSpid:\t?\n")), (Some(None), None));
    }

    #[test]
    fn a_pid_that_nobody_has_is_reported_as_vanished() {
        let error = Process::open(Pid::new(i32::MAX as u32)).unwrap_err();
        assert!(matches!(error, ProcessError::Vanished { .. }), "{error}");
    }

    #[test]
    fn a_process_that_has_ended_is_reported_as_vanished_even_before_it_is_reaped() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let process = Process::open(Pid::new(child.id())).unwrap();
        let ended = std::iter::repeat_with(|| process.stat()).find_map(Result::err).unwrap();
        assert!(matches!(ended, ProcessError::Vanished { .. }), "{ended}");
        process.expect_there().unwrap();
        child.wait().unwrap();
        assert!(matches!(process.stat(), Err(ProcessError::Vanished { .. })));
        assert!(matches!(process.expect_there(), Err(ProcessError::Vanished { .. })));
    }

    #[test]
    fn what_is_not_a_pid_is_refused() {
        for text in ["", "0", "-1", "12x", "4294967295"] {
            assert!(text.parse::<Pid>().is_err(), "{text}");
        }
        assert_eq!("4711".parse(), Ok(Pid::new(4711)));
    }
}
