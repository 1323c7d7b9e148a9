//! Poll handles: any descriptor that the kernel can watch.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use model::label::HandleType;
use rustix::io::Errno;

use super::{HandleState, handle_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::poller::{Registration, Watcher};
use crate::sys::descriptor;
use crate::sys::epoll::{Event, Readiness};

/// Calls back while a descriptor is ready: for libraries that do their own reading and writing.
///
/// The handle keeps what holds the descriptor until it is closed; a program that needs it too gives it an
/// [`Rc`] of it.
///
/// ```
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
/// use std::rc::Rc;
/// use loopscope_runtime::{EventLoop, Poll, Readiness, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// let (mut one, other) = UnixStream::pair().unwrap();
/// let other = Rc::new(other);
/// let poll = Poll::new(&event_loop, Rc::clone(&other))?;
/// poll.start(Readiness::READABLE, move |_, poll, ready| {
///     assert!(ready.unwrap().readable);
///     let mut data = [0; 5];
///     (&*other).read_exact(&mut data).unwrap();
///     poll.close();
/// })?;
/// one.write_all(b"hello").unwrap();
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Poll(Rc<PollState>);

struct PollState {
    handle: HandleState,
    /// `None` once the handle is closed.
    descriptor: RefCell<Option<Rc<Descriptor>>>,
    registration: Registration,
    callback: RefCell<Option<PollCallback>>,
}

type PollCallback = Rc<RefCell<dyn FnMut(&EventLoop, &Poll, Result<Readiness, Error>)>>;

/// Whatever holds a descriptor.
struct Descriptor(Box<dyn AsFd>);

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

handle_methods!(Poll);

impl Poll {
    /// A handle for a descriptor, which no longer blocks then, also for others that share it.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(event_loop: &EventLoop, descriptor: impl AsFd + 'static) -> Result<Self, Error> {
        descriptor::set_blocking(&descriptor, false).map_err(|errno| Error::system("fcntl", errno))?;
        Ok(Self(Rc::new(PollState {
            handle: HandleState::new(event_loop, HandleType::Poll),
            descriptor: RefCell::new(Some(Rc::new(Descriptor(Box::new(descriptor))))),
            registration: Registration::default(),
            callback: RefCell::default(),
        }))
        .registered())
    }

    /// Calls back, in every iteration, while something of what is wanted is so; it is told what. A handle that was started
    /// wants this from now on, instead of what it wanted before; nothing stops it.
    ///
    /// The callback gets an error, and the handle is stopped, where something is wrong with the descriptor that is not told
    /// by reading or writing.
    ///
    /// # Errors
    /// [`Error::Closed`]; what the system says: regular files cannot be watched (`EPERM`), and no descriptor by two handles
    /// (`EEXIST`).
    pub fn start(
        &self,
        wanted: Readiness,
        callback: impl FnMut(&EventLoop, &Poll, Result<Readiness, Error>) + 'static,
    ) -> Result<(), Error> {
        self.0.handle.expect_open()?;
        if wanted.is_none() {
            self.stop();
            return Ok(());
        }
        let descriptor = self.0.descriptor.borrow().clone().ok_or(Error::Closed)?;
        self.0.handle.core().poller.want(&self.0, &descriptor, &self.0.registration, wanted)?;
        let replaced = self.0.callback.replace(Some(Rc::new(RefCell::new(callback))));
        self.0.handle.set_active(true);
        drop(replaced);
        Ok(())
    }

    /// Calls back no more, also for what is ready already. The descriptor may be closed then, or watched by another handle.
    pub fn stop(&self) {
        self.0.stop();
    }
}

impl PollState {
    fn stop(&self) {
        self.handle.core().poller.forget(&self.registration);
        self.handle.set_active(false);
        self.abandon();
    }

    fn stop_for_good(&self) {
        self.stop();
        let descriptor = self.descriptor.take();
        drop(descriptor);
    }
}

impl Watcher for PollState {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, event: Event) {
        let callback = self.callback.borrow().clone();
        let Some(callback) = callback else { return };
        // An error that comes with something urgent is how files of the kernel tell of changes.
        let result = if event.failed && !event.ready.prioritized {
            self.stop();
            Err(Error::system("epoll_wait", Errno::BADF))
        } else {
            Ok(event.ready)
        };
        let poll = Poll(self);
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &poll, result));
    }

    fn abandon(&self) {
        let callback = self.callback.take();
        drop(callback);
    }
}

impl Close for PollState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}
