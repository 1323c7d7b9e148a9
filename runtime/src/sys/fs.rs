//! What the standard library leaves out about files.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd as _, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, StatFs, Timespec, Timestamps, Uid, chmodat, chownat, copy_file_range, fchmod,
    fchown, futimens, ioctl_ficlone, sendfile, utimensat,
};
use rustix::io::{Errno, preadv, pwritev, readv, writev};

pub(crate) use rustix::fs::{Access, access};

/// How many bytes go through a buffer at once where the kernel copies nothing itself.
const COPY_BYTES: usize = 64 * 1024;

/// The most buffers that one system call takes.
const SLICES_MAX: usize = 1024;

/// A time to be set on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    Now,
    Omit,
    At(SystemTime),
}

/// Closes a descriptor and tells the error that this brings to light. The descriptor is closed in any case.
pub(crate) fn close(file: OwnedFd) -> Result<(), Errno> {
    // SAFETY: the descriptor was owned until now, so nobody uses it afterwards.
    match unsafe { libc::close(file.into_raw_fd()) } {
        0 => Ok(()),
        _ => match Errno::from_io_error(&io::Error::last_os_error()) {
            // On Linux the descriptor is gone all the same, and nothing was lost.
            None | Some(Errno::INTR) => Ok(()),
            Some(errno) => Err(errno),
        },
    }
}

/// Makes a directory whose name ends in six characters that were not in use, in place of the template's `XXXXXX`.
pub(crate) fn mkdtemp(template: &Path) -> io::Result<PathBuf> {
    let mut name = CString::new(template.as_os_str().as_bytes())?.into_bytes_with_nul();
    // SAFETY: the name ends in a zero, and only bytes before that are overwritten.
    if unsafe { libc::mkdtemp(name.as_mut_ptr().cast()) }.is_null() {
        return Err(io::Error::last_os_error());
    }
    Ok(path_of(name))
}

/// Makes a file as [`mkdtemp`] makes a directory, and opens it.
pub(crate) fn mkstemp(template: &Path) -> io::Result<(File, PathBuf)> {
    let mut name = CString::new(template.as_os_str().as_bytes())?.into_bytes_with_nul();
    // SAFETY: the name ends in a zero, and only bytes before that are overwritten.
    let descriptor = unsafe { libc::mkostemp(name.as_mut_ptr().cast(), libc::O_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened just now and belongs to nobody else.
    Ok((unsafe { File::from_raw_fd(descriptor) }, path_of(name)))
}

fn path_of(mut name: Vec<u8>) -> PathBuf {
    name.pop();
    OsString::from_vec(name).into()
}

pub(crate) fn statfs(path: &Path) -> io::Result<StatFs> {
    Ok(rustix::fs::statfs(path)?)
}

pub(crate) fn chmod(path: &Path, mode: u32) -> io::Result<()> {
    Ok(chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())?)
}

pub(crate) fn file_chmod(file: &File, mode: u32) -> io::Result<()> {
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

pub(crate) fn chown(path: &Path, owner: Owner, follow: bool) -> io::Result<()> {
    Ok(chownat(CWD, path, owner.user(), owner.group(), at_flags(follow))?)
}

pub(crate) fn file_chown(file: &File, owner: Owner) -> io::Result<()> {
    Ok(fchown(file, owner.user(), owner.group())?)
}

/// Who is to own a file; `None` leaves things as they are.
#[derive(Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
}

impl Owner {
    /// The greatest number means "as it is" to the kernel.
    fn user(self) -> Option<Uid> {
        self.user.filter(|id| *id != u32::MAX).map(Uid::from_raw)
    }

    fn group(self) -> Option<Gid> {
        self.group.filter(|id| *id != u32::MAX).map(Gid::from_raw)
    }
}

pub(crate) fn set_times(path: &Path, accessed: Time, modified: Time, follow: bool) -> io::Result<()> {
    Ok(utimensat(CWD, path, &timestamps(accessed, modified), at_flags(follow))?)
}

pub(crate) fn file_set_times(file: &File, accessed: Time, modified: Time) -> io::Result<()> {
    Ok(futimens(file, &timestamps(accessed, modified))?)
}

fn at_flags(follow: bool) -> AtFlags {
    if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW }
}

fn timestamps(accessed: Time, modified: Time) -> Timestamps {
    Timestamps { last_access: timespec(accessed), last_modification: timespec(modified) }
}

fn timespec(time: Time) -> Timespec {
    match time {
        Time::Now => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        Time::Omit => Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
        Time::At(time) => match time.duration_since(UNIX_EPOCH) {
            Ok(since) => since_epoch(since, false),
            Err(before) => since_epoch(before.duration(), true),
        },
    }
}

/// Nanoseconds count forward, also of times before 1970.
fn since_epoch(distance: Duration, before: bool) -> Timespec {
    let (seconds, nanoseconds) = (distance.as_secs() as i64, i64::from(distance.subsec_nanos()));
    match (before, nanoseconds) {
        (false, _) => Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
        (true, 0) => Timespec { tv_sec: -seconds, tv_nsec: 0 },
        (true, _) => Timespec { tv_sec: -seconds - 1, tv_nsec: 1_000_000_000 - nanoseconds },
    }
}

