//! Signal handles.

use std::cell::RefCell;
use std::rc::Rc;

use model::label::HandleType;

use super::{HandleState, handle_methods};
use crate::caught::Place;
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;

/// Calls back for a signal that the process gets.
///
/// Any number of handles, also of several loops, may watch one signal, and each calls back each time that it comes; what
/// the system does at the signal by itself, such as ending the process, it does not do meanwhile. Callbacks run on the
/// loop, after everything else that the poll gave, and not in the signal handler. Several signals of the same number that
/// come before the process has a chance to run may be one: that is the system's.
///
/// Faults of the program itself (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`) must not be watched, and what the system does
/// not let be caught (`SIGKILL`, `SIGSTOP`) cannot.
///
/// ```
/// use loopscope_runtime::{EventLoop, RunMode, Signal};
///
/// let event_loop = EventLoop::new()?;
/// let signal = Signal::new(&event_loop);
/// signal.start(libc::SIGUSR2, |_, signal, number| {
///     assert_eq!(number, libc::SIGUSR2);
///     signal.close();
/// })?;
/// # loopscope_runtime::kill(std::process::id(), libc::SIGUSR2)?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Signal(Rc<SignalState>);

pub(crate) struct SignalState {
    handle: HandleState,
    place: RefCell<Option<Place>>,
    callback: RefCell<Option<SignalCallback>>,
}

type SignalCallback = Rc<RefCell<dyn FnMut(&EventLoop, &Signal, i32)>>;

handle_methods!(Signal);

impl Signal {
    /// A handle that was not started yet.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self(Rc::new(SignalState {
            handle: HandleState::new(event_loop, HandleType::Signal),
            place: RefCell::default(),
            callback: RefCell::default(),
        }))
        .registered()
    }

    /// Calls back whenever the signal comes. A handle that watches this signal already gets the new callback and loses
    /// nothing; one that watches another one no longer does.
    ///
    /// # Errors
    /// [`Error::Closed`]; `EINVAL` of a number that is no signal's, or of a signal that cannot be caught.
    pub fn start(
        &self,
        signal: i32,
        callback: impl FnMut(&EventLoop, &Signal, i32) + 'static,
    ) -> Result<(), Error> {
        self.0.start(signal, false, Rc::new(RefCell::new(callback)))
    }

    /// Calls back the next time that the signal comes, and then stops, as in libuv also where the callback has started the
    /// handle anew: an immediate can do that. Where nobody else watches the signal, the system's own reaction is back already
    /// when it comes a second time before the callback.
    ///
    /// # Errors
    /// Those of [`Signal::start`].
    pub fn start_once(
        &self,
        signal: i32,
        callback: impl FnMut(&EventLoop, &Signal, i32) + 'static,
    ) -> Result<(), Error> {
        self.0.start(signal, true, Rc::new(RefCell::new(callback)))
    }

    /// Calls back no more, also for what has come already.
    pub fn stop(&self) {
        self.0.stop_for_good();
    }

    /// The signal that the handle watches; `None` if it is stopped.
    pub fn number(&self) -> Option<i32> {
        self.0.place.borrow().as_ref().map(Place::signal)
    }
}

impl SignalState {
    fn start(self: &Rc<Self>, signal: i32, one_shot: bool, callback: SignalCallback) -> Result<(), Error> {
        self.handle.expect_open()?;
        let same = self.place.borrow().as_ref().is_some_and(|place| place.signal() == signal);
        if !same {
            self.stop_for_good();
            let core = self.handle.core();
            let place = core.caught.watch(core.inbox.sender(), signal, one_shot, Rc::clone(self))?;
            self.place.replace(Some(place));
            self.handle.set_active(true);
        }
        let replaced = self.callback.replace(Some(callback));
        drop(replaced);
        Ok(())
    }

    pub(crate) fn call_back(self: Rc<Self>, event_loop: &EventLoop, signal: i32) {
        let callback = self.callback.borrow().clone();
        let Some(callback) = callback else { return };
        let place = *self.place.borrow();
        let _once = place.filter(Place::is_one_shot).map(|_| StopOnce(&self));
        let handle = Signal(Rc::clone(&self));
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &handle, signal));
    }

    fn stop_for_good(&self) {
        let place = self.place.take();
        if let Some(place) = place {
            self.handle.set_active(false);
            self.handle.core().caught.unwatch(place);
        }
        self.abandon();
    }

    /// Lets go of the callback: the handle will not call back any more.
    pub(crate) fn abandon(&self) {
        let callback = self.callback.take();
        drop(callback);
    }
}

/// Stops a handle that wanted one call, after it, also if that panics.
struct StopOnce<'a>(&'a SignalState);

impl Drop for StopOnce<'_> {
    fn drop(&mut self) {
        self.0.stop_for_good();
    }
}

impl Close for SignalState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}
