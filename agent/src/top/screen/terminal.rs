//! The terminal: taken over whole, and given back in whatever way the program ends.

use std::io::{self, Stdout, stdout};
use std::panic;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::process::{Signal, getpid, kill_process};

/// The whole terminal, until it is dropped.
pub(super) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal over. A panic of any thread gives it back first, so that its message can be read.
    pub(super) fn enter() -> io::Result<Self> {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            leave();
            tell(what);
        }));
        enter()?;
        // From here on it is given back whatever happens.
        let screen = Terminal::new(CrosstermBackend::new(stdout())).map(Self);
        if screen.is_err() {
            leave();
        }
        screen
    }

    /// Draws a picture; only what differs from the last one is sent.
    pub(super) fn draw(&mut self, picture: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.0.draw(|frame| picture(frame.buffer_mut())).map(drop)
    }

    /// Gives the terminal back and stops the program, as Ctrl-Z does in other programs; takes it over again when the
    /// program is continued.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        leave();
        kill_process(getpid(), Signal::TSTP)?;
        enter()?;
        // Anew, because nothing is left of the picture that differences are drawn to. Clearing would ask the terminal
        // where its cursor is, and another thread reads the answers.
        self.0 = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(stdout(), EnterAlternateScreen).inspect_err(|_| leave())
}

/// A terminal that is gone needs nothing back.
fn leave() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}
