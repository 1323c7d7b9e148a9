//! The table on a whole terminal, kept up to date.
//!
//! Whatever may happen comes through one channel: readings from a thread that measures, keys from a thread that waits
//! for them, signals from a third. So a key is answered at once however long a reading takes, and nothing is polled.
//! The [state](state) knows no terminal and no thread, and the views draw it into a buffer: both are tested without.

mod detail_view;
mod frame;
mod help_view;
mod sections;
mod state;
mod table_view;
mod terminal;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use attach::target::Process;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::options::TopOptions;
use super::reading::Reading;
use super::source::{Readings, Source};
use super::theme::Theme;
use crate::console;
use crate::error::Error;
use state::{Flow, State, View};
use terminal::Screen;

/// The first figures come after this time, for somebody is waiting.
const FIRST_INTERVAL: Duration = Duration::from_millis(250);

/// What may happen.
enum Happening {
    Reading(Reading),
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// A signal, or the end of the terminal.
    Stop,
    /// The thread that measures has ended, which only a defect can cause.
    MeasuringEnded,
}

/// Shows the table until the user has seen enough.
pub(super) fn run<S: Source>(
    options: &TopOptions,
    named: Vec<Process>,
    make_source: impl FnOnce() -> S + Send + 'static,
) -> Result<(), Error> {
    let (tell, happenings) = channel();
    // Before the terminal is taken over: from now on nothing may leave it as it then is.
    stop_on_signal(tell.clone())?;
    let messages = console::hold();
    let refused = |source| Error::System { doing: "cannot draw on the terminal", source };
    let mut screen = Screen::enter().map_err(refused)?;
    let measuring = start_measuring(options, named, make_source, tell.clone())?;
    start_reading_keys(tell)?;

    let mut state = State::new(options);
    let theme = Theme::of_environment();
    let shown = show(&mut screen, &mut state, theme, &happenings, &messages);
    drop(screen);
    match shown.map_err(refused)? {
        End::Asked => Ok(()),
        End::MeasuringEnded => match measuring.join() {
            Ok(()) => Ok(()),
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Why the table is no longer shown.
#[derive(Clone, Copy)]
enum End {
    Asked,
    MeasuringEnded,
}

fn show(
    screen: &mut Screen,
    state: &mut State,
    theme: Theme,
    happenings: &Receiver<Happening>,
    messages: &console::Hold,
) -> io::Result<End> {
    loop {
        state.tell(messages.take());
        screen.draw(|buffer| draw(state, theme, buffer))?;
        // All senders are gone only when all threads are.
        let Ok(happening) = happenings.recv() else { return Ok(End::MeasuringEnded) };
        // What else has happened meanwhile is drawn together.
        for happening in std::iter::once(happening).chain(happenings.try_iter()) {
            let flow = match happening {
                Happening::Reading(reading) => state.take(reading),
                Happening::Key(key) => state.press(key),
                Happening::Resized => Flow::Continue,
                Happening::Stop => Flow::Quit,
                Happening::MeasuringEnded => return Ok(End::MeasuringEnded),
            };
            match flow {
                Flow::Continue => {}
                Flow::Quit => return Ok(End::Asked),
                Flow::Suspend => screen.suspend()?,
            }
        }
    }
}

/// Draws everything.
fn draw(state: &mut State, theme: Theme, buffer: &mut Buffer) {
    match state.view() {
        View::Table => table_view::draw(state, theme, buffer),
        View::Detail => detail_view::draw(state, theme, buffer),
        View::Help => help_view::draw_help(state, theme, buffer),
        View::Messages => help_view::draw_messages(state, theme, buffer),
    }
}

fn start_measuring<S: Source>(
    options: &TopOptions,
    named: Vec<Process>,
    make_source: impl FnOnce() -> S + Send + 'static,
    tell: Sender<Happening>,
) -> Result<JoinHandle<()>, Error> {
    let interval = options.interval;
    thread("measure", move || {
        let tells_end = TellEnd(tell);
        let readings = Readings::new(make_source(), named, interval);
        let mut readings = readings.with_first_interval(FIRST_INTERVAL);
        while tells_end.0.send(Happening::Reading(readings.take())).is_ok() {}
    })
}

/// Tells that measuring has ended, however it did.
struct TellEnd(Sender<Happening>);

impl Drop for TellEnd {
    fn drop(&mut self) {
        // Nobody is there to hear it when the program ends anyway.
        let _ = self.0.send(Happening::MeasuringEnded);
    }
}

fn start_reading_keys(tell: Sender<Happening>) -> Result<(), Error> {
    let read = move || {
        loop {
            let happening = match event::read() {
                Ok(Event::Key(key)) if key.is_press() => Happening::Key(key),
                Ok(Event::Resize(..)) => Happening::Resized,
                Ok(_) => continue,
                // Without a terminal there is nobody left to show anything to.
                Err(_) => Happening::Stop,
            };
            let is_last = matches!(happening, Happening::Stop);
            if tell.send(happening).is_err() || is_last {
                return;
            }
        }
    };
    thread("keys", read).map(drop)
}

fn stop_on_signal(tell: Sender<Happening>) -> Result<(), Error> {
    let failed = |source| Error::System { doing: "cannot handle signals", source };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let watch = move || {
        for _ in signals.forever() {
            if tell.send(Happening::Stop).is_err() {
                return;
            }
        }
    };
    thread("signals", watch).map(drop)
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| Error::System { doing: "cannot start a thread", source })
}
