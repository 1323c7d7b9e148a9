//! File-system operations on the thread pool.

mod files;
mod support;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use files::{Scratch, result_of};
use loopscope_runtime::fs::{self, File, FsErrorCause, Operation};
use loopscope_runtime::pool::{Pool, TaskError};
use loopscope_runtime::{EventLoop, TaskKind};
use support::{Gate, wait_until};

fn opened(event_loop: &EventLoop, path: &Path, options: &OpenOptions) -> File {
    result_of(event_loop, |callback| fs::open(event_loop, path, options, callback)).unwrap()
}

#[test]
fn a_file_is_opened_written_synced_read_and_closed() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let path = scratch.path("notes");
    let file = opened(&event_loop, &path, OpenOptions::new().read(true).write(true).create(true));
    assert_eq!(file.path(), path);
    let write = |bytes: &str, at| {
        result_of(&event_loop, |callback| file.write(&event_loop, bytes.to_owned(), at, callback)).unwrap()
    };
    assert_eq!(write("one ", None), 4);
    assert_eq!(write("two", None), 3, "goes on where the last one stopped");
    assert_eq!(write("O", Some(0)), 1);
    result_of(&event_loop, |callback| file.fsync(&event_loop, callback)).unwrap();

    let read = |length, at| {
        result_of(&event_loop, |callback| file.read(&event_loop, vec![0; length], at, callback)).unwrap()
    };
    assert_eq!(read(100, Some(0)), b"One two");
    assert_eq!(read(3, Some(4)), b"two");
    assert_eq!(read(100, Some(7)), b"", "the end of the file");
    assert_eq!(result_of(&event_loop, |callback| file.fstat(&event_loop, callback)).unwrap().len(), 7);
    result_of(&event_loop, |callback| file.close(&event_loop, callback)).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"One two");
}

#[test]
fn a_file_that_was_closed_has_no_descriptor_left() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let path = scratch.file("closed", "");
    let open_descriptors = || {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to == path)).count()
    };
    let file = opened(&event_loop, &path, OpenOptions::new().read(true));
    let copy = file.clone();
    assert_eq!(open_descriptors(), 1);
    result_of(&event_loop, |callback| file.close(&event_loop, callback)).unwrap();
    assert_eq!(open_descriptors(), 1, "a copy still uses it");
    result_of(&event_loop, |callback| copy.close(&event_loop, callback)).unwrap();
    assert_eq!(open_descriptors(), 0);
}

#[test]
fn an_operation_that_the_file_was_not_opened_for_is_refused() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let path = scratch.file("read only", "text");
    let file = opened(&event_loop, &path, OpenOptions::new().read(true));
    let error =
        result_of(&event_loop, |callback| file.write(&event_loop, vec![1], None, callback)).unwrap_err();
    assert_eq!(
        (error.operation(), error.path(), error.code()),
        (Operation::Write, &*path, Some(libc::EBADF))
    );
}

#[test]
fn a_whole_file_is_read() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let text = "0123456789".repeat(50_000);
    let path = scratch.file("large", &text);
    let read = result_of(&event_loop, |callback| fs::read_file(&event_loop, &path, callback)).unwrap();
    assert_eq!(read, text.as_bytes());
}

#[test]
fn stat_follows_a_link_and_lstat_does_not() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let (file, link) = (scratch.file("file", "four"), scratch.path("link"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let through = result_of(&event_loop, |callback| fs::stat(&event_loop, &link, callback)).unwrap();
    let itself = result_of(&event_loop, |callback| fs::lstat(&event_loop, &link, callback)).unwrap();
    assert_eq!((through.len(), through.ino()), (4, std::fs::metadata(&file).unwrap().ino()));
    assert!(through.is_file() && itself.is_symlink());
}

#[test]
fn a_directory_is_made_listed_and_removed() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let directory = scratch.path("directory");
    result_of(&event_loop, |callback| fs::mkdir(&event_loop, &directory, 0o700, callback)).unwrap();
    assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    for name in ["b", "c", "a"] {
        std::fs::write(directory.join(name), "").unwrap();
    }
    std::fs::create_dir(directory.join("inner")).unwrap();
    let entries = result_of(&event_loop, |callback| fs::scandir(&event_loop, &directory, callback)).unwrap();
    let listed: Vec<_> =
        entries.iter().map(|entry| (entry.name.to_str().unwrap(), entry.file_type.is_dir())).collect();
    assert_eq!(listed, [("a", false), ("b", false), ("c", false), ("inner", true)]);

    let error = result_of(&event_loop, |callback| fs::rmdir(&event_loop, &directory, callback)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DirectoryNotEmpty);
    let inner = directory.join("inner");
    result_of(&event_loop, |callback| fs::rmdir(&event_loop, &inner, callback)).unwrap();
    assert!(!inner.exists());
}

#[test]
fn a_file_is_renamed_and_unlinked() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let (old, new) = (scratch.file("old", "text"), scratch.path("new"));
    result_of(&event_loop, |callback| fs::rename(&event_loop, &old, &new, callback)).unwrap();
    assert!(!old.exists() && new.exists());
    result_of(&event_loop, |callback| fs::unlink(&event_loop, &new, callback)).unwrap();
    assert!(!new.exists());
}

#[test]
fn an_error_names_the_operation_the_path_and_the_reason() {
    let (scratch, event_loop) = (Scratch::new(), EventLoop::new().unwrap());
    let (missing, elsewhere) = (scratch.path("missing"), scratch.path("elsewhere"));
    let error =
        result_of(&event_loop, |callback| fs::read_file(&event_loop, &missing, callback)).unwrap_err();
    assert_eq!(error.operation(), Operation::ReadFile);
    assert_eq!(error.path(), missing);
    assert_eq!(*error.cause(), FsErrorCause::System { code: libc::ENOENT });
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = format!("read file {}: No such file or directory (os error 2)", missing.display());
    assert_eq!(error.to_string(), expected);

    let rename = |callback| fs::rename(&event_loop, &missing, &elsewhere, callback);
    let error = result_of(&event_loop, |callback| rename(callback)).unwrap_err();
    assert_eq!(error.destination(), Some(&*elsewhere));
    assert!(error.to_string().starts_with(&format!(
        "rename {} to {}: ",
        missing.display(),
        elsewhere.display()
    )));
}

#[test]
fn a_path_with_a_zero_byte_is_an_error_like_any_other() {
    let event_loop = EventLoop::new().unwrap();
    let error = result_of(&event_loop, |callback| fs::stat(&event_loop, "a\0b", callback)).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::InvalidInput, None));
    assert!(matches!(error.cause(), FsErrorCause::Invalid { .. }), "{error}");
}

#[test]
fn an_operation_that_waits_can_be_cancelled() {
    let pool = Pool::builder().threads(1).build().unwrap();
    let event_loop = EventLoop::builder().pool(&pool).build().unwrap();
    let gate = Gate::default();
    let of_work = gate.clone();
    event_loop.queue_work(TaskKind::Work, move || of_work.pass(), |_, result| result.unwrap());
    wait_until("the thread is busy", || gate.waiting() == 1);
    let error = result_of(&event_loop, |callback| {
        let request = fs::stat(&event_loop, "/", callback);
        assert_eq!(request.cancel(), Ok(()));
        gate.open();
        request
    })
    .unwrap_err();
    assert_eq!(*error.cause(), FsErrorCause::Task(TaskError::Cancelled));
    assert_eq!(error.to_string(), "stat /: the task was cancelled before it started");
}
