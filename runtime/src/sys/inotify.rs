//! The kernel's notices of what happens to files: inotify.

use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Room for the notices of one read: some hundreds.
const BUFFER_BYTES: usize = 16 * 1024;

/// Something happened.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    /// The watch that it happened to.
    pub(crate) watch: i32,
    /// Within the folder that is watched; `None` of the watched thing itself.
    pub(crate) name: Option<OsString>,
    /// Contents or attributes changed.
    pub(crate) changed: bool,
    /// A name came, went or moved. As in libuv, also anything else, and that it is about a folder.
    pub(crate) renamed: bool,
    pub(crate) is_folder: bool,
    /// It came, or was moved here.
    pub(crate) came: bool,
    /// It was moved elsewhere.
    pub(crate) moved_away: bool,
    /// The watch is no more.
    pub(crate) ended: bool,
    /// There was more than the kernel keeps.
    pub(crate) lost: bool,
}

pub(crate) fn init() -> Result<OwnedFd, Errno> {
    inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
}

/// Watches a path; the same file has the same watch, whatever its name. `folder` takes nothing but a folder itself.
pub(crate) fn add_watch(inotify: impl AsFd, path: &Path, folder: bool) -> Result<i32, Errno> {
    let mut flags = WatchFlags::ATTRIB
        | WatchFlags::CREATE
        | WatchFlags::MODIFY
        | WatchFlags::DELETE
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO;
    if folder {
        flags |= WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
    }
    inotify::add_watch(inotify, path, flags)
}

pub(crate) fn remove_watch(inotify: impl AsFd, watch: i32) {
    // One that the kernel removed before is removed, which is what is wanted.
    let _ = inotify::remove_watch(inotify, watch);
}

/// What has happened, up to a buffer full.
pub(crate) fn read(inotify: impl AsFd) -> Result<Vec<Notice>, Errno> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = Reader::new(inotify, &mut buffer);
    let mut notices = Vec::new();
    loop {
        let event = reader.next()?;
        let flags = event.events();
        let change = ReadFlags::ATTRIB | ReadFlags::MODIFY;
        let name = event.file_name().map(|name| OsString::from_vec(name.to_bytes().to_vec()));
        notices.push(Notice {
            watch: event.wd(),
            name,
            changed: flags.intersects(change),
            renamed: !flags.difference(change).is_empty(),
            is_folder: flags.contains(ReadFlags::ISDIR),
            came: flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO),
            moved_away: flags.contains(ReadFlags::MOVED_FROM),
            ended: flags.contains(ReadFlags::IGNORED),
            lost: flags.contains(ReadFlags::QUEUE_OVERFLOW),
        });
        if reader.is_buffer_empty() {
            return Ok(notices);
        }
    }
}
