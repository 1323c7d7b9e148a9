//! Listeners on UNIX sockets.

use std::rc::Rc;

use model::label::HandleType;

use super::handle_methods;
use super::listener::{ListenerState, listener_methods};
use super::pipe::Pipe;
use super::pipe_name::PipeName;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::unix;

/// Accepts connections on a UNIX socket.
///
/// A path that it was bound to is removed when it is closed or dropped. One that an earlier process left behind is not:
/// the program removes it, once it knows that nobody uses it.
///
/// ```
/// use loopscope_runtime::{EventLoop, Pipe, PipeListener, PipeName, Read, RunMode};
///
/// let event_loop = EventLoop::new()?;
/// let listener = PipeListener::bind(&event_loop, PipeName::Any)?;
/// let name = listener.local_name()?.unwrap();
/// listener.listen(128, |_, listener, connection| {
///     connection.unwrap().write("hello", |_, pipe, _| pipe.close()).unwrap();
///     listener.close();
/// })?;
/// let client = Pipe::connect(&event_loop, name, |_, _, result| result.unwrap());
/// client.read_start(|_, client, read| match read.unwrap() {
///     Read::Data(data) => assert_eq!(data, b"hello"),
///     Read::End => client.close(),
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct PipeListener(Rc<ListenerState>);

handle_methods!(PipeListener);
listener_methods!(PipeListener accepts Pipe);

impl PipeListener {
    /// Takes a name. Nobody can connect before [`PipeListener::listen`].
    ///
    /// # Errors
    /// Where the name is taken or not allowed.
    pub fn bind(event_loop: &EventLoop, name: impl Into<PipeName>) -> Result<Self, Error> {
        let name = name.into();
        let socket = unix::socket().map_err(|errno| Error::system("socket", errno))?;
        unix::bind(&socket, &name).map_err(|errno| Error::system("bind", errno))?;
        let path = match name {
            PipeName::Path(path) => Some(path),
            PipeName::Abstract(_) | PipeName::Any => None,
        };
        Ok(Self(ListenerState::new(event_loop, HandleType::Pipe, socket, path)).registered())
    }

    /// Lets everybody read, or write, or both; connecting needs writing. Does nothing for abstract names, to which everybody
    /// may connect.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn add_permissions(&self, readable: bool, writable: bool) -> Result<(), Error> {
        match self.local_name()? {
            Some(PipeName::Path(path)) => unix::add_permissions(&path, readable, writable)
                .map_err(|errno| Error::system("chmod", errno)),
            _ => Ok(()),
        }
    }

    /// The name that was taken.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn local_name(&self) -> Result<Option<PipeName>, Error> {
        unix::local_name(&*self.0.socket()?).map_err(|errno| Error::system("getsockname", errno))
    }
}
