//! TCP listeners.
//!
//! When the process, or the system, has no descriptor left for a connection, the listener says so to its callback and
//! looks away for a moment: the connection stays in the backlog, where it keeps the socket ready, so that a loop which
//! only tried again would spin. Refused: libuv's trick of accepting and dropping such connections with a descriptor kept in
//! reserve, which tells clients sooner but throws away what could be served a moment later.

use std::cell::{OnceCell, RefCell};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use model::label::HandleType;
use rustix::io::Errno;

use super::tcp::TcpStream;
use super::timer::Timer;
use super::{HandleState, handle_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::poller::{Registration, Watcher};
use crate::sys::epoll::Readiness;
use crate::sys::socket;

/// How many connections are accepted in a row before others get their turn.
const ACCEPT_ROUNDS: usize = 64;

/// How long a listener looks away when there is no descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(100);

type ConnectionCallback = Rc<RefCell<dyn FnMut(&EventLoop, &TcpListener, Result<TcpStream, Error>)>>;

/// Accepts TCP connections.
///
/// ```
/// use loopscope_runtime::{EventLoop, Read, RunMode, TcpListener, TcpStream};
///
/// let event_loop = EventLoop::new()?;
/// let listener = TcpListener::bind(&event_loop, "127.0.0.1:0".parse().unwrap())?;
/// listener.listen(128, |_, listener, connection| {
///     let stream = connection.unwrap();
///     stream.write("hello", |_, stream, _| stream.close()).unwrap();
///     listener.close();
/// })?;
/// let client = TcpStream::connect(&event_loop, listener.local_address()?, |_, _, result| result.unwrap())?;
/// client.read_start(|_, _, read| match read {
///     Ok(Read::Data(data)) => assert_eq!(data, b"hello"),
///     Ok(Read::End) => {}
///     Err(error) => panic!("{error}"),
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct TcpListener(Rc<ListenerState>);

struct ListenerState {
    handle: HandleState,
    /// `None` once the listener is closed.
    socket: RefCell<Option<Rc<OwnedFd>>>,
    registration: Registration,
    callback: RefCell<Option<ConnectionCallback>>,
    /// Ends a pause. Made by the first one.
    pause: OnceCell<Timer>,
}

handle_methods!(TcpListener);

impl TcpListener {
    /// Takes an address; port 0 lets the system choose one. Nobody can connect before [`TcpListener::listen`].
    ///
    /// # Errors
    /// Where the address is taken, not one of this host, or not allowed to this user.
    pub fn bind(event_loop: &EventLoop, address: SocketAddr) -> Result<Self, Error> {
        let socket = socket::tcp(address).map_err(|errno| Error::system("socket", errno))?;
        socket::reuse_address(&socket).map_err(|errno| Error::system("setsockopt", errno))?;
        socket::bind(&socket, address).map_err(|errno| Error::system("bind", errno))?;
        let listener = Self(Rc::new(ListenerState {
            handle: HandleState::new(event_loop, HandleType::Tcp),
            socket: RefCell::new(Some(Rc::new(socket))),
            registration: Registration::default(),
            callback: RefCell::default(),
            pause: OnceCell::new(),
        }));
        Ok(listener.registered())
    }

    /// Calls back for every connection from now on. `backlog` connections may wait in the kernel.
    ///
    /// The callback gets an error where a connection could not be accepted, most often because there are too many open
    /// files; the listener goes on.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] if the listener listens already, or what the system says.
    pub fn listen(
        &self,
        backlog: u32,
        callback: impl FnMut(&EventLoop, &TcpListener, Result<TcpStream, Error>) + 'static,
    ) -> Result<(), Error> {
        let socket = self.0.socket()?;
        if self.0.callback.borrow().is_some() {
            return Err(Error::Busy);
        }
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        socket::listen(&*socket, backlog).map_err(|errno| Error::system("listen", errno))?;
        self.0.watch(Readiness::READABLE)?;
        self.0.callback.replace(Some(Rc::new(RefCell::new(callback))));
        self.0.handle.set_active(true);
        Ok(())
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        socket::local_address(self.0.socket()?).map_err(|errno| Error::system("getsockname", errno))
    }
}

impl ListenerState {
    fn socket(&self) -> Result<Rc<OwnedFd>, Error> {
        self.handle.expect_open()?;
        self.socket.borrow().clone().ok_or(Error::Closed)
    }

    fn watch(self: &Rc<Self>, wanted: Readiness) -> Result<(), Error> {
        let socket = self.socket()?;
        self.handle.core().poller.want(self, &socket, &self.registration, wanted)
    }

    fn call_back(self: &Rc<Self>, event_loop: &EventLoop, result: Result<TcpStream, Error>) {
        let callback = self.callback.borrow().clone();
        let Some(callback) = callback else { return };
        let listener = TcpListener(Rc::clone(self));
        event_loop.call(|event_loop| callback.borrow_mut()(event_loop, &listener, result));
    }

    /// Looks away for a moment.
    fn pause(self: &Rc<Self>, event_loop: &EventLoop) -> Result<(), Error> {
        self.watch(Readiness::default())?;
        let timer = self.pause.get_or_init(|| Timer::new(event_loop));
        timer.unreference();
        let listener = Rc::downgrade(self);
        timer.start(PAUSE, move |event_loop, _| {
            let Some(listener) = listener.upgrade() else { return };
            if let Err(error) = listener.watch(Readiness::READABLE)
                && error != Error::Closed
            {
                listener.call_back(event_loop, Err(error));
            }
        })
    }

    fn stop_for_good(&self) {
        self.handle.core().poller.forget(&self.registration);
        self.handle.set_active(false);
        self.abandon();
        let socket = self.socket.take();
        drop(socket);
        if let Some(timer) = self.pause.get() {
            timer.close();
        }
    }
}

impl Watcher for ListenerState {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, _: Readiness) {
        for _ in 0..ACCEPT_ROUNDS {
            let Ok(socket) = self.socket() else { return };
            match socket::accept(&*socket) {
                Ok(connection) => {
                    self.call_back(event_loop, Ok(TcpStream::from_socket(event_loop, connection)));
                }
                Err(Errno::AGAIN) => return,
                // The peer gave up while it waited.
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => {
                    let error = Error::system("accept", errno);
                    let paused = self.pause(event_loop);
                    self.call_back(event_loop, Err(paused.err().unwrap_or(error)));
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