/// Reads into one buffer after the other.
pub(crate) fn read_vectored(file: &File, buffers: &mut [Vec<u8>], at: Option<u64>) -> io::Result<usize> {
    let mut slices: Vec<_> =
        buffers.iter_mut().take(SLICES_MAX).map(|buffer| IoSliceMut::new(buffer)).collect();
    Ok(rustix::io::retry_on_intr(|| match at {
        Some(at) => preadv(file, &mut slices, at),
        None => readv(file, &mut slices),
    })?)
}

/// Writes one buffer after the other. What one system call does not take is left out, and shows in the number.
pub(crate) fn write_vectored(file: &File, buffers: &[&[u8]], at: Option<u64>) -> io::Result<usize> {
    let slices: Vec<_> = buffers.iter().take(SLICES_MAX).map(|buffer| IoSlice::new(buffer)).collect();
    Ok(rustix::io::retry_on_intr(|| match at {
        Some(at) => pwritev(file, &slices, at),
        None => writev(file, &slices),
    })?)
}

/// Copies bytes from one file to another, or to a socket, in the kernel where it can: `copy_file_range`, which may not
/// copy at all but share, then `sendfile`, then through a buffer. Gives how many bytes it were; fewer at the end, or where
/// the other side takes no more.
pub(crate) fn send_file(to: &File, from: &File, at: u64, length: usize) -> io::Result<usize> {
    let mut offset = at;
    match rustix::io::retry_on_intr(|| copy_file_range(from, Some(&mut offset), to, None, length)) {
        Err(
            Errno::XDEV
            | Errno::INVAL
            | Errno::NOSYS
            | Errno::PERM
            | Errno::OPNOTSUPP
            | Errno::BADF
            | Errno::TXTBSY,
        ) => {}
        // Some file systems that are made up as they are read have no length, and tell this call nothing.
        Ok(0) if length > 0 => {}
        result => return Ok(result?),
    }
    let mut offset = at;
    match rustix::io::retry_on_intr(|| sendfile(to, from, Some(&mut offset), length)) {
        Err(Errno::INVAL | Errno::IO | Errno::NOTSOCK | Errno::XDEV | Errno::NOSYS) => {}
        result => return Ok(result?),
    }
    copy_through_buffer(to, from, at, length)
}

fn copy_through_buffer(mut to: &File, from: &File, at: u64, length: usize) -> io::Result<usize> {
    let mut buffer = vec![0; length.min(COPY_BYTES)];
    let mut copied = 0;
    while copied < length {
        let room = (length - copied).min(buffer.len());
        let read = from.read_at(&mut buffer[..room], at + copied as u64);
        let chunk = match read {
            Ok(0) => break,
            Ok(read) => &buffer[..read],
            Err(_) if copied > 0 => break,
            Err(error) => return Err(error),
        };
        match io::Write::write_all(&mut to, chunk) {
            Ok(()) => copied += chunk.len(),
            Err(_) if copied > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(copied)
}

/// How a file is copied.
#[derive(Clone, Copy)]
pub(crate) struct Copy {
    pub(crate) exclusive: bool,
    pub(crate) share: Share,
}

/// Whether a copy shares the blocks of its original until one of them changes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    No,
    Try,
    Must,
}

/// Copies a file's content and permissions. A copy that fails half-way is removed again.
pub(crate) fn copy_file(from: &Path, to: &Path, how: Copy) -> io::Result<()> {
    let source = File::open(from)?;
    let about = source.metadata()?;
    let mut options = File::options();
    options.write(true).mode(about.mode());
    let target = match how.exclusive {
        true => options.create_new(true).open(to)?,
        false => options.create(true).truncate(false).open(to)?,
    };
    let there = target.metadata()?;
    if (there.dev(), there.ino()) == (about.dev(), about.ino()) {
        return Ok(());
    }
    let copied = copy_content(&source, &target, about.len(), how.share)
        .and_then(|()| file_chmod_if_possible(&target, about.mode()));
    if copied.is_err() {
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn copy_content(source: &File, target: &File, length: u64, share: Share) -> io::Result<()> {
    target.set_len(0)?;
    if share != Share::No {
        match ioctl_ficlone(target.as_fd(), source.as_fd()) {
            Ok(()) => return Ok(()),
            Err(errno) if share == Share::Must => return Err(errno.into()),
            Err(_) => {}
        }
    }
    let mut copied = 0;
    loop {
        // At least once more than the length says: the file may have grown, or not know its length.
        let room = (length.saturating_sub(copied)).clamp(COPY_BYTES as u64, 1 << 30) as usize;
        match send_file(target, source, copied, room)? {
            0 => return Ok(()),
            sent => copied += sent as u64,
        }
    }
}

/// Some file systems keep no permissions, and refuse to change them.
fn file_chmod_if_possible(file: &File, mode: u32) -> io::Result<()> {
    match file_chmod(file, mode & 0o7777) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => Ok(()),
        result => result,
    }
}
