//! Handles that watch a path by looking at it again and again.

use std::cell::RefCell;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::time::Duration;

use model::label::HandleType;
use model::time::Monotonic;

use super::timer::Timer;
use super::{HandleState, handle_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::fs::{self, FsError};
use crate::timers::whole_ns;

/// Calls back when what a path leads to has changed: for file systems that give no notices of changes, for which there is
/// [`FsEvent`](crate::FsEvent).
///
/// The path is looked at on the thread pool, and not again before an answer has come.
///
/// ```
/// use std::time::Duration;
/// use loopscope_runtime::{EventLoop, FsPoll, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// let path = std::env::temp_dir().join(format!("loopscope-doc-poll-{}", std::process::id()));
/// let poll = FsPoll::new(&event_loop);
/// let created = path.clone();
/// poll.start(&path, Duration::from_millis(5), move |_, poll, change| match change.current {
///     Err(error) => {
///         assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
///         std::fs::write(&created, "new").unwrap();
///     }
///     Ok(_) => poll.close(),
/// })?;
/// event_loop.run(RunMode::Default);
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct FsPoll(Rc<FsPollState>);

/// What a path led to, and what it leads to.
#[derive(Clone, Copy, Debug)]
pub struct FsPollChange<'a> {
    /// What was there when it was last there; `None` if it has not been since the start.
    pub previous: Option<&'a Metadata>,
    /// What is there now, or why nothing is.
    pub current: Result<&'a Metadata, &'a FsError>,
}

