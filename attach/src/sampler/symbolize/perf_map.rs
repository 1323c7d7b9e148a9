//! Names of code that a program made while it ran, from the file that it writes for profilers:
//! `/tmp/perf-PID.map`, in its own file system and by its own idea of its pid.
//!
//! The file grows as long as the program runs, so it is opened early and read at the end, when it knows all. It
//! is written by the program that is profiled and may say anything; it is only ever read as lines.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use model::profile::StringId;

use super::images::open_regular;
use super::lines::for_each_line;
use super::{Place, Symbols, jit_name};

/// No more than this is read of one map.
const MAP_BYTES_MAX: u64 = 1 << 30;

/// An honest map names an address a few times; this bounds the work on one whose every line covers everything.
const ASSIGNMENTS_MAX: usize = 64 << 20;

/// A process's map, which may not exist yet, or never.
pub(crate) struct PerfMap {
    /// The process, as we see it.
    pub(crate) pid: u32,
    /// The path of its program.
    pub(crate) program: StringId,
    file: Option<File>,
    /// How often the file was asked for.
    asked: u32,
}

/// What came of reading a map.
pub(crate) struct JitSymbols {
    pub(crate) symbols: Symbols,
    /// Whether the file was longer than what was read of it.
    pub(crate) cut: bool,
}

impl PerfMap {
    /// The map of a process.
    pub(crate) fn new(pid: u32, program: StringId) -> Self {
        Self { pid, program, file: None, asked: 0 }
    }

    /// Whether the file was found.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Opens the file if it is there and not open yet.
    pub(crate) fn open(&mut self, proc_dir: &Path) {
        if self.file.is_some() {
            return;
        }
        let process = proc_dir.join(self.pid.to_string());
        let root = process.join("root");
        let named = |directory: &Path, pid| directory.join(format!("tmp/perf-{pid}.map"));
        let candidates = match root.join("tmp").is_dir() {
            true => [innermost_pid(&process), Some(self.pid)].map(|pid| Some(named(&root, pid?))),
            // A process that is gone, or is another user's, may have had our file system and pids.
            false => [Some(named(Path::new("/"), self.pid)), None],
        };
        // A symbolic link would be followed in our file system, not in the process's.
        let open = |path: PathBuf| open_regular(&path, libc::O_NOFOLLOW).ok();
        self.file = candidates.into_iter().flatten().find_map(open);
    }

    /// Opens the file as code of the program is seen again: often at first, then seldom.
    pub(crate) fn open_sometimes(&mut self, proc_dir: &Path) {
        if self.file.is_none() {
            self.asked += 1;
            if self.asked.is_power_of_two() {
                self.open(proc_dir);
            }
        }
    }

    /// The functions at these ascending addresses of the process. Where code was overwritten, the later entry counts.
    pub(crate) fn resolve(&self, addresses: &[u64]) -> JitSymbols {
        let mut found: Vec<Option<Rc<[u8]>>> = vec![None; addresses.len()];
        let (mut cut, mut assigned) = (false, 0);
        if let Some(mut file) = self.file.as_ref()
            && file.seek(SeekFrom::Start(0)).is_ok()
        {
            let read = for_each_line(&mut file, MAP_BYTES_MAX, |line| {
                let Some((start, size, name)) = parse(line) else { return };
                let first = addresses.partition_point(|&address| address < start);
                let holds = |address: u64| address - start < size;
                let held = addresses[first..].iter().take_while(|&&address| holds(address)).count();
                assigned += held;
                if held > 0 && assigned <= ASSIGNMENTS_MAX {
                    found[first..first + held].fill(Some(name.into()));
                }
            });
            cut = matches!(read, Ok(false)) || assigned > ASSIGNMENTS_MAX;
        }
        let mut symbols = Symbols::default();
        for name in found {
            let place = name.map(|name| place(&mut symbols, &String::from_utf8_lossy(&name)));
            symbols.push(place);
        }
        JitSymbols { symbols, cut }
    }
}

fn place(symbols: &mut Symbols, name: &str) -> Place {
    let name = jit_name::parse(name);
    let function = symbols.function(name.function.as_bytes());
    let file: StringId = symbols.strings.intern(name.file);
    Place { function, file, line: name.line, inlined: false }
}

/// Start, size and name of a line such as `3ef414c0 398 LazyCompile:~foo x.js:1`.
fn parse(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut parts = line.splitn(3, |&byte| byte == b' ');
    let mut number = || {
        let text = std::str::from_utf8(parts.next()?).ok()?;
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    };
    let (start, size) = (number()?, number()?);
    let name = parts.next()?.trim_ascii();
    (!name.is_empty()).then_some((start, size, name))
}

/// The pid that a process has in its own pid namespace.
fn innermost_pid(process: &Path) -> Option<u32> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}
