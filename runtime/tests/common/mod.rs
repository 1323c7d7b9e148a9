//! What several tests need: a log of what called back, and a loop that cannot hang the test.

#![allow(dead_code, reason = "every test file uses another part")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use loopscope_runtime::{EventLoop, Idle, Timer};

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

/// An empty folder for one test, made anew.
pub(crate) fn temporary_folder(test: &str) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("loopscope-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written to");
    folder
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
