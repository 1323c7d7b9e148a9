//! What the user sees while a recording is under way: one line that changes, on a terminal; nothing in a pipe.
//!
//! A command that shares the terminal owns it: a line that is redrawn would run into what it prints. Then only the
//! beginning and the end of the recording are told, unless the command's own output goes elsewhere.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::options::Mode;
use crate::console;

/// How often the line is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// The line on the terminal.
pub(super) struct Progress {
    on_terminal: bool,
    updates: bool,
    drawn: Option<Instant>,
}

impl Progress {
    /// A line for a recording of a command, or of a process that has its terminal elsewhere.
    pub(super) fn new(of_command: bool) -> Self {
        let on_terminal = io::stderr().is_terminal();
        let shared = of_command && io::stdout().is_terminal();
        Self { on_terminal, updates: on_terminal && !shared, drawn: None }
    }

    /// The recording has begun.
    pub(super) fn recording(&mut self, title: &str, mode: Mode, frequency_hz: u32) {
        let how = match mode {
            Mode::Cpu => format!("at {frequency_hz} Hz"),
            Mode::OffCpu => "where it waits".to_owned(),
        };
        if self.on_terminal {
            console::line(format_args!("recording {title} {how}; Ctrl-C ends the recording"));
        }
    }

    /// The recording goes on.
    pub(super) fn update(&mut self, elapsed: Duration, samples: u64, lost: u64) {
        if self.updates && self.drawn.is_none_or(|drawn| drawn.elapsed() >= DRAW_EVERY) {
            self.draw(format_args!("{:.1} s, {samples} samples, {lost} lost", elapsed.as_secs_f64()));
        }
    }

    /// The recording has ended and is being written.
    pub(super) fn writing(&mut self, output: &impl fmt::Display) {
        if self.on_terminal {
            self.draw(format_args!("writing {output}"));
        }
    }

    /// Nothing more is to come.
    pub(super) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn draw(&mut self, line: fmt::Arguments<'_>) {
        let mut stderr = io::stderr().lock();
        // From the beginning of the line, over what was there.
        let _ = write!(stderr, "\r\x1b[Kloopscope: {line}").and_then(|()| stderr.flush());
        self.drawn = Some(Instant::now());
    }
}
