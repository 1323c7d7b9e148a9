//! Each file-system operation does what its name says, and tells the system's reason where it cannot.

mod files;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use files::{Scratch, result_of};
use loopscope_runtime::EventLoop;
use loopscope_runtime::fs::{self, AccessMode, CopyOptions, File, FileTime, Operation, Sharing, blocking};

/// The result of an operation that takes the loop first.
macro_rules! result {
    (fs::$operation:ident($event_loop:expr $(, $argument:expr)*)) => {
        result_of(&$event_loop, |callback| fs::$operation(&$event_loop, $($argument,)* callback))
    };
}

fn setup() -> (Scratch, EventLoop) {
    (Scratch::new(), EventLoop::new().unwrap())
}

fn open_new(event_loop: &EventLoop, path: &Path) -> File {
    result!(fs::open(*event_loop, path, OpenOptions::new().read(true).write(true).create(true))).unwrap()
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn access_tells_what_is_allowed_and_what_is_not_there() {
    let (scratch, event_loop) = setup();
    let path = scratch.file("script", "");
    let readable = AccessMode { read: true, ..AccessMode::default() };
    let executable = AccessMode { execute: true, ..AccessMode::default() };
    assert_eq!(result!(fs::access(event_loop, &path, readable)), Ok(()));
    // Without a bit that allows it nobody may run a file, root included.
    let refused = result!(fs::access(event_loop, &path, executable)).unwrap_err();
    assert_eq!((refused.operation(), refused.code()), (Operation::Access, Some(libc::EACCES)));
    let missing = result!(fs::access(event_loop, scratch.path("none"), AccessMode::default())).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn a_directory_is_read_some_entries_at_a_time() {
    let (scratch, event_loop) = setup();
    for name in ["a", "b", "c"] {
        scratch.file(name, "");
    }
    let directory = result!(fs::opendir(event_loop, scratch.path(""))).unwrap();
    let mut names = Vec::new();
    loop {
        let entries = result_of(&event_loop, |callback| directory.readdir(&event_loop, 2, callback)).unwrap();
        assert!(entries.len() <= 2);
        if entries.is_empty() {
            break;
        }
        names.extend(entries.into_iter().map(|entry| entry.name.into_string().unwrap()));
    }
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
    result_of(&event_loop, |callback| directory.closedir(&event_loop, callback)).unwrap();
    let closed = result_of(&event_loop, |callback| directory.readdir(&event_loop, 1, callback)).unwrap_err();
    assert_eq!((closed.operation(), closed.code()), (Operation::Readdir, Some(libc::EBADF)));
}

#[test]
fn temporary_names_are_the_callers_alone() {
    let (scratch, event_loop) = setup();
    let template = scratch.path("work-XXXXXX");
    let one = result!(fs::mkdtemp(event_loop, &template)).unwrap();
    let other = result!(fs::mkdtemp(event_loop, &template)).unwrap();
    assert!(one != other && one.is_dir() && other.is_dir());
    assert_eq!(one.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let file = result!(fs::mkstemp(event_loop, scratch.path("file-XXXXXX"))).unwrap();
    assert!(file.path().is_file());
    assert_eq!(blocking::write(&file, "text", None), Ok(4));
    let template = scratch.path("no places");
    assert_eq!(result!(fs::mkdtemp(event_loop, &template)).unwrap_err().code(), Some(libc::EINVAL));
    assert_eq!(result!(fs::mkstemp(event_loop, &template)).unwrap_err().code(), Some(libc::EINVAL));
}

#[test]
fn links_are_made_and_followed() {
    let (scratch, event_loop) = setup();
    let (file, hard, soft) = (scratch.file("file", "text"), scratch.path("hard"), scratch.path("soft"));
    result!(fs::link(event_loop, &file, &hard)).unwrap();
    assert_eq!(file.metadata().unwrap().nlink(), 2);
    result!(fs::symlink(event_loop, "hard", &soft)).unwrap();
    assert_eq!(result!(fs::readlink(event_loop, &soft)).unwrap(), Path::new("hard"));
    let real = result!(fs::realpath(event_loop, scratch.path("./soft"))).unwrap();
    assert_eq!(real, hard.canonicalize().unwrap());
    let there = result!(fs::link(event_loop, &file, &hard)).unwrap_err();
    assert_eq!((there.code(), there.destination()), (Some(libc::EEXIST), Some(&*hard)));
    assert_eq!(result!(fs::readlink(event_loop, &file)).unwrap_err().code(), Some(libc::EINVAL));
    let missing = result!(fs::realpath(event_loop, scratch.path("none"))).unwrap_err();
    assert_eq!(missing.code(), Some(libc::ENOENT));
}

#[test]
fn permissions_are_changed_by_path_and_by_file() {
    let (scratch, event_loop) = setup();
    let path = scratch.file("file", "");
    let mode = || path.metadata().unwrap().permissions().mode() & 0o7777;
    result!(fs::chmod(event_loop, &path, 0o640)).unwrap();
    assert_eq!(mode(), 0o640);
    let file = open_new(&event_loop, &path);
    result_of(&event_loop, |callback| file.fchmod(&event_loop, 0o600, callback)).unwrap();
    assert_eq!(mode(), 0o600);
    assert_eq!(
        result!(fs::chmod(event_loop, scratch.path("none"), 0)).unwrap_err().code(),
        Some(libc::ENOENT)
    );
}

#[test]
fn owners_are_changed_by_path_by_link_and_by_file() {
    let (scratch, event_loop) = setup();
    let (path, link) = (scratch.file("file", ""), scratch.path("link"));
    symlink("nowhere", &link).unwrap();
    let about = path.metadata().unwrap();
    let (user, group) = (about.uid(), about.gid());
    // To whom it belongs already is what everybody may say.
    result!(fs::chown(event_loop, &path, Some(user), Some(group))).unwrap();
    result!(fs::chown(event_loop, &path, None, None)).unwrap();
    result!(fs::lchown(event_loop, &link, Some(user), None)).unwrap();
    let followed = result!(fs::chown(event_loop, &link, Some(user), None)).unwrap_err();
    assert_eq!(followed.code(), Some(libc::ENOENT), "the link leads nowhere");
    let file = open_new(&event_loop, &path);
    result_of(&event_loop, |callback| file.fchown(&event_loop, None, Some(group), callback)).unwrap();
    // And what only root may say shows whether it arrives at the system.
    let given_away = result!(fs::chown(event_loop, &path, Some(user + 1), None));
    match path.metadata().unwrap().uid() {
        uid if uid == user => assert_eq!(given_away.unwrap_err().code(), Some(libc::EPERM)),
        uid => assert_eq!((given_away, uid), (Ok(()), user + 1)),
    }
}

#[test]
fn times_are_set_by_path_by_link_and_by_file() {
    let (scratch, event_loop) = setup();
    let (path, link) = (scratch.file("file", ""), scratch.path("link"));
    symlink("file", &link).unwrap();
    let after = |ms| FileTime::At(UNIX_EPOCH + Duration::from_millis(ms));
    let times = |path: &Path| {
        let about = path.symlink_metadata().unwrap();
        let since = |time: std::time::SystemTime| time.duration_since(UNIX_EPOCH).unwrap().as_millis();
        (since(about.accessed().unwrap()), since(about.modified().unwrap()))
    };
    result!(fs::utime(event_loop, &link, after(1_500), after(2_250))).unwrap();
    assert_eq!(times(&path), (1_500, 2_250), "through the link");
    result!(fs::lutime(event_loop, &link, after(3_000), after(4_000))).unwrap();
    assert_eq!((times(&link), times(&path)), ((3_000, 4_000), (1_500, 2_250)));
    let file = open_new(&event_loop, &path);
    let futime = |accessed, modified| {
        result_of(&event_loop, |callback| file.futime(&event_loop, accessed, modified, callback)).unwrap();
    };
    futime(FileTime::Keep, after(5_000));
    assert_eq!(times(&path), (1_500, 5_000));
    let before = FileTime::At(UNIX_EPOCH - Duration::from_millis(1_250));
    futime(before, FileTime::Keep);
    assert_eq!((path.metadata().unwrap().atime(), path.metadata().unwrap().atime_nsec()), (-2, 750_000_000));
    futime(FileTime::Now, FileTime::Now);
    assert!(times(&path).0 > 1_700_000_000_000);
}

#[test]
fn a_file_gets_the_length_it_is_told() {
    let (scratch, event_loop) = setup();
    let path = scratch.file("file", "a long text");
    let file = open_new(&event_loop, &path);
    result_of(&event_loop, |callback| file.ftruncate(&event_loop, 6, callback)).unwrap();
    assert_eq!(text_of(&path), "a long");
    result_of(&event_loop, |callback| file.ftruncate(&event_loop, 8, callback)).unwrap();
    assert_eq!(text_of(&path), "a long\0\0");
    result_of(&event_loop, |callback| file.fdatasync(&event_loop, callback)).unwrap();
}

#[test]
fn many_buffers_are_read_and_written_in_one_operation_at_a_position_or_where_the_last_one_stopped() {
    let (scratch, event_loop) = setup();
    let path = scratch.path("file");
    let file = open_new(&event_loop, &path);
    let write = |parts: &[&'static str], at| {
        let buffers = parts.iter().map(|part| (*part).into()).collect();
        result_of(&event_loop, |callback| file.write_vectored(&event_loop, buffers, at, callback)).unwrap()
    };
    assert_eq!(write(&["one ", "two "], None), 8);
    assert_eq!(write(&["three"], None), 5);
    assert_eq!(write(&["ONE", "-"], Some(0)), 4);
    assert_eq!(text_of(&path), "ONE-two three");
    let read = |lengths: &[usize], at| {
        let buffers = lengths.iter().map(|length| vec![0; *length]).collect();
        result_of(&event_loop, |callback| file.read_vectored(&event_loop, buffers, at, callback)).unwrap()
    };
    assert_eq!(read(&[4, 3], Some(0)), (7, vec![b"ONE-".to_vec(), b"two".to_vec()]));
    assert_eq!(read(&[4, 8], Some(8)), (5, vec![b"thre".to_vec(), b"e\0\0\0\0\0\0\0".to_vec()]));
    assert_eq!(read(&[4], None).0, 0, "the position is behind what was written without one");
}

#[test]
fn more_buffers_than_one_system_call_takes_are_written_in_part() {
    let (scratch, event_loop) = setup();
    let path = scratch.path("file");
    let file = open_new(&event_loop, &path);
    let buffers = vec!["x".into(); 1500];
    let written =
        result_of(&event_loop, |callback| file.write_vectored(&event_loop, buffers, None, callback));
    assert_eq!(written, Ok(1024));
    assert_eq!(text_of(&path).len(), 1024);
}

#[test]
fn a_file_is_copied_with_its_permissions() {
    let (scratch, event_loop) = setup();
    let text = "0123456789abcdef".repeat(20_000);
    let (from, to) = (scratch.file("from", &text), scratch.file("to", &"x".repeat(500_000)));
    std::fs::set_permissions(&from, std::fs::Permissions::from_mode(0o640)).unwrap();
    result!(fs::copyfile(event_loop, &from, &to, CopyOptions::default())).unwrap();
    assert_eq!(text_of(&to), text);
    assert_eq!(to.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let exclusive = CopyOptions { exclusive: true, ..CopyOptions::default() };
    let refused = result!(fs::copyfile(event_loop, &from, &to, exclusive)).unwrap_err();
    assert_eq!(refused.code(), Some(libc::EEXIST));
    assert_eq!(text_of(&to), text, "what was there is as it was");
    result!(fs::copyfile(event_loop, &from, &from, CopyOptions::default())).unwrap();
    assert_eq!(text_of(&from), text, "a copy onto itself changes nothing");
}

#[test]
fn a_copy_shares_blocks_where_it_can_and_only_fails_where_it_must() {
    let (scratch, event_loop) = setup();
    let (from, to) = (scratch.file("from", "text"), scratch.path("to"));
    let sharing = |sharing| CopyOptions { exclusive: false, sharing };
    result!(fs::copyfile(event_loop, &from, &to, sharing(Sharing::Try))).unwrap();
    assert_eq!(text_of(&to), "text");
    match result!(fs::copyfile(event_loop, &from, &to, sharing(Sharing::Must))) {
        Ok(()) => assert_eq!(text_of(&to), "text"),
        Err(error) => {
            assert!(
                [libc::EOPNOTSUPP, libc::EXDEV, libc::EINVAL, libc::ENOTTY].contains(&error.code().unwrap()),
                "{error}"
            );
            assert!(!to.exists(), "a copy that failed leaves nothing");
        }
    }
}

#[test]
fn what_the_kernel_makes_up_as_it_is_read_is_copied_whole() {
    let (scratch, event_loop) = setup();
    let to = scratch.path("version");
    result!(fs::copyfile(event_loop, "/proc/version", &to, CopyOptions::default())).unwrap();
    assert_eq!(text_of(&to), text_of(Path::new("/proc/version")));
}

#[test]
fn a_part_of_a_file_is_sent_to_another_one() {
    let (scratch, event_loop) = setup();
    let (from, to) = (scratch.file("from", "0123456789"), scratch.path("to"));
    let (from, to_file) = (open_new(&event_loop, &from), open_new(&event_loop, &to));
    let send = |at, length| {
        result_of(&event_loop, |callback| from.sendfile(&event_loop, &to_file, at, length, callback))
    };
    assert_eq!(send(3, 4), Ok(4));
    assert_eq!(send(8, 100), Ok(2), "as much as there is");
    assert_eq!(send(10, 100), Ok(0));
    assert_eq!(text_of(&to), "345689");
    // Neither of the kernel's ways takes a file that only grows at its end.
    let append = result!(fs::open(event_loop, &to, OpenOptions::new().append(true))).unwrap();
    let sent = result_of(&event_loop, |callback| from.sendfile(&event_loop, &append, 0, 3, callback));
    assert_eq!(sent, Ok(3));
    assert_eq!(text_of(&to), "345689012");
}

#[test]
fn a_file_system_tells_its_size() {
    let (scratch, event_loop) = setup();
    let about = result!(fs::statfs(event_loop, scratch.path(""))).unwrap();
    assert!(about.block_bytes > 0 && about.blocks >= about.blocks_free);
    assert!(about.blocks_free >= about.blocks_available);
    assert_eq!(
        result!(fs::statfs(event_loop, scratch.path("none"))).unwrap_err().operation(),
        Operation::Statfs
    );
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let names: std::collections::HashSet<_> =
        Operation::ALL.iter().map(|operation| operation.as_str()).collect();
    assert_eq!(names.len(), Operation::ALL.len());
    for libuv in [
        "open",
        "close",
        "read",
        "write",
        "sendfile",
        "stat",
        "lstat",
        "fstat",
        "ftruncate",
        "utime",
        "futime",
        "access",
        "chmod",
        "fchmod",
        "fsync",
        "fdatasync",
        "unlink",
        "rmdir",
        "mkdir",
        "mkdtemp",
        "rename",
        "scandir",
        "link",
        "symlink",
        "readlink",
        "chown",
        "fchown",
        "realpath",
        "copyfile",
        "lchown",
        "opendir",
        "readdir",
        "closedir",
        "mkstemp",
        "lutime",
        "statfs",
    ] {
        assert!(names.contains(libuv), "libuv's {libuv}");
    }
}

#[test]
fn the_blocking_forms_give_what_the_requests_give() {
    let (scratch, event_loop) = setup();
    let (path, missing) = (scratch.file("file", "text"), scratch.path("none"));
    assert_eq!(blocking::read_file(&path), Ok(b"text".to_vec()));
    assert_eq!(blocking::rename(&path, scratch.path("new")), Ok(()));
    assert_eq!(blocking::stat(&missing).unwrap_err(), result!(fs::stat(event_loop, &missing)).unwrap_err());
    let file = blocking::open(scratch.path("new"), OpenOptions::new().read(true)).unwrap();
    assert_eq!(blocking::read(&file, vec![0; 8], Some(1)), Ok(b"ext".to_vec()));
    assert_eq!(blocking::close(file), Ok(()));
}

/// What a full disk says to whoever writes: the kernel has a device for that.
#[test]
fn a_full_disk_is_an_error_of_the_operation_that_wrote() {
    let event_loop = EventLoop::new().unwrap();
    let full = result!(fs::open(event_loop, "/dev/full", OpenOptions::new().write(true))).unwrap();
    let written = result_of(&event_loop, |callback| full.write(&event_loop, "text", None, callback));
    let error = written.unwrap_err();
    assert_eq!((error.operation(), error.code()), (Operation::Write, Some(libc::ENOSPC)));
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

/// A pipe that takes a part and no more stands for a disk that runs full within a write.
#[test]
fn a_short_write_tells_how_much_was_written() {
    let event_loop = EventLoop::new().unwrap();
    let (scratch, limit) = (Scratch::new(), 4096);
    let path = scratch.path("pipe");
    make_fifo(&path);
    let mut both = OpenOptions::new();
    both.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let pipe = result!(fs::open(event_loop, &path, &both)).unwrap();
    let bytes = vec![7; 1 << 20];
    let written = result_of(&event_loop, |callback| pipe.write(&event_loop, bytes, None, callback)).unwrap();
    assert!((limit..1 << 20).contains(&written), "{written}");
    let full = result_of(&event_loop, |callback| pipe.write(&event_loop, "x", None, callback)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
}

fn make_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}
