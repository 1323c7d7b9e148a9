//! What all listeners share: accepting connections.
//!
//! When the process, or the system, has no descriptor left for a connection, the listener says so to its callback and
//! looks away for a moment: the connection stays in the backlog, where it keeps the socket ready, so that a loop which
//! only tried again would spin. What libuv does instead is there for those who ask: it accepts and drops such connections
//! with a descriptor kept in reserve, which tells clients sooner but throws away what could be served a moment later.

use std::cell::{Cell, OnceCell, RefCell};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use model::label::HandleType;
use rustix::io::Errno;

use super::HandleState;
use super::timer::Timer;
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::poller::{Registration, Watcher};
use crate::sys::epoll::{Event, Readiness};
use crate::sys::{descriptor, socket};

/// How many connections are accepted in a row before others get their turn.
const ACCEPT_ROUNDS: usize = 64;

/// How long a listener looks away when there is no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) type ConnectionCallback =
    Rc<RefCell<dyn FnMut(&EventLoop, &Rc<ListenerState>, Result<OwnedFd, Error>)>>;

pub(crate) struct ListenerState {
    pub(crate) handle: HandleState,
    /// `None` once the listener is closed.
    socket: RefCell<Option<Rc<OwnedFd>>>,
    /// What the socket is called in the file system: it goes with the listener.
    path: RefCell<Option<PathBuf>>,
    registration: Registration,
    callback: RefCell<Option<ConnectionCallback>>,
    /// Ends a pause. Made by the first one.
    pause: OnceCell<Timer>,
    /// The last iteration in which connections were accepted, and how many at most.
    accepted: Cell<(u64, usize)>,
    refuses: Cell<bool>,
    /// Given up for a moment to refuse a connection.
    reserve: RefCell<Option<OwnedFd>>,
}

impl ListenerState {
    /// A listener of a socket that is bound.
    pub(crate) fn new(
        event_loop: &EventLoop,
        handle_type: HandleType,
        socket: OwnedFd,
        path: Option<PathBuf>,
    ) -> Rc<Self> {
        Rc::new(Self {
            handle: HandleState::new(event_loop, handle_type),
            socket: RefCell::new(Some(Rc::new(socket))),
            path: RefCell::new(path),
            registration: Registration::default(),
            callback: RefCell::default(),
            pause: OnceCell::new(),
            accepted: Cell::default(),
            refuses: Cell::default(),
            reserve: RefCell::default(),
        })
    }

    pub(crate) fn socket(&self) -> Result<Rc<OwnedFd>, Error> {
        self.handle.expect_open()?;
        self.socket.borrow().clone().ok_or(Error::Closed)
    }

    pub(crate) fn listen(self: &Rc<Self>, backlog: u32, callback: ConnectionCallback) -> Result<(), Error> {
        let socket = self.socket()?;
        if self.callback.borrow().is_some() {
            return Err(Error::Busy);
        }
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        socket::listen(&*socket, backlog).map_err(|errno| Error::system("listen", errno))?;
        self.watch(Readiness::READABLE)?;
        self.callback.replace(Some(callback));
        self.handle.set_active(true);
        Ok(())
    }

    /// Whether connections are refused for which there is no descriptor.
    pub(crate) fn set_refuses(&self, refuses: bool) -> Result<(), Error> {
        self.refuses.set(refuses);
        let reserve = if refuses { Some(descriptor::spare()) } else { None };
        let reserve = reserve.transpose().map_err(|errno| Error::system("open", errno))?;
        self.reserve.replace(reserve);
        Ok(())
    }

    fn watch(self: &Rc<Self>, wanted: Readiness) -> Result<(), Error> {
        let socket = self.socket()?;
        self.handle.core().poller.want(self, &socket, &self.registration, wanted)
    }

