//! UDP sockets.

mod options;
mod receiving;
mod send_queue;
mod sending;

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use model::label::HandleType;

pub use self::options::Interface;
use self::receiving::Receiving;
pub use self::receiving::{ReceiveOptions, Received};
use self::send_queue::SendQueue;
use super::binding::{self, BindOptions};
use super::{HandleState, handle_methods, socket_methods};
use crate::closing::Close;
use crate::error::Error;
use crate::event_loop::{EventLoop, Pending};
use crate::poller::{Registration, Watcher};
use crate::sys::epoll::{Event, Readiness};
use crate::sys::{datagram, descriptor, socket};

/// A UDP socket. It is active while it receives, and while something is on its way out.
///
/// ```
/// use loopscope_runtime::{EventLoop, Received, RunMode, Udp};
///
/// let event_loop = EventLoop::new()?;
/// let server = Udp::new(&event_loop);
/// server.bind("127.0.0.1:0".parse().unwrap())?;
/// server.receive_start(|_, server, received| {
///     let Ok(Received::Datagram { data, from, .. }) = received else { return };
///     server.send(data.to_vec(), from, |_, server, _| server.close()).unwrap();
/// })?;
///
/// let client = Udp::new(&event_loop);
/// client.send("hello", server.local_address()?, |_, _, result| result.unwrap())?;
/// client.receive_start(|_, client, received| {
///     assert!(matches!(received, Ok(Received::Datagram { data: b"hello", .. })));
///     client.close();
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Udp(Rc<UdpState>);

pub(crate) struct UdpState {
    handle: HandleState,
    /// `None` before the socket is needed for the first time, and once the handle is closed.
    socket: RefCell<Option<Rc<OwnedFd>>>,
    ipv6: Cell<bool>,
    connected: Cell<bool>,
    registration: Registration,
    receiving: RefCell<Option<Receiving>>,
    sends: RefCell<SendQueue>,
    /// Whether send callbacks run: what they send waits for its turn.
    calling_back: Cell<bool>,
    /// Whether the handle stands in the loop's queue of what was put off.
    put_off: Cell<bool>,
}

handle_methods!(Udp);
socket_methods!(Udp);

impl Udp {
    /// A handle whose socket is made when it is needed.
    pub fn new(event_loop: &EventLoop) -> Self {
        Self(Rc::new(UdpState {
            handle: HandleState::new(event_loop, HandleType::Udp),
            socket: RefCell::default(),
            ipv6: Cell::default(),
            connected: Cell::default(),
            registration: Registration::default(),
            receiving: RefCell::default(),
            sends: RefCell::default(),
            calling_back: Cell::default(),
            put_off: Cell::default(),
        }))
        .registered()
    }

    /// Takes an address; port 0 lets the system choose one.
    ///
    /// # Errors
    /// [`Error::Closed`]; where the address is taken, not one of this host, or not allowed to this user.
    pub fn bind(&self, address: SocketAddr) -> Result<(), Error> {
        self.bind_with(address, BindOptions::default())
    }

    /// As [`Udp::bind`], with options.
    ///
    /// # Errors
    /// Those of [`Udp::bind`].
    pub fn bind_with(&self, address: SocketAddr, options: BindOptions) -> Result<(), Error> {
        binding::bind(&*self.0.socket_for(address)?, address, options)
    }

    /// Takes over a socket that was made elsewhere.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] if the handle has a socket already, or what the system says.
    pub fn open(&self, socket: OwnedFd) -> Result<(), Error> {
        self.0.handle.expect_open()?;
        if self.0.socket.borrow().is_some() {
            return Err(Error::Busy);
        }
        let address = socket::local_address(&socket).map_err(|errno| Error::system("getsockname", errno))?;
        descriptor::set_blocking(&socket, false).map_err(|errno| Error::system("fcntl", errno))?;
        self.0.ipv6.set(address.is_ipv6());
        self.0.connected.set(socket::peer_address(&socket).is_ok());
        self.0.socket.replace(Some(Rc::new(socket)));
        Ok(())
    }

    /// Sends to, and receives from, one address only from now on. Where nobody listens there, sending and receiving may
    /// tell so.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Busy`] if it is connected already, or what the system says.
    pub fn connect(&self, address: SocketAddr) -> Result<(), Error> {
        if self.0.connected.get() {
            return Err(Error::Busy);
        }
        let socket = self.0.socket_for(address)?;
        socket::connect(socket, address).map_err(|errno| Error::system("connect", errno))?;
        self.0.connected.set(true);
        Ok(())
    }

