//! Async handles: how another thread makes a loop call back.

use std::cell::RefCell;
use std::rc::Rc;

use model::label::HandleType;

use super::{Callback, HandleState, handle_methods};
use crate::closing::Close;
use crate::event_loop::EventLoop;
use crate::wake_ups::{Place, Sender};

/// Calls back on the loop's thread when another thread asks for it.
///
/// It is active from its beginning until it is closed, so it keeps the loop alive unless it is unreferenced.
///
/// ```
/// use std::sync::mpsc;
/// use loopscope_runtime::{Async, EventLoop, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// let (results, incoming) = mpsc::channel();
/// let done = Async::new(&event_loop, move |_, done| {
///     assert_eq!(incoming.recv(), Ok(42));
///     done.close();
/// });
/// let sender = done.sender();
/// std::thread::spawn(move || {
///     results.send(42).unwrap();
///     sender.send();
/// });
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Async(Rc<AsyncState>);

/// Any thread's end of an [`Async`]. Copies send to the same handle.
#[derive(Clone)]
pub struct AsyncSender(Sender);

pub(crate) struct AsyncState {
    handle: HandleState,
    callback: RefCell<Option<Callback<Async>>>,
    place: Place,
    sender: Sender,
}

handle_methods!(Async);

impl Async {
    /// A handle that calls back, in the phase of the poll's callbacks, after [`AsyncSender::send`]. Made with a loop that has
    /// ended it is closed, as all handles are, and the callback is dropped.
    pub fn new(event_loop: &EventLoop, callback: impl FnMut(&EventLoop, &Async) + 'static) -> Self {
        let (place, sender) = event_loop.core.wake_ups.claim(event_loop.sender());
        let state = Rc::new(AsyncState {
            handle: HandleState::new(event_loop, HandleType::Async),
            callback: RefCell::new(Some(Rc::new(RefCell::new(callback)))),
            place,
            sender,
        });
        if event_loop.core.has_ended() {
            // Nobody would ever take it out of the list again, in which it would hold its own loop.
            state.abandon();
        } else {
            event_loop.core.wake_ups.occupy(place, Rc::clone(&state));
            state.handle.set_active(true);
        }
        Self(state).registered()
    }

    /// The end that another thread takes.
    pub fn sender(&self) -> AsyncSender {
        AsyncSender(self.0.sender.clone())
    }
}

impl AsyncSender {
    /// Makes the handle call back once, soon. Sends that come before it does so coalesce: the callback sees everything
    /// that was done before any of them. Once the handle is closed or its loop has ended, does nothing.
    ///
    /// Neither locks nor allocates; may be called in a signal handler.
    pub fn send(&self) {
        self.0.send();
    }
}

impl AsyncState {
    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn call_back(self: Rc<Self>, event_loop: &EventLoop) {
        let callback = self.callback.borrow().clone();
        let Some(callback) = callback else { return };
        let handle = Async(self);
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &handle));
    }

    fn stop_for_good(&self) {
        self.handle.set_active(false);
        self.handle.core().wake_ups.release(self.place);
        self.abandon();
    }

    /// Lets go of the callback: the handle will not call back any more.
    pub(crate) fn abandon(&self) {
        let callback = self.callback.take();
        drop(callback);
    }
}

impl Close for AsyncState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}
