//! Where a process has libuv in its memory.
//!
//! A binary is read once and known by its file from then on: the same Node.js in a hundred processes is one [`Image`]. The file
//! is opened where the process itself has it (`exe`, `map_files`), so that it is the right one in every mount namespace and
//! after it was replaced on disk.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use model::label::TargetError;

use super::image::{Image, Machine, TaskSite};
use crate::allocator;
use crate::target::{Pid, Process, ProcessError};

/// Files that are remembered; beyond that the memory begins anew.
const FILES_MAX: usize = 4096;

/// Mappings of a process that are looked at.
const MAPS_BYTES_MAX: u64 = 8 << 20;

/// libuv as one process has it in memory.
#[derive(Clone, Debug)]
pub struct Located {
    /// The binary that holds libuv.
    pub libuv: Part,
    /// The binary that holds V8, where that is another one.
    pub engine: Option<Part>,
}

/// A binary in a process's memory.
#[derive(Clone, Debug)]
pub struct Part {
    /// What is known of it.
    pub image: Arc<Image>,
    /// What to add to an address of the file to have the process's.
    pub bias: u64,
    /// A path by which this program can open the mapped file itself, whatever the process's mount namespace, and even if
    /// the file was replaced on disk: `/proc/PID/exe`, or below `/proc/PID/map_files`.
    pub path: PathBuf,
    /// The path as the process sees it.
    pub shown_path: String,
    /// Device and inode of the file.
    pub(super) file: (u64, u64),
}

impl Part {
    /// Opens the mapped file itself.
    ///
    /// # Errors
    /// `ESRCH` where the path leads to another file by now, because the process has ended or executed another program.
    pub(super) fn open(&self) -> std::io::Result<File> {
        let file = File::open(&self.path)?;
        let (device, inode, ..) = file_id(&file)?;
        if (device, inode) == self.file { Ok(file) } else { Err(rustix::io::Errno::SRCH.into()) }
    }

    /// Where the process has what lies at an address of the file.
    pub fn address(&self, address: u64) -> u64 {
        address.wrapping_add(self.bias)
    }
}

impl Located {
    /// The binary whose C++ classes are those of tasks: that of Node.js.
    pub(super) fn classes(&self) -> &Part {
        let has_classes = |part: &&Part| !part.image.points.classes.is_empty();
        self.engine.as_ref().filter(has_classes).unwrap_or(&self.libuv)
    }

    /// Where tasks are seen to start, so that every task passes exactly one place: outside of the pool's lock, where libuv alone has
    /// no such place for the tasks of `uv_queue_work`, but the Node.js that uses it has.
    pub fn task_starts(&self) -> Vec<(&Part, &[TaskSite])> {
        let points = &self.libuv.image.points;
        let engine = self.engine.as_ref().filter(|_| points.queued_start.is_none());
        let queued = engine.map(|engine| (engine, engine.image.points.queued_start.as_slice()));
        match queued.filter(|(_, queued)| !queued.is_empty() && !points.own_starts.is_empty()) {
            Some(queued) => vec![(&self.libuv, &points.own_starts), queued],
            None => vec![(&self.libuv, &points.task_starts)],
        }
    }

    /// Whether this is Node.js.
    pub fn is_node(&self) -> bool {
        self.engine.is_some() || self.libuv.image.is_node
    }

    /// The version of Node.js: major, minor, patch; `None` where it is not known, or this is another program.
    pub fn node_version(&self) -> Option<(u32, u32, u32)> {
        let of_engine = || self.engine.as_ref()?.image.node_version;
        self.libuv.image.node_version.or_else(of_engine)
    }
}

/// Why libuv could not be looked for.
#[derive(Debug)]
pub enum LocateError {
    /// The process cannot be read.
    Process(ProcessError),
    /// A file that it has mapped cannot be opened.
    File {
        /// The process.
        pid: Pid,
        /// The path as the process sees it.
        path: String,
        /// What the kernel said.
        source: std::io::Error,
    },
}

impl LocateError {
    /// The cause, as `loopscope_target_errors_total` counts it.
    pub fn cause(&self) -> TargetError {
        match self {
            Self::Process(error) => error.cause(),
            Self::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                TargetError::Permission
            }
            Self::File { .. } => TargetError::Invalid,
        }
    }
}

impl From<ProcessError> for LocateError {
    fn from(error: ProcessError) -> Self {
        Self::Process(error)
    }
}