type PollCallback = Rc<RefCell<dyn FnMut(&EventLoop, &FsPoll, FsPollChange<'_>)>>;

struct FsPollState {
    handle: HandleState,
    polling: RefCell<Option<Polling>>,
    /// For the time between two looks.
    timer: Timer,
}

struct Polling {
    path: PathBuf,
    interval: Duration,
    callback: PollCallback,
    /// When the path was last looked at, by the loop's time.
    looked: Monotonic,
    last: Last,
    previous: Option<Metadata>,
    /// Tells this start from others, whose looks may still be under way.
    start: Rc<()>,
}

/// What the last look showed.
enum Last {
    /// There was none yet.
    Nothing,
    Found,
    Failed(FsError),
}

handle_methods!(FsPoll);

impl FsPoll {
    /// A handle that was not started yet.
    pub fn new(event_loop: &EventLoop) -> Self {
        let timer = Timer::new(event_loop).internal();
        timer.unreference();
        Self(Rc::new(FsPollState {
            handle: HandleState::new(event_loop, HandleType::FsPoll),
            polling: RefCell::default(),
            timer,
        }))
        .registered()
    }

    /// Looks at the path at once, also if the handle is unreferenced, and then at every multiple of the interval, which is at least a
    /// millisecond. Calls back when its times, size, owner, permissions or identity are other than before, when it has gone,
    /// and when it is there again. The first look is what others are compared with: of it the callback is told only where it
    /// failed.
    ///
    /// # Errors
    /// [`Error::Closed`], or [`Error::Busy`] if the handle looks at something already.
    pub fn start(
        &self,
        path: impl AsRef<Path>,
        interval: Duration,
        callback: impl FnMut(&EventLoop, &FsPoll, FsPollChange<'_>) + 'static,
    ) -> Result<(), Error> {
        self.0.handle.expect_open()?;
        if self.is_active() {
            return Err(Error::Busy);
        }
        self.0.polling.replace(Some(Polling {
            path: path.as_ref().to_owned(),
            interval: interval.max(Duration::from_millis(1)),
            callback: Rc::new(RefCell::new(callback)),
            looked: Monotonic::default(),
            last: Last::Nothing,
            previous: None,
            start: Rc::new(()),
        }));
        self.0.handle.set_active(true);
        self.0.look(&EventLoop::of(self.0.handle.core()));
        Ok(())
    }

    /// Looks no more, and calls back no more, also for a look that is under way.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// What is looked at; `None` if the handle is stopped.
    pub fn path(&self) -> Option<PathBuf> {
        self.0.polling.borrow().as_ref().map(|polling| polling.path.clone())
    }
}

impl FsPollState {
    /// Looks at the path.
    fn look(self: &Rc<Self>, event_loop: &EventLoop) {
        let (path, start) = {
            let mut polling = self.polling.borrow_mut();
            let Some(polling) = polling.as_mut() else { return };
            polling.looked = event_loop.now();
            (polling.path.clone(), Rc::downgrade(&polling.start))
        };
        let handle = Rc::clone(self);
        fs::stat(event_loop, path, move |event_loop, found| handle.looked(event_loop, &start, found));
    }

    /// The answer of a look.
    fn looked(self: &Rc<Self>, event_loop: &EventLoop, start: &Weak<()>, found: Result<Metadata, FsError>) {
        let Some((callback, previous)) = self.take_in(start, &found) else { return };
        // Also after a panic in the callback.
        let _next = LookAgain { handle: self, event_loop, start };
        let Some(callback) = callback else { return };
        let change = FsPollChange { previous: previous.as_ref(), current: found.as_ref() };
        let handle = FsPoll(Rc::clone(self));
        // The tick queue is drained behind it by whoever calls back for the look's request.
        callback.borrow_mut()(event_loop, &handle, change);
    }

    /// Keeps what was found. Gives the callback if there is something to tell, and what was there before; `None` if this
    /// start has been stopped.
    fn take_in(
        &self,
        start: &Weak<()>,
        found: &Result<Metadata, FsError>,
    ) -> Option<(Option<PollCallback>, Option<Metadata>)> {
        let mut polling = self.polling.borrow_mut();
        let polling = polling.as_mut().filter(|polling| Rc::as_ptr(&polling.start) == start.as_ptr())?;
        let previous = polling.previous.clone();
        let news = match (&polling.last, found) {
            (Last::Nothing, Ok(_)) => false,
            (Last::Found, Ok(found)) => previous.as_ref().is_some_and(|previous| differ(previous, found)),
            (Last::Failed(before), Err(error)) => before.code() != error.code(),
            (Last::Failed(_), Ok(_)) | (Last::Nothing | Last::Found, Err(_)) => true,
        };
        match found {
            Ok(found) => {
                polling.last = Last::Found;
                polling.previous = Some(found.clone());
            }
            Err(error) => polling.last = Last::Failed(error.clone()),
        }
        Some((news.then(|| Rc::clone(&polling.callback)), previous))
    }

    fn look_after(self: &Rc<Self>, time: Duration) -> Result<(), Error> {
        // Between two looks the timer holds on to the handle, during one the request.
        let handle = Rc::clone(self);
        self.timer.start(time, move |event_loop, timer| {
            handle.look(event_loop);
            timer.forget_callback();
        })
    }

    fn stop(&self) {
        self.handle.set_active(false);
        let polling = self.polling.take();
        drop(polling);
        self.timer.stop();
        self.timer.forget_callback();
    }

    fn stop_for_good(&self) {
        self.stop();
        self.timer.close();
    }
}

/// Sets the timer for the next look, unless the handle was stopped.
struct LookAgain<'a> {
    handle: &'a Rc<FsPollState>,
    event_loop: &'a EventLoop,
    start: &'a Weak<()>,
}

impl Drop for LookAgain<'_> {
    fn drop(&mut self) {
        let next = {
            let polling = self.handle.polling.borrow();
            let same = |polling: &&Polling| Rc::as_ptr(&polling.start) == self.start.as_ptr();
            let Some(polling) = polling.as_ref().filter(same) else { return };
            let interval_ns = whole_ns(polling.interval);
            // The time that looking took does not add up.
            let since_ns = self.event_loop.now().since_ns(polling.looked);
            Duration::from_nanos(interval_ns - since_ns % interval_ns)
        };
        // The handle is open, and so is its timer.
        let _ = self.handle.look_after(next);
    }
}

impl Close for FsPollState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}

fn differ(one: &Metadata, other: &Metadata) -> bool {
    let seen = |file: &Metadata| {
        let changed = (file.ctime(), file.ctime_nsec(), file.mtime(), file.mtime_nsec());
        (
            changed,
            file.created().ok(),
            file.size(),
            file.mode(),
            file.uid(),
            file.gid(),
            file.ino(),
            file.dev(),
        )
    };
    seen(one) != seen(other)
}
