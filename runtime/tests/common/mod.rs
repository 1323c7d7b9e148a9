//! What several tests need: a log of what called back, and a loop that cannot hang the test.

#![allow(dead_code, reason = "every test file uses another part")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use loopscope_runtime::{EventLoop, Idle, Pipe, Read, Timer};

/// What called back, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn note(&self, what: impl ToString) {
        self.0.borrow_mut().push(what.to_string());
    }

    /// A callback that notes `what`.
    pub(crate) fn noting<H>(&self, what: impl ToString) -> impl FnMut(&EventLoop, &H) + 'static {
        let (log, what) = (self.clone(), what.to_string());
        move |_, _| log.note(&what)
    }

    /// A callback that runs once and notes `what`.
    pub(crate) fn noting_once(&self, what: impl ToString) -> impl FnOnce(&EventLoop) + 'static {
        let (log, what) = (self.clone(), what.to_string());
        move |_| log.note(&what)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.borrow().iter().filter(|noted| *noted == what).count()
    }

    /// What was noted since the last call, in one line.
    pub(crate) fn take(&self) -> String {
        self.0.take().join(" ")
    }

    #[track_caller]
    pub(crate) fn expect(&self, expected: &str) {
        assert_eq!(self.take(), expected);
    }
}

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A timer that calls back once.
pub(crate) fn after(
    event_loop: &EventLoop,
    timeout: Duration,
    callback: impl FnOnce(&EventLoop) + 'static,
) -> Timer {
    let timer = Timer::new(event_loop);
    let mut callback = Some(callback);
    timer
        .start(timeout, move |event_loop, _| callback.take().expect("called back once")(event_loop))
        .expect("the timer is open");
    timer
}

/// Keeps the loop spinning: an idle handle that does nothing.
pub(crate) fn spin(event_loop: &EventLoop) -> Idle {
    let idle = Idle::new(event_loop);
    idle.start(|_, _| {}).expect("the handle is open");
    idle
}

/// Keeps the processor busy.
pub(crate) fn busy(duration: Duration) {
    let start = Instant::now();
    while start.elapsed() < duration {
        std::hint::spin_loop();
    }
}

/// An empty folder for one test, made anew. It is removed when the test's thread ends, however the test does.
pub(crate) fn temporary_folder(test: &str) -> std::path::PathBuf {
    thread_local! {
        static FOLDERS: RefCell<Vec<TemporaryFolder>> = const { RefCell::new(Vec::new()) };
    }
    let folder = std::env::temp_dir().join(format!("loopscope-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written to");
    FOLDERS.with_borrow_mut(|folders| folders.push(TemporaryFolder(folder.clone())));
    folder
}

struct TemporaryFolder(std::path::PathBuf);

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Collects what comes over a pipe until the end, then closes it.
pub(crate) fn collect(pipe: &Pipe) -> Rc<RefCell<Vec<u8>>> {
    let collected = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&collected);
    let collecting = pipe.read_start(move |_, pipe, read| match read.expect("the pipe can be read") {
        Read::Data(data) => into.borrow_mut().extend_from_slice(data),
        Read::End => pipe.close(),
    });
    collecting.expect("the pipe is open");
    collected
}

/// How many bytes the process holds; of a test whose allocator counts them.
pub(crate) fn live_bytes() -> u64 {
    let counts = loopscope_runtime::alloc::counts();
    counts.allocated_bytes - counts.freed_bytes
}

/// Says that a test is skipped, and why.
///
/// # Panics
/// With `CI=true`: there nothing may be skipped.
#[track_caller]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
pub(crate) fn skip(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "cannot be skipped where CI=true: {reason}"
    );
    eprintln!("SKIPPED at {}: {reason}", std::panic::Location::caller());
}

/// Opens files until there is no descriptor left, of at most 256.
pub(crate) fn use_up_descriptors() -> Vec<std::fs::File> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = Rlimit { current: Some(256), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).expect("a limit may be lowered");
    let mut files = Vec::new();
    loop {
        match std::fs::File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
                return files;
            }
        }
    }
}

/// How many descriptors the process has.
pub(crate) fn descriptor_count() -> usize {
    // One is the listing's own.
    std::fs::read_dir("/proc/self/fd").expect("there is /proc").count() - 1
}
