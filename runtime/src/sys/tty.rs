//! Terminals: opening one for oneself, and their modes.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags, fcntl_getfl, open};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, isatty,
    tcgetattr, tcgetwinsize, tcsetattr, ttyname,
};

/// The first terminal whose mode was changed, and what it was: for [`reset`], which may come when nothing else is left.
static FIRST: Mutex<Option<(OwnedFd, Termios)>> = Mutex::new(None);

/// How a terminal treats what goes through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TtyMode {
    /// As it was: usually by lines, which it lets the user edit.
    #[default]
    Normal,
    /// Every key comes at once and is not shown; Ctrl-C is a key like others. What is written still gets carriage returns.
    Raw,
    /// Nothing is changed in either direction.
    Io,
}

/// Opens the terminal behind a descriptor anew, so that whether it blocks is nobody else's affair. The side of a
/// pseudo-terminal that is its user, and what has no name here, cannot be opened anew: those are shared, and block.
pub(crate) fn open_anew(descriptor: impl AsFd) -> Result<OwnedFd, Errno> {
    if !isatty(&descriptor) {
        return Err(Errno::NOTTY);
    }
    let mode = fcntl_getfl(&descriptor)? & OFlags::ACCMODE;
    let is_user_side = is_user_side(&descriptor);
    let anew = ttyname(&descriptor, Vec::new()).ok().filter(|_| !is_user_side).and_then(|name| {
        let flags = mode | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        open(&*name, flags, Mode::empty()).ok()
    });
    anew.map_or_else(|| rustix::io::fcntl_dupfd_cloexec(descriptor, 3), Ok)
}

/// Whether it is the side of a pseudo-terminal at which a terminal emulator sits.
fn is_user_side(descriptor: impl AsFd) -> bool {
    use std::os::fd::AsRawFd;
    let mut number: libc::c_int = 0;
    // SAFETY: the request writes one number.
    unsafe { libc::ioctl(descriptor.as_fd().as_raw_fd(), libc::TIOCGPTN, &raw mut number) == 0 }
}

/// Columns and rows.
pub(crate) fn window_size(descriptor: impl AsFd) -> Result<(u16, u16), Errno> {
    let size = tcgetwinsize(descriptor)?;
    Ok((size.ws_col, size.ws_row))
}

/// A terminal whose mode was changed. It gets its own one back when this is dropped.
pub(crate) struct Changed {
    descriptor: Rc<OwnedFd>,
    original: Termios,
    mode: TtyMode,
    is_first: bool,
}

impl Changed {
    pub(crate) fn new(descriptor: Rc<OwnedFd>) -> Result<Self, Errno> {
        let original = tcgetattr(&*descriptor)?;
        let mut is_first = false;
        if let Ok(mut first) = FIRST.lock()
            && first.is_none()
        {
            *first = descriptor.try_clone().ok().map(|descriptor| (descriptor, original.clone()));
            is_first = first.is_some();
        }
        Ok(Self { descriptor, original, mode: TtyMode::Normal, is_first })
    }

    pub(crate) fn mode(&self) -> TtyMode {
        self.mode
    }

    pub(crate) fn set(&mut self, mode: TtyMode) -> Result<(), Errno> {
        let mut wanted = self.original.clone();
        match mode {
            TtyMode::Normal => {}
            TtyMode::Raw => {
                wanted.input_modes -= InputModes::BRKINT
                    | InputModes::ICRNL
                    | InputModes::INPCK
                    | InputModes::ISTRIP
                    | InputModes::IXON;
                wanted.output_modes |= OutputModes::ONLCR;
                wanted.control_modes |= ControlModes::CS8;
                wanted.local_modes -=
                    LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
                wanted.special_codes[SpecialCodeIndex::VMIN] = 1;
                wanted.special_codes[SpecialCodeIndex::VTIME] = 0;
            }
            TtyMode::Io => wanted.make_raw(),
        }
        set_attributes(&*self.descriptor, &wanted)?;
        self.mode = mode;
        Ok(())
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        // A terminal that is gone has no mode.
        let _ = set_attributes(&*self.descriptor, &self.original);
        if self.is_first
            && let Ok(mut first) = FIRST.lock()
        {
            drop(first.take());
        }
    }
}

fn set_attributes(descriptor: impl AsFd, attributes: &Termios) -> Result<(), Errno> {
    loop {
        match tcsetattr(&descriptor, OptionalActions::Now, attributes) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Gives the first terminal that was changed its own mode back. Waits for nobody: who changes modes just now is let be.
pub(crate) fn reset() -> Result<(), Errno> {
    let Ok(first) = FIRST.try_lock() else { return Err(Errno::BUSY) };
    match &*first {
        Some((descriptor, original)) => set_attributes(descriptor, original),
        None => Ok(()),
    }
}