impl fmt::Display for LocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(error) => error.fmt(f),
            Self::File { pid, path, source } => {
                write!(f, "process {pid}: cannot open {path}, which it has mapped: {source}")
            }
        }
    }
}

impl std::error::Error for LocateError {}

/// What files hold, remembered by device, inode, size and the time when anything of them was changed last.
#[derive(Debug, Default)]
pub struct Images {
    known: HashMap<FileId, Option<Arc<Image>>>,
}

type FileId = (u64, u64, u64, i64, i64);

/// A file that a process has mapped executable.
#[derive(Debug)]
struct Mapped {
    start: u64,
    end: u64,
    offset: u64,
    path: String,
    /// Whether the path no longer leads to it.
    is_deleted: bool,
}

impl Images {
    /// Looks for libuv in a process; `None` where it has none.
    ///
    /// # Errors
    /// [`LocateError`] where the process may not be read, has ended, or its files cannot be opened.
    pub fn locate(&mut self, process: &Process) -> Result<Option<Located>, LocateError> {
        let (mut libuv, mut engine, known) = (None, None, self.known.len());
        for mapped in executables(process)? {
            let Some(part) = self.part(process, &mapped)? else { continue };
            let slot = if part.image.has_libuv { &mut libuv } else { &mut engine };
            slot.get_or_insert(part);
        }
        if self.known.len() != known {
            allocator::give_back();
        }
        Ok(libuv.map(|libuv| Located { libuv, engine }))
    }

    fn part(&mut self, process: &Process, mapped: &Mapped) -> Result<Option<Part>, LocateError> {
        let pid = process.pid();
        let map_file = format!("map_files/{:x}-{:x}", mapped.start, mapped.end);
        let failed = |source| LocateError::File { pid, path: mapped.path.clone(), source };
        // Reading a mapping's own file needs a capability; the program's needs only that of reading the process.
        let opened = process.open_file(&map_file).map(|file| (file, map_file));
        let (file, name) = match opened {
            Ok(opened) => opened,
            Err(vanished @ ProcessError::Vanished { .. }) if process.stat().is_err() => {
                return Err(vanished.into());
            }
            Err(_) => match open_by_name(process, mapped)? {
                Some(opened) => opened,
                None => return Ok(None),
            },
        };
        let id = file_id(&file).map_err(failed)?;
        if self.known.len() >= FILES_MAX {
            self.known.clear();
        }
        let image = match self.known.get(&id) {
            Some(image) => image.clone(),
            None => {
                let image = read(&file).map_err(failed)?;
                if file_id(&file).map_err(failed)? != id {
                    return Err(failed(std::io::Error::other("it changed while it was read")));
                }
                self.known.insert(id, image.clone());
                image
            }
        };
        let Some(image) = image else { return Ok(None) };
        let Some(bias) = image.bias(mapped.start, mapped.offset) else { return Ok(None) };
        let path = PathBuf::from(format!("/proc/{pid}/{name}"));
        Ok(Some(Part { image, bias, path, shown_path: mapped.path.clone(), file: (id.0, id.1) }))
    }
}

