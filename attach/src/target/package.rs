//! The npm package that a script belongs to.
//!
//! A process's files are looked up below its own root, by a lookup that cannot leave it: a symbolic link or `..` that
//! would lead out of a container ends at the container's root (`openat2` with `RESOLVE_IN_ROOT`, Linux 5.6). Only regular
//! files are opened, and only a bounded part of them is read.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use serde::Deserialize;

use super::Process;

/// A longer `package.json` is none.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Folders that are looked into for one script.
const FOLDERS_MAX: usize = 32;

/// Symbolic links that a script's name may lead through.
const LINKS_MAX: usize = 8;

/// The part of `package.json` that matters.
#[derive(Deserialize)]
struct Manifest {
    name: Option<String>,
}

/// The name of the package that a process's script belongs to; `None` where there is none, or it cannot be read.
pub(super) fn name_of(process: &Process, script: &Path) -> Option<String> {
    let root = process.open_directory("root").ok()?;
    name_below(root.as_fd(), script)
}

/// As [`name_of`], for a script below a root.
///
/// That is the name in the nearest `package.json` that has one, at or above the script's folder. A script in a
/// `node_modules` folder is a tool of the program that has it: the package above comes first.
fn name_below(root: BorrowedFd<'_>, script: &Path) -> Option<String> {
    if !script.is_absolute() {
        return None;
    }
    let modules =
        |path: &Path| path.components().position(|part| part == Component::Normal("node_modules".as_ref()));
    let user: Option<PathBuf> = modules(script).map(|at| script.components().take(at).collect());
    let script = without_links(root, script);
    let above = |path: &Path| path.ancestors().map(Path::to_owned).collect::<Vec<_>>();
    let folders = user.iter().flat_map(|user| above(user)).chain(above(&script));
    folders.take(FOLDERS_MAX).find_map(|folder| name_in(root, &folder))
}

/// Where a script lies after the links that its name is.
fn without_links(root: BorrowedFd<'_>, script: &Path) -> PathBuf {
    let mut path = script.to_owned();
    for _ in 0..LINKS_MAX {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { break };
        let opened = open(root, folder);
        let link = opened.and_then(|folder| rustix::fs::readlinkat(folder, name, Vec::new()).ok());
        let Some(link) = link.and_then(|link| link.into_string().ok()) else { break };
        path = folder.join(link);
    }
    path
}

fn name_in(root: BorrowedFd<'_>, folder: &Path) -> Option<String> {
    let found = open(root, &folder.join("package.json"))?;
    let stat = rustix::fs::fstat(&found).ok()?;
    // Opening what is no regular file may do something, or wait.
    if !FileType::from_raw_mode(stat.st_mode).is_file() || stat.st_size as u64 > FILE_BYTES_MAX {
        return None;
    }
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = Vec::new();
    File::from(file).take(FILE_BYTES_MAX).read_to_end(&mut text).ok()?;
    let manifest: Manifest = serde_json::from_slice(&text).ok()?;
    manifest.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// A handle of what lies at a path below the root, and is not opened yet.
fn open(root: BorrowedFd<'_>, path: &Path) -> Option<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A root with files in it.
    fn root_with(files: &[(&str, &str)]) -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = File::open(folder.path()).unwrap().into();
        (folder, root)
    }

    #[track_caller]
    fn expect_name(root: &OwnedFd, script: &str, name: Option<&str>) {
        assert_eq!(name_below(root.as_fd(), Path::new(script)).as_deref(), name, "{script}");
    }

    #[test]
    fn the_nearest_package_with_a_name_is_the_scripts() {
        let (_folder, root) = root_with(&[
            ("srv/shop/package.json", r#"{"name": "shop", "version": "1.0.0", "scripts": {}}"#),
            ("srv/shop/dist/package.json", r#"{"type": "module"}"#),
            ("srv/shop/jobs/package.json", r#"{"name": "jobs"}"#),
        ]);
        expect_name(&root, "/srv/shop/index.js", Some("shop"));
        expect_name(&root, "/srv/shop", Some("shop"));
        expect_name(&root, "/srv/shop/dist/a/b.js", Some("shop"));
        expect_name(&root, "/srv/shop/jobs/run.js", Some("jobs"));
        expect_name(&root, "/srv/other.js", None);
        expect_name(&root, "shop/index.js", None);
    }

    #[test]
    fn a_tool_belongs_to_the_package_that_uses_it() {
        let (folder, root) = root_with(&[
            ("srv/shop/package.json", r#"{"name": "shop"}"#),
            ("srv/shop/node_modules/next/package.json", r#"{"name": "next"}"#),
            ("srv/shop/node_modules/next/bin/next.js", ""),
            ("usr/lib/node_modules/tool/package.json", r#"{"name": "tool"}"#),
            ("usr/lib/node_modules/tool/cli.js", ""),
        ]);
        fs::create_dir_all(folder.path().join("srv/shop/node_modules/.bin")).unwrap();
        fs::create_dir_all(folder.path().join("usr/bin")).unwrap();
        symlink("../next/bin/next.js", folder.path().join("srv/shop/node_modules/.bin/next")).unwrap();
        symlink("/usr/lib/node_modules/tool/cli.js", folder.path().join("usr/bin/tool")).unwrap();
        expect_name(&root, "/srv/shop/node_modules/.bin/next", Some("shop"));
        expect_name(&root, "/usr/bin/tool", Some("tool"));
    }

    #[test]
    fn nothing_outside_of_the_root_is_read() {
        let (outside, _) = root_with(&[("package.json", r#"{"name": "outside"}"#)]);
        let (folder, root) = root_with(&[("srv/a/x.js", ""), ("srv/b/x.js", ""), ("srv/c/x.js", "")]);
        let inside = folder.path().join("srv");
        symlink(outside.path().join("package.json"), inside.join("a/package.json")).unwrap();
        let up = "../".repeat(40) + outside.path().join("package.json").to_str().unwrap();
        symlink(up, inside.join("b/package.json")).unwrap();
        symlink("/proc/self/root/etc/passwd", inside.join("c/package.json")).unwrap();
        for script in ["/srv/a/x.js", "/srv/b/x.js", "/srv/c/x.js"] {
            expect_name(&root, script, None);
        }
    }

    #[test]
    fn what_is_no_manifest_is_passed_over() {
        let long = format!(r#"{{"name": "long", "x": "{}"}}"#, "x".repeat(FILE_BYTES_MAX as usize));
        let (folder, root) = root_with(&[
            ("package.json", r#"{"name": "top"}"#),
            ("a/package.json", "{"),
            ("b/package.json", r#"{"name": 7}"#),
            ("c/package.json", r#"{"name": " "}"#),
            ("d/package.json", &long),
            ("e/x", ""),
        ]);
        // A folder, and a pipe that nobody writes to: neither is opened.
        fs::create_dir(folder.path().join("e/package.json")).unwrap();
        let pipe = folder.path().join("pipe");
        fs::create_dir(&pipe).unwrap();
        rustix::fs::mknodat(CWD, pipe.join("package.json"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for script in ["/a/x.js", "/b/x.js", "/c/x.js", "/d/x.js", "/e/x.js", "/pipe/x.js"] {
            expect_name(&root, script, Some("top"));
        }
    }
}
