//! The object files that processes have mapped, each opened once, as soon as it is mapped: later the process may be
//! gone, or the file deleted.
//!
//! The path that the kernel tells is the process's own. It is looked for where the exact file can be had whatever
//! happened to its name (`map_files`, `exe`), then under the process's root, which may be a container's, and last,
//! for a process that is gone already, under our own root.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::image::{Bytes, Image};
use crate::sampler::event::Mapped;
use crate::sys::file;

/// An image's position in its [`Images`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ImageId(u32);

/// What came of opening the file behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It is an object file.
    Image(ImageId),
    /// There is no file, or one that is no object file: code in it was made by the program.
    NoImage,
    /// The file could not be opened.
    Failed,
}

/// Object files by device and inode.
pub(crate) struct Images {
    proc_dir: PathBuf,
    images: Vec<Image>,
    /// Held open, so that their inodes cannot be given to other files.
    by_file: FxHashMap<((u32, u32), u64), ImageId>,
    vdso: Option<Opened>,
}

/// The name of the code that the kernel maps into every process.
const VDSO: &[u8] = b"[vdso]";

/// No vdso is bigger.
const VDSO_BYTES_MAX: u64 = 1 << 20;

impl Images {
    /// No images yet; processes are looked up in `proc_dir`.
    pub(crate) fn new(proc_dir: PathBuf) -> Self {
        Self { proc_dir, images: Vec::new(), by_file: FxHashMap::default(), vdso: None }
    }

    /// The image.
    pub(crate) fn get(&self, id: ImageId) -> &Image {
        &self.images[id.0 as usize]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    /// Opens the file behind a mapping, unless that was done before.
    pub(crate) fn open(&mut self, mapped: &Mapped<'_>) -> Opened {
        if mapped.path == VDSO {
            let opened = self.vdso.unwrap_or_else(|| self.open_vdso(mapped));
            self.vdso = Some(opened);
            return opened;
        }
        if mapped.inode == 0 || !mapped.path.starts_with(b"/") {
            return Opened::NoImage;
        }
        let file = (mapped.device, mapped.inode);
        if let Some(&image) = self.by_file.get(&file) {
            return Opened::Image(image);
        }
        let opened = self.open_file(mapped);
        match opened {
            Opened::Image(image) => _ = self.by_file.insert(file, image),
            Opened::Failed if is_memory(mapped.path) => return Opened::NoImage,
            Opened::Failed | Opened::NoImage => {}
        }
        opened
    }

    fn open_file(&mut self, mapped: &Mapped<'_>) -> Opened {
        let process = self.proc_dir.join(mapped.pid.to_string());
        let path = Path::new(OsStr::from_bytes(mapped.path));
        let root = process.join("root");
        let range = format!("{:x}-{:x}", mapped.start, mapped.start.saturating_add(mapped.length));
        let candidates = [
            process.join("map_files").join(range),
            root.join(path.strip_prefix("/").unwrap_or(path)),
            process.join("exe"),
            path.to_owned(),
        ];
        let Some(file) = candidates.iter().find_map(|path| open_inode(path, mapped.inode)) else {
            return Opened::Failed;
        };
        match file::map(&file) {
            Ok(map) => self.add(Image::parse(Bytes::Mapped(map), Some(path.to_owned()), root)),
            Err(_) => Opened::Failed,
        }
    }

    /// All processes have the same vdso, so our own does, unless the process is of another kind: then its own is read.
    fn open_vdso(&mut self, mapped: &Mapped<'_>) -> Opened {
        let own = || read_memory(Path::new("/proc/self"), own_vdso()?);
        let theirs = || {
            let range = mapped.start..mapped.start.saturating_add(mapped.length);
            read_memory(&self.proc_dir.join(mapped.pid.to_string()), range)
        };
        let bytes = match own() {
            Ok(bytes) if bytes.len() as u64 == mapped.length => Ok(bytes),
            _ => theirs(),
        };
        match bytes {
            Ok(bytes) => self.add(Image::parse(Bytes::Owned(bytes), None, PathBuf::new())),
            Err(_) => Opened::Failed,
        }
    }

    fn add(&mut self, image: Option<Image>) -> Opened {
        let Some(image) = image else { return Opened::NoImage };
        self.images.push(image);
        Opened::Image(ImageId(self.images.len() as u32 - 1))
    }
}

/// Whether a mapping that has an inode is memory all the same, by the kernel's names for such.
fn is_memory(path: &[u8]) -> bool {
    let names: [&[u8]; 4] = [b"/memfd:", b"/dev/zero", b"/SYSV", b"/anon_hugepage"];
    names.iter().any(|name| path.starts_with(name))
}

/// Opens a regular file if it has this inode. The device is not compared: for files on stacked file systems and on
/// those with subvolumes, the kernel's records and stat(2) give different ones.
fn open_inode(path: &Path, inode: u64) -> Option<File> {
    let file = open_regular(path, 0).ok()?;
    (file.metadata().ok()?.ino() == inode).then_some(file)
}

/// Opens a regular file for reading, and never blocks, as a named pipe or a device would.
pub(super) fn open_regular(path: &Path, flags: i32) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

fn own_vdso() -> io::Result<Range<u64>> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let parse = |line: &str| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some(u64::from_str_radix(start, 16).ok()?..u64::from_str_radix(end, 16).ok()?)
    };
    let line = maps.lines().find(|line| line.ends_with("[vdso]"));
    line.and_then(parse).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no vdso"))
}

fn read_memory(process: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
    let length = range.end.saturating_sub(range.start).min(VDSO_BYTES_MAX);
    let mut bytes = vec![0; length as usize];
    File::open(process.join("mem"))?.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes)
}