    fn call_back(self: &Rc<Self>, event_loop: &EventLoop, result: Result<OwnedFd, Error>) {
        let callback = self.callback.borrow().clone();
        let Some(callback) = callback else { return };
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, self, result));
    }

    /// How many connections to accept: one, since asking in vain whether there is a second costs as much as the next poll's
    /// answer; twice as many each time that the poll has that answer at once.
    fn accept_rounds(&self, event_loop: &EventLoop) -> usize {
        let iteration = event_loop.core.counts.iterations.get();
        let (last, rounds) = self.accepted.get();
        let rounds = if iteration == last + 1 { (2 * rounds).clamp(1, ACCEPT_ROUNDS) } else { 1 };
        self.accepted.set((iteration, rounds));
        rounds
    }

    /// Takes and drops what waits, in the place of the descriptor that is kept for this. Gives whether it could.
    fn refuse(&self, socket: &OwnedFd) -> bool {
        if self.reserve.take().is_none() {
            return false;
        }
        for _ in 0..ACCEPT_ROUNDS {
            match socket::accept(socket) {
                Ok(connection) => drop(connection),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => break,
            }
        }
        // If another thread took the descriptor meanwhile there is none in reserve, and the next time is a pause.
        self.reserve.replace(descriptor::spare().ok());
        true
    }

    /// Looks away for a moment.
    fn pause(self: &Rc<Self>, event_loop: &EventLoop) -> Result<(), Error> {
        self.watch(Readiness::NONE)?;
        let timer = self.pause.get_or_init(|| Timer::new(event_loop).internal());
        timer.unreference();
        // While the poller does not hold on to the listener the timer does.
        let listener = Rc::clone(self);
        timer.start(PAUSE, move |event_loop, timer| {
            timer.forget_callback();
            if listener.refuses.get() && listener.reserve.borrow().is_none() {
                listener.reserve.replace(descriptor::spare().ok());
            }
            if let Err(error) = listener.watch(Readiness::READABLE)
                && error != Error::Closed
            {
                listener.call_back(event_loop, Err(error));
            }
        })
    }

    pub(crate) fn stop_for_good(&self) {
        self.handle.core().poller.forget(&self.registration);
        self.handle.set_active(false);
        self.abandon();
        self.remove_path();
        let (socket, reserve) = (self.socket.take(), self.reserve.take());
        drop((socket, reserve));
        if let Some(timer) = self.pause.get() {
            timer.close();
        }
    }

    /// Before the socket is closed, as in libuv: afterwards the name may be another's.
    fn remove_path(&self) {
        if let Some(path) = self.path.take() {
            // Who removed it before did what is wanted.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for ListenerState {
    fn drop(&mut self) {
        self.remove_path();
    }
}

impl Watcher for ListenerState {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, _: Event) {
        for _ in 0..self.accept_rounds(event_loop) {
            let Ok(socket) = self.socket() else { return };
            match socket::accept(&*socket) {
                Ok(connection) => self.call_back(event_loop, Ok(connection)),
                Err(Errno::AGAIN) => return,
                // The peer gave up while it waited.
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => {
                    let error = Error::system("accept", errno);
                    let exhausted = matches!(errno, Errno::MFILE | Errno::NFILE);
                    let error = match exhausted && self.refuse(&socket) {
                        true => error,
                        false => self.pause(event_loop).err().unwrap_or(error),
                    };
                    self.call_back(event_loop, Err(error));
                    return;
                }
            }
        }
    }

    fn abandon(&self) {
        let callback = self.callback.take();
        drop(callback);
    }
}

impl Close for ListenerState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }
}

/// The public methods that all listeners have; `$listener` is a tuple of its [`ListenerState`], `$stream` what it accepts.
macro_rules! listener_methods {
    ($listener:ident accepts $stream:ident) => {
        impl $listener {
            /// Calls back for every connection from now on. `backlog` connections may wait in the kernel.
            ///
            /// The callback gets an error where a connection could not be accepted, most often because there are too many
            /// open files; the listener goes on.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed), [`Error::Busy`](crate::Error::Busy) if the listener listens already,
            /// or what the system says.
            pub fn listen(
                &self,
                backlog: u32,
                mut callback: impl FnMut(&$crate::EventLoop, &$listener, Result<$stream, $crate::Error>)
                + 'static,
            ) -> Result<(), $crate::Error> {
                let callback =
                    move |event_loop: &$crate::EventLoop,
                          state: &std::rc::Rc<$crate::handle::listener::ListenerState>,
                          connection: Result<std::os::fd::OwnedFd, $crate::Error>| {
                        let connection = connection.map(|socket| $stream::accepted(event_loop, socket));
                        callback(event_loop, &$listener(std::rc::Rc::clone(state)), connection);
                    };
                self.0.listen(backlog, std::rc::Rc::new(std::cell::RefCell::new(callback)))
            }

            /// Whether connections are taken and dropped while the process has no descriptor for them, as libuv does it, with
            /// a descriptor that is kept for this. Otherwise, as at the beginning, they wait until there are some again.
            /// Either way the callback is told.
            ///
            /// # Errors
            /// Where there is no descriptor to be kept.
            pub fn refuse_without_descriptors(&self, refuse: bool) -> Result<(), $crate::Error> {
                self.0.set_refuses(refuse)
            }

            /// The listening socket.
            ///
            /// # Errors
            /// [`Error::Closed`](crate::Error::Closed).
            pub fn descriptor(&self) -> Result<std::rc::Rc<std::os::fd::OwnedFd>, $crate::Error> {
                self.0.socket()
            }
        }
    };
}
pub(crate) use listener_methods;