/// Opens a mapped file by `exe`, or by its name below the process's root. By a name that may be another file's by now nothing is
/// opened.
fn open_by_name(process: &Process, mapped: &Mapped) -> Result<Option<(File, String)>, LocateError> {
    let program = process.read_link("exe").ok();
    let program = program.as_ref().and_then(|link| link.to_str().ok());
    let is_program = program.is_some_and(|link| without_mark(link) == (&mapped.path, mapped.is_deleted));
    let name = match (is_program, mapped.is_deleted) {
        (true, _) => "exe".to_owned(),
        (false, false) => format!("root{}", mapped.path),
        (false, true) => return Ok(None),
    };
    match process.open_file(&name) {
        Ok(file) => Ok(Some((file, name))),
        Err(error @ ProcessError::Permission { .. }) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// The files that a process has mapped executable, each once, at its first executable mapping.
fn executables(process: &Process) -> Result<Vec<Mapped>, LocateError> {
    let mut found: Vec<Mapped> = Vec::new();
    let maps = process.open_file("maps")?.take(MAPS_BYTES_MAX);
    for line in BufReader::with_capacity(16 * 1024, maps).split(b'\n') {
        let line = line.map_err(|error| process.error("maps", error))?;
        let Some(mapped) = std::str::from_utf8(&line).ok().and_then(parse) else { continue };
        if !found.iter().any(|other| other.path == mapped.path) {
            found.push(mapped);
        }
    }
    Ok(found)
}

/// `55d0c0a00000-55d0c0c00000 r-xp 00001000 fe:00 1234   /usr/bin/node`.
fn parse(line: &str) -> Option<Mapped> {
    let path = line.get(line.find('/')?..)?;
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let hexadecimal = |text| u64::from_str_radix(text, 16).ok();
    if fields.next()?.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let offset = hexadecimal(fields.next()?)?;
    let (path, is_deleted) = without_mark(path);
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    Some(Mapped { start, end, offset, path: path.to_owned(), is_deleted })
}

/// A path without the kernel's mark of a file that was deleted or replaced, and whether it had that.
fn without_mark(path: &str) -> (&str, bool) {
    path.strip_suffix(" (deleted)").map_or((path, false), |path| (path, true))
}

fn file_id(file: &File) -> std::io::Result<FileId> {
    let it = file.metadata()?;
    Ok((it.dev(), it.ino(), it.size(), it.ctime(), it.ctime_nsec()))
}

fn read(file: &File) -> std::io::Result<Option<Arc<Image>>> {
    // Code of another machine, which an emulator may have mapped, is none that runs here.
    let image = Image::read_file(file)?.filter(|image| Some(image.machine) == Machine::native());
    Ok(image.map(Arc::new))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn an_executable_mapping_of_a_file_is_read_and_others_are_not() {
        let mapped = parse("00400000-00500000 r-xp 00001000 fe:00 1234    /opt/a b/node (deleted)").unwrap();
        assert_eq!((mapped.start, mapped.end, mapped.offset), (0x40_0000, 0x50_0000, 0x1000));
        assert_eq!((mapped.path.as_str(), mapped.is_deleted), ("/opt/a b/node", true));
        for line in [
            "",
            "00400000-00500000 rw-p 0 fe:00 1 /a",
            "7f00-7f01 r-xp 0 00:00 0 [vdso]",
            "x-y r-xp 0 0 0 /a",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_file_that_another_one_has_taken_the_place_of_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libuv.so.1");
        let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/libuv_image/x86_64");
        std::fs::copy(library, &path).unwrap();
        let (image, opened) =
            (Image::read(&std::fs::read(&path).unwrap()).unwrap(), File::open(&path).unwrap());
        let (device, inode, ..) = file_id(&opened).unwrap();
        let (image, shown_path) = (Arc::new(image), "/usr/lib/libuv.so.1".to_owned());
        let part = Part { image, bias: 0, path, shown_path, file: (device, inode) };
        part.open().unwrap();
        let other = folder.path().join("other");
        std::fs::copy(library, &other).unwrap();
        std::fs::rename(&other, &part.path).unwrap();
        assert_eq!(part.open().unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }

    /// Where a process has its program. One that has just been started may not have mapped it yet.
    fn program_of(process: &Process) -> Mapped {
        let began = Instant::now();
        loop {
            let link = process.read_link("exe").unwrap().into_string().unwrap();
            let mut mapped = executables(process).unwrap().into_iter();
            if let Some(program) = mapped.find(|it| without_mark(&link).0 == it.path) {
                return program;
            }
            assert!(began.elapsed() < PATIENCE, "{link} is not mapped");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_was_replaced_on_disk_is_the_one_that_runs_and_a_library_is_not_taken_for_its_successor()
    {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        // By another process: what a child of another test holds open for writing cannot be executed.
        assert!(std::process::Command::new("cp").arg("/bin/sleep").arg(&path).status().unwrap().success());
        let mut child = std::process::Command::new(&path).arg("600").spawn().unwrap();
        let process = Process::open(Pid::new(child.id())).unwrap();
        let inode = |file: &File| file.metadata().unwrap().ino();
        let original = inode(&open_by_name(&process, &program_of(&process)).unwrap().unwrap().0);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "another").unwrap();

        let mapped = program_of(&process);
        let opened = open_by_name(&process, &mapped).unwrap().map(|(file, name)| (inode(&file), name));
        let library = Mapped { path: "/bin/sleep".to_owned(), is_deleted: true, ..program_of(&process) };
        let library_opened = open_by_name(&process, &library).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(mapped.is_deleted);
        assert_eq!(opened, Some((original, "exe".to_owned())));
        assert!(library_opened.is_none());
    }
}
