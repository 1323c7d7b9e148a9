//! File operations of a process that has no descriptor left. Alone in its file, for the limit is the process's.

mod files;

use std::fs::{File, OpenOptions};

use files::{Scratch, result_of};
use loopscope_runtime::{EventLoop, fs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn an_operation_that_needs_a_descriptor_says_that_there_is_none_and_works_again_when_there_is() {
    let (event_loop, scratch) = (EventLoop::new().unwrap(), Scratch::new());
    let path = scratch.file("file", "text");
    // The pool's thread, and whatever else is made once, is made before.
    result_of(&event_loop, |callback| fs::stat(&event_loop, &path, callback)).unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: before.maximum }).unwrap();
    let held: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();

    let open = || {
        let mut options = OpenOptions::new();
        result_of(&event_loop, |callback| fs::open(&event_loop, &path, options.read(true), callback))
    };
    let error = open().unwrap_err();
    assert_eq!((error.code(), error.path()), (Some(libc::EMFILE), &*path));
    assert!(error.to_string().contains("ulimit -n"), "{error}");
    let error = result_of(&event_loop, |callback| fs::scandir(&event_loop, "/", callback)).unwrap_err();
    assert_eq!(error.code(), Some(libc::EMFILE));
    let to = scratch.path("copy");
    let copying = |callback| fs::copyfile(&event_loop, &path, &to, fs::CopyOptions::default(), callback);
    assert_eq!(result_of(&event_loop, |callback| copying(callback)).unwrap_err().code(), Some(libc::EMFILE));
    // What needs none goes on.
    assert_eq!(result_of(&event_loop, |callback| fs::stat(&event_loop, &path, callback)).unwrap().len(), 4);

    drop(held);
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(open().is_ok());
}
