//! Terminals.

use std::os::fd::AsFd;
use std::rc::Rc;

use model::label::HandleType;

use super::handle_methods;
use super::stream::{StreamState, stream_methods};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::sys::transport::Transport;
use crate::sys::tty::{self, Changed, TtyMode};

/// A terminal as a stream.
///
/// The terminal is opened anew, so that other programs that share the descriptor, such as the shell, do not notice that
/// this one does not wait in its reads and writes. Its mode belongs to the terminal: it gets the one that it had back when
/// the handle is closed or dropped. A program that may end otherwise calls [`Tty::reset_mode`] before.
///
/// ```no_run
/// use loopscope_runtime::{EventLoop, Read, RunMode, Tty, TtyMode};
///
/// let event_loop = EventLoop::new()?;
/// let keyboard = Tty::new(&event_loop, std::io::stdin())?;
/// keyboard.set_mode(TtyMode::Raw)?;
/// keyboard.read_start(|_, keyboard, read| match read {
///     Ok(Read::Data(b"q")) | Ok(Read::End) | Err(_) => keyboard.close(),
///     Ok(Read::Data(keys)) => println!("{keys:?}\r"),
/// })?;
/// event_loop.run(RunMode::Default);
/// # Ok::<(), loopscope_runtime::Error>(())
/// ```
#[derive(Clone)]
pub struct Tty(Rc<StreamState>);

handle_methods!(Tty);
stream_methods!(Tty);

impl Tty {
    /// A handle of the terminal behind a descriptor, which is left as it is. Where a terminal cannot be opened anew, which
    /// is so of the outer side of a pseudo-terminal, writing waits until it is done.
    ///
    /// # Errors
    /// `ENOTTY` if it is no terminal, or what the system says.
    pub fn new(event_loop: &EventLoop, descriptor: impl AsFd) -> Result<Self, Error> {
        let opened = tty::open_anew(descriptor).map_err(|errno| Error::system("open", errno))?;
        let stream = StreamState::new(event_loop, HandleType::Tty, Transport::File);
        let tty = Self(stream).registered();
        tty.0.open(opened)?;
        Ok(tty)
    }

    /// Changes the terminal's mode.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn set_mode(&self, mode: TtyMode) -> Result<(), Error> {
        let descriptor = self.0.descriptor()?;
        let mut changed = self.0.terminal.borrow_mut();
        if changed.as_ref().map_or(TtyMode::Normal, Changed::mode) == mode {
            return Ok(());
        }
        let failed = |errno| Error::system("tcsetattr", errno);
        let mut now = match changed.take() {
            Some(changed) => changed,
            None => Changed::new(descriptor).map_err(failed)?,
        };
        let set = now.set(mode).map_err(failed);
        *changed = (now.mode() != TtyMode::Normal).then_some(now);
        set
    }

    /// The terminal's columns and rows. `SIGWINCH` tells that they have changed.
    ///
    /// # Errors
    /// [`Error::Closed`], or what the system says.
    pub fn window_size(&self) -> Result<(u16, u16), Error> {
        tty::window_size(&*self.0.descriptor()?).map_err(|errno| Error::system("ioctl", errno))
    }

    /// Gives the first terminal whose mode was changed the one back that it had: for the end of the program. Waits for
    /// nothing, so it may be called where the program was interrupted.
    ///
    /// # Errors
    /// `EBUSY` if a mode is being changed just then; what the system says.
    pub fn reset_mode() -> Result<(), Error> {
        tty::reset().map_err(|errno| Error::system("tcsetattr", errno))
    }
}
