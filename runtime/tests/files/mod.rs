//! What tests of files need: a directory, and the result of a request.
#![allow(dead_code, reason = "each test file uses a part")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use loopscope_runtime::fs::FsError;
use loopscope_runtime::{EventLoop, PoolRequest, RunMode};

/// A directory that is removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("loopscope-fs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Starts a request and runs the loop until it has called back.
pub(crate) fn result_of<T: 'static>(
    event_loop: &EventLoop,
    start: impl FnOnce(Box<dyn FnOnce(&EventLoop, Result<T, FsError>)>) -> PoolRequest,
) -> Result<T, FsError> {
    let result = Rc::new(RefCell::new(None));
    let filled = Rc::clone(&result);
    start(Box::new(move |_, outcome| *filled.borrow_mut() = Some(outcome)));
    assert!(result.borrow().is_none(), "never before the loop runs");
    event_loop.run(RunMode::Default);
    result.take().expect("called back")
}
