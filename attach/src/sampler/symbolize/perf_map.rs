//! Names of code that a program made while it ran, from the file that it writes for profilers:
//! `/tmp/perf-PID.map`, in its own file system and by its own idea of its pid.
//!
//! The file grows as long as the program runs, so it is opened early and read at the end, when it knows all; of a recording that goes
//! on, what was written since the last time. It
//! is written by the program that is profiled and may say anything; it is only ever read as lines.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use model::profile::StringId;

use super::images::open_regular;
use super::lines::for_each_line;
use super::{Place, Symbols, jit_name};

/// No more than this is read of one map.
const MAP_BYTES_MAX: u64 = 1 << 30;

/// An honest map names an address a few times; this bounds the work on one whose every line covers everything.
const ASSIGNMENTS_MAX: usize = 64 << 20;

/// A line may have been half written when it was read, so reading begins again this much earlier.
const LINE_BYTES: u64 = 512;

/// So many addresses are remembered not to have a name.
const NAMELESS_MAX: usize = 1 << 16;

/// A process's map, which may not exist yet, or never.
pub(crate) struct PerfMap {
    /// The process, as we see it.
    pub(crate) pid: u32,
    /// The path of its program.
    pub(crate) program: StringId,
    file: Option<File>,
    /// How often the file was asked for.
    asked: u32,
    read: Mutex<Read>,
    /// Its process has ended, and nobody will ask any more.
    is_closed: bool,
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
        Self { pid, program, file: None, asked: 0, read: Mutex::default(), is_closed: false }
    }

    /// Whether the file was found.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Lets go of the file for good.
    pub(crate) fn close(&mut self) {
        (self.file, self.is_closed) = (None, true);
        *self.read.get_mut().unwrap_or_else(PoisonError::into_inner) = Read::default();
    }

    /// Opens the file if it is there and not open yet.
    pub(crate) fn open(&mut self, proc_dir: &Path) {
        if self.file.is_some() || self.is_closed {
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
    ///
    /// What was written since the last time is read; everything only where an address is asked for that is not known.
    pub(crate) fn resolve(&self, addresses: &[u64]) -> JitSymbols {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Option<Arc<[u8]>>> = vec![None; addresses.len()];
        let mut cut = false;
        if let Some(file) = self.file.as_ref() {
            cut |= read.news(file, addresses);
            for (found, &address) in found.iter_mut().zip(addresses) {
                *found = read.known(address);
            }
            let is_missing = |(index, address): (usize, &u64)| {
                (found[index].is_none() && !read.nameless.contains(address)).then_some(*address)
            };
            let missing: Vec<u64> = addresses.iter().enumerate().filter_map(is_missing).collect();
            if !missing.is_empty() && !read.is_first {
                cut |= read.all(file, &missing);
                for (found, &address) in found.iter_mut().zip(addresses).filter(|(found, _)| found.is_none())
                {
                    *found = read.known(address);
                }
            }
            read.is_first = false;
        }
        let mut symbols = Symbols::default();
        for name in found {
            let place = name.map(|name| place(&mut symbols, &String::from_utf8_lossy(&name)));
            symbols.push(place);
        }
        JitSymbols { symbols, cut }
    }
}

/// Start, end and name of a piece of code.
type Code = (u64, u64, Arc<[u8]>);

/// What was read of a map: the code that was asked for.
struct Read {
    /// Nothing was read yet.
    is_first: bool,
    /// How far the file was read.
    offset: u64,
    /// By start: the end and the name, without overlap.
    ranges: BTreeMap<u64, (u64, Arc<[u8]>)>,
    /// Addresses of which the file says nothing, as far as it was read.
    nameless: HashSet<u64>,
}

impl Default for Read {
    fn default() -> Self {
        Self { is_first: true, offset: 0, ranges: BTreeMap::new(), nameless: HashSet::new() }
    }
}

impl Read {
    fn known(&self, address: u64) -> Option<Arc<[u8]>> {
        let (_, (end, name)) = self.ranges.range(..=address).next_back()?;
        (address < *end).then(|| name.clone())
    }

    /// Code was made here, over whatever was there; what was beside it stays.
    fn overwrite(&mut self, start: u64, end: u64, name: Option<&[u8]>) {
        while let Some((&old, &(old_end, _))) =
            self.ranges.range(..end).next_back().filter(|(_, (old_end, _))| *old_end > start)
        {
            let (_, old_name) = self.ranges.remove(&old).expect("it was just there");
            if old_end > end {
                self.ranges.insert(end, (old_end, old_name.clone()));
            }
            if old < start {
                self.ranges.insert(old, (start, old_name));
            }
        }
        if let Some(name) = name {
            self.ranges.insert(start, (end, name.into()));
        }
    }

    /// Reads what was written since the last time. Gives whether not all of it could be read.
    fn news(&mut self, mut file: &File, addresses: &[u64]) -> bool {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        if length < self.offset {
            *self = Self::default();
        }
        if length == self.offset
            || file.seek(SeekFrom::Start(self.offset.saturating_sub(LINE_BYTES))).is_err()
        {
            return false;
        }
        self.nameless.clear();
        self.offset = length;
        let mut assigned = 0;
        let read = for_each_line(&mut file, MAP_BYTES_MAX, |line| {
            let Some((start, size, name)) = parse(line) else { return };
            let held = held(addresses, start, size).len();
            assigned += held;
            let is_wanted = held > 0 && assigned <= ASSIGNMENTS_MAX;
            self.overwrite(start, start.saturating_add(size), is_wanted.then_some(name));
        });
        matches!(read, Ok(false)) || assigned > ASSIGNMENTS_MAX
    }

    /// Reads everything for the sake of some addresses. Gives whether not all of it could be read.
    fn all(&mut self, mut file: &File, missing: &[u64]) -> bool {
        if file.seek(SeekFrom::Start(0)).is_err() {
            return false;
        }
        let mut found: Vec<Option<Code>> = vec![None; missing.len()];
        let mut assigned = 0;
        let read = for_each_line(&mut file, MAP_BYTES_MAX, |line| {
            let Some((start, size, name)) = parse(line) else { return };
            let held = held(missing, start, size);
            assigned += held.len();
            if !held.is_empty() && assigned <= ASSIGNMENTS_MAX {
                found[held].fill(Some((start, start.saturating_add(size), name.into())));
            }
        });
        for (found, &address) in found.into_iter().zip(missing) {
            match found {
                // A range may since have lost a part to another.
                Some((start, end, name)) => {
                    let is_free =
                        self.ranges.range(..end).next_back().is_none_or(|(_, (old, _))| *old <= start);
                    let (start, end) = if is_free { (start, end) } else { (address, address + 1) };
                    self.overwrite(start, end, Some(&name));
                }
                None if self.nameless.len() < NAMELESS_MAX => _ = self.nameless.insert(address),
                None => {}
            }
        }
        matches!(read, Ok(false)) || assigned > ASSIGNMENTS_MAX
    }
}

/// The positions of the addresses that a piece of code holds.
fn held(addresses: &[u64], start: u64, size: u64) -> Range<usize> {
    let first = addresses.partition_point(|&address| address < start);
    let count = addresses[first..].iter().take_while(|&&address| address - start < size).count();
    first..first + count
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(map: &PerfMap, addresses: &[u64]) -> Vec<Option<String>> {
        let symbols = map.resolve(addresses).symbols;
        let name = |index| Some(symbols.strings.get(symbols.places(index).first()?.function).to_owned());
        (0..addresses.len()).map(name).collect()
    }

    #[test]
    fn a_map_that_grows_is_read_on_and_the_later_entry_counts() {
        let path = std::env::temp_dir().join(format!("perf-map-test-{}", std::process::id()));
        let mut writer = File::create(&path).unwrap();
        let mut write = |text: &str| writer.write_all(text.as_bytes()).unwrap();
        write("1000 100 JS:~old a.js:1:1\n2000 100 JS:~other a.js:2:1\n");
        let map = PerfMap { file: Some(File::open(&path).unwrap()), ..PerfMap::new(1, StringId::default()) };
        std::fs::remove_file(&path).unwrap();
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(names(&map, &[0x1010, 0x3000]), [some("~old"), None]);
        // What was not asked for at first is found later.
        assert_eq!(names(&map, &[0x1010, 0x1020, 0x2000]), [some("~old"), some("~old"), some("~other")]);
        write("1080 100 JS:*new a.js:1:1\n3000 10 JS:*late a.js:3:1\n");
        assert_eq!(names(&map, &[0x1010, 0x1090, 0x3000]), [some("~old"), some("*new"), some("*late")]);
        assert_eq!(names(&map, &[0x1010, 0x1090, 0x1180]), [some("~old"), some("*new"), None]);
    }
}