    /// Sends to and receives from any address again. Linux gives up a port that it chose itself: bind to one that is to
    /// stay.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] if it is not connected, or what the system says.
    pub fn disconnect(&self) -> Result<(), Error> {
        let socket = self.0.socket()?;
        if !self.0.connected.replace(false) {
            return Err(Error::NotOpen);
        }
        datagram::disconnect(socket).map_err(|errno| Error::system("connect", errno))
    }

    /// The address that was taken.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`] while there is none, or what the system says.
    pub fn local_address(&self) -> Result<SocketAddr, Error> {
        socket::local_address(self.0.socket()?).map_err(|errno| Error::system("getsockname", errno))
    }

    /// The address that the socket is connected to.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::NotOpen`], or what the system says: it may not be connected.
    pub fn peer_address(&self) -> Result<SocketAddr, Error> {
        socket::peer_address(self.0.socket()?).map_err(|errno| Error::system("getpeername", errno))
    }

    /// The handle's socket.
    ///
    /// # Errors
    /// [`Error::Closed`], or [`Error::NotOpen`] while there is none.
    pub fn descriptor(&self) -> Result<Rc<OwnedFd>, Error> {
        self.0.socket()
    }
}

impl UdpState {
    fn socket(&self) -> Result<Rc<OwnedFd>, Error> {
        self.handle.expect_open()?;
        self.socket.borrow().clone().ok_or(Error::NotOpen)
    }

    /// The handle's socket, made for the family of an address if there is none.
    fn socket_for(&self, address: SocketAddr) -> Result<Rc<OwnedFd>, Error> {
        match self.socket() {
            Err(Error::NotOpen) => {}
            result => return result,
        }
        let socket = Rc::new(socket::udp(address).map_err(|errno| Error::system("socket", errno))?);
        self.ipv6.set(address.is_ipv6());
        self.socket.replace(Some(Rc::clone(&socket)));
        Ok(socket)
    }

    /// A socket of the family of an address that has an address of its own, any one, as in libuv.
    fn bound_socket_for(&self, address: SocketAddr) -> Result<Rc<OwnedFd>, Error> {
        let had_none = matches!(self.socket(), Err(Error::NotOpen));
        let socket = self.socket_for(address)?;
        if had_none {
            let any = match address {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            socket::bind(&*socket, any).map_err(|errno| Error::system("bind", errno))?;
        }
        Ok(socket)
    }

    /// Tells the poller what the socket waits for, and the loop whether it does.
    fn update_interest(self: &Rc<Self>) -> Result<(), Error> {
        // One that is being closed waits for nothing, whatever is asked of it.
        if self.handle.is_closing() {
            return Ok(());
        }
        let readable = self.receiving.borrow().is_some();
        let writable = self.sends.borrow().waits();
        self.handle.set_active(readable || self.sends.borrow().count() > 0);
        let wanted = Readiness { readable, writable, ..Readiness::NONE };
        match &*self.socket.borrow() {
            Some(socket) => self.handle.core().poller.want(self, socket, &self.registration, wanted),
            None => Ok(()),
        }
    }

    fn put_off(self: &Rc<Self>) {
        if !self.put_off.replace(true) {
            self.handle.core().put_off(self.clone());
        }
    }

    fn stop_for_good(&self) {
        self.handle.core().poller.forget(&self.registration);
        self.handle.set_active(false);
        self.abandon();
        let socket = self.socket.take();
        drop(socket);
    }
}

impl Watcher for UdpState {
    fn ready(self: Rc<Self>, event_loop: &EventLoop, event: Event) {
        if event.reading_tells() {
            self.receive(event_loop);
        }
        if event.failed {
            self.receive_returned(event_loop);
        }
        if event.ready.writable || event.failed {
            self.send_on(event_loop);
        }
    }

    fn abandon(&self) {
        let receiving = self.receiving.take();
        drop(receiving);
    }
}

impl Pending for UdpState {
    fn run_pending(self: Rc<Self>, event_loop: &EventLoop) {
        self.put_off.set(false);
        self.send_on(event_loop);
    }
}

impl Close for UdpState {
    fn handle(&self) -> &HandleState {
        &self.handle
    }

    fn cancel_requests(self: Rc<Self>, event_loop: &EventLoop) {
        self.sends.borrow_mut().cancel();
        self.call_back_sends(event_loop);
    }
}
