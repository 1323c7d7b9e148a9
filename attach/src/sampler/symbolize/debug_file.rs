//! Debug information that was split off into files of its own, as distributions install it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::read::Object;

use super::image::{Bytes, Elf, Image};
use super::images::open_regular;
use crate::sys::file;

/// Where distributions install debug information.
const DEBUG_DIR: &str = "/usr/lib/debug";

/// The file with the debug information and full symbol table of `image`, in the process's view of the file system or
/// in ours.
pub(super) fn find(image: &Image, elf: &Elf<'_>) -> Option<Image> {
    let named = by_build_id(&image.build_id).into_iter().chain(by_link(image, elf));
    let is_right = |found: &Image| found.build_id == image.build_id && !found.build_id.is_empty();
    named.flat_map(|path| in_both_roots(image, &path)).filter_map(|path| open(&path)).find(is_right)
}

/// The file with what several debug files have in common, as `dwz` makes it.
pub(super) fn find_shared(image: &Image, debug_path: Option<&Path>, elf: &Elf<'_>) -> Option<Image> {
    let (name, build_id) = elf.gnu_debugaltlink().ok()??;
    let build_id = super::image::hexadecimal(build_id);
    let name = Path::new(OsStr::from_bytes(name));
    let beside = debug_path.and_then(Path::parent).map(|dir| dir.join(name));
    let paths = beside.into_iter().chain(by_build_id(&build_id));
    paths
        .flat_map(|path| in_both_roots(image, &path))
        .filter_map(|path| open(&path))
        .find(|it| it.build_id == build_id)
}

fn by_build_id(build_id: &str) -> Option<PathBuf> {
    let (directory, rest) = build_id.split_at_checked(2)?;
    Some(Path::new(DEBUG_DIR).join(".build-id").join(directory).join(format!("{rest}.debug")))
}

fn by_link(image: &Image, elf: &Elf<'_>) -> Vec<PathBuf> {
    let link = elf.gnu_debuglink().ok().flatten();
    let Some(((name, _), path)) = link.zip(image.path.as_deref()) else { return Vec::new() };
    let name = Path::new(OsStr::from_bytes(name));
    let (Some(directory), Some(name)) = (path.parent(), name.file_name()) else { return Vec::new() };
    let under_debug = Path::new(DEBUG_DIR).join(directory.strip_prefix("/").unwrap_or(directory));
    [directory.join(name), directory.join(".debug").join(name), under_debug.join(name)].into()
}

fn in_both_roots(image: &Image, path: &Path) -> [PathBuf; 2] {
    [image.root.join(path.strip_prefix("/").unwrap_or(path)), path.to_owned()]
}

fn open(path: &Path) -> Option<Image> {
    let map = file::map(&open_regular(path, 0).ok()?).ok()?;
    Image::parse(Bytes::Mapped(map), Some(path.to_owned()), PathBuf::new())
}
